/** The store of a window that keeps nothing: everything is gone with its last tab. */

import { type Key, type Range, SCHEMA, type Store, type StoreName, type Transaction } from './port'

type Rows = Map<string, [Key, unknown]>

export class MemoryStore implements Store {
  readonly persistent = false
  private rows = empty()
  private turn: Promise<unknown> = Promise.resolve()

  read<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.write(work)
  }

  write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const done = this.turn.then(async () => {
      const draft = new Map([...this.rows].map(([name, rows]) => [name, new Map(rows)]))
      const result = await work(new MemoryTransaction(draft))
      this.rows = draft
      return result
    })
    this.turn = done.catch(() => undefined)
    return done
  }

  close(): void {}
}

class MemoryTransaction implements Transaction {
  constructor(private readonly rows: Map<StoreName, Rows>) {}

  async get<T>(store: StoreName, key: Key): Promise<T | undefined> {
    return copy(this.of(store).get(JSON.stringify(key))?.[1]) as T | undefined
  }

  async put(store: StoreName, value: unknown, key?: Key): Promise<void> {
    const path = SCHEMA[store].key
    const found = key ?? keyOf(value, typeof path === 'string' ? path : (path as readonly string[]))
    this.of(store).set(JSON.stringify(found), [found as Key, copy(value)])
  }

  async delete(store: StoreName, key: Key): Promise<void> {
    this.of(store).delete(JSON.stringify(key))
  }

  async clear(store: StoreName): Promise<void> {
    this.of(store).clear()
  }

  async all<T>(store: StoreName): Promise<[Key, T][]> {
    const rows = [...this.of(store).values()].sort((a, b) => compare(a[0], b[0]))
    return rows.map(([key, value]) => [key, copy(value) as T])
  }

  async values<T>(store: StoreName): Promise<T[]> {
    return (await this.all<T>(store)).map(([, value]) => value)
  }

  async range<T>(store: StoreName, range: Range): Promise<T[]> {
    const indexes: Record<string, readonly string[]> = SCHEMA[store].indexes
    const path = indexes[range.index] as readonly string[]
    const found: [Key, unknown][] = []
    for (const [, value] of this.of(store).values()) {
      const key = keyOf(value, path)
      if (key !== null && isWithin(key, range)) {
        found.push([key, value])
      }
    }
    found.sort((a, b) => compare(a[0], b[0]) * (range.last ? -1 : 1))
    return found.slice(0, range.limit).map(([, value]) => copy(value) as T)
  }

  private of(store: StoreName): Rows {
    return this.rows.get(store) as Rows
  }
}

const empty = (): Map<StoreName, Rows> =>
  new Map(Object.keys(SCHEMA).map(name => [name as StoreName, new Map()]))

const copy = (value: unknown): unknown => (value === undefined ? undefined : structuredClone(value))

function keyOf(value: unknown, path: string | readonly string[]): Key | null {
  const member = (name: string) => (value as { [member: string]: unknown })[name]
  if (typeof path === 'string') {
    return member(path) as Key
  }
  const parts = path.map(member)
  const isKey = parts.every(part => typeof part === 'string' || typeof part === 'number')
  return isKey ? (parts as Key) : null
}

function isWithin(key: Key, { from, to }: Range): boolean {
  return (from === undefined || compare(key, from) > 0) && (to === undefined || compare(key, to) < 0)
}

/** The order of keys in IndexedDB: numbers before texts before lists. */
export function compare(a: Key, b: Key): number {
  const [left, right] = [rank(a), rank(b)]
  if (left !== right) {
    return left - right
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let at = 0; at < Math.min(a.length, b.length); at++) {
      const difference = compare(a[at] as Key, b[at] as Key)
      if (difference !== 0) {
        return difference
      }
    }
    return a.length - b.length
  }
  return a < b ? -1 : a > b ? 1 : 0
}

const rank = (key: Key): number => (Array.isArray(key) ? 2 : typeof key === 'string' ? 1 : 0)
