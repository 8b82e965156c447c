/**
 * The port of the store: what the engine keeps, in transactions that happen wholly or not at all.
 *
 * Inside a transaction only its own operations may be awaited: a browser ends it when nothing of it is pending.
 */

export type Key = string | number | Key[]

/** Stores by name, each with the path of its key (null: given beside the value) and its indexes. */
export const SCHEMA = {
  meta: { key: null, indexes: {} },
  outbox: { key: 'order', indexes: {} },
  seen: { key: null, indexes: {} },
  peers: { key: null, indexes: {} },
  conversations: { key: 'peer', indexes: {} },
  messages: {
    key: ['peer', 'id'],
    indexes: { time: ['peer', 'atMs', 'id'], tick: ['tick', 'seq'], ends: ['ends'] },
  },
  about: { key: ['peer', 'target'], indexes: {} },
  marks: { key: 'peer', indexes: {} },
  uploads: { key: 'id', indexes: {} },
} as const

export type StoreName = keyof typeof SCHEMA

/** Which rows of an index: after `from` and before `to`, both left out; `last`: from the end. */
export interface Range {
  index: string
  from?: Key
  to?: Key
  last?: boolean
  limit?: number
}

export interface Transaction {
  get<T>(store: StoreName, key: Key): Promise<T | undefined>
  put(store: StoreName, value: unknown, key?: Key): Promise<void>
  delete(store: StoreName, key: Key): Promise<void>
  clear(store: StoreName): Promise<void>
  /** All rows with their keys, in the order of their keys. */
  all<T>(store: StoreName): Promise<[Key, T][]>
  /** All rows. */
  values<T>(store: StoreName): Promise<T[]>
  /** Rows of an index, in its order. */
  range<T>(store: StoreName, range: Range): Promise<T[]>
}

export interface Store {
  /** What is kept survives the browser's end. */
  readonly persistent: boolean
  read<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>
  /** Returns once all of it is on the disk; if the work throws, nothing of it is. */
  write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>
  close(): void
}
