/** The store in IndexedDB. */

import { type IDBPDatabase, type IDBPTransaction, openDB } from 'idb'
import { type Key, type Range, SCHEMA, type Store, type StoreName, type Transaction } from './port'

const NAME = 'roost'
const VERSION = 1
const STORES = Object.keys(SCHEMA) as StoreName[]

export class IndexedStore implements Store {
  readonly persistent = true

  private constructor(private readonly database: IDBPDatabase) {}

  /** Opens it; throws where the browser has none, or refuses it. */
  static async open(): Promise<IndexedStore> {
    const database = await openDB(NAME, VERSION, {
      upgrade(fresh) {
        for (const name of STORES) {
          const { key, indexes } = SCHEMA[name]
          const store = fresh.createObjectStore(
            name,
            key === null ? {} : { keyPath: key as string | string[] },
          )
          for (const [index, path] of Object.entries(indexes)) {
            store.createIndex(index, path as unknown as string[])
          }
        }
      },
      blocking(_current, _blocked, event) {
        ;(event.target as IDBDatabase).close() // a later version of this program wants to change the form
      },
    })
    return new IndexedStore(database)
  }

  async read<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return work(new IndexedTransaction(this.database.transaction(STORES)))
  }

  async write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const transaction = this.database.transaction(STORES, 'readwrite', { durability: 'strict' })
    const done = transaction.done
    done.catch(() => undefined) // awaited below, unless the work itself fails first
    let result: T
    try {
      result = await work(new IndexedTransaction(transaction))
    } catch (error) {
      abort(transaction)
      throw error
    }
    await done
    return result
  }

  close(): void {
    this.database.close()
  }
}

type Opened = IDBPTransaction<unknown, StoreName[], 'readwrite' | 'readonly'>

class IndexedTransaction implements Transaction {
  constructor(private readonly transaction: Opened) {}

  get<T>(store: StoreName, key: Key): Promise<T | undefined> {
    return this.transaction.objectStore(store).get(key)
  }

  async put(store: StoreName, value: unknown, key?: Key): Promise<void> {
    await this.writable(store).put(value, key)
  }

  async delete(store: StoreName, key: Key): Promise<void> {
    await this.writable(store).delete(key)
  }

  async clear(store: StoreName): Promise<void> {
    await this.writable(store).clear()
  }

  async all<T>(store: StoreName): Promise<[Key, T][]> {
    const rows = this.transaction.objectStore(store)
    const [keys, values] = await Promise.all([rows.getAllKeys(), rows.getAll()])
    return keys.map((key, at) => [key as Key, values[at] as T])
  }

  values<T>(store: StoreName): Promise<T[]> {
    return this.transaction.objectStore(store).getAll()
  }

  async range<T>(store: StoreName, range: Range): Promise<T[]> {
    const index = this.transaction.objectStore(store).index(range.index)
    if (!range.last) {
      return index.getAll(bounds(range), range.limit)
    }
    const found: T[] = []
    let cursor = await index.openCursor(bounds(range), 'prev')
    while (cursor !== null && found.length < (range.limit ?? Number.POSITIVE_INFINITY)) {
      found.push(cursor.value)
      cursor = await cursor.continue()
    }
    return found
  }

  private writable(store: StoreName) {
    return (this.transaction as IDBPTransaction<unknown, StoreName[], 'readwrite'>).objectStore(store)
  }
}

function bounds({ from, to }: Range): IDBKeyRange | null {
  if (from === undefined) {
    return to === undefined ? null : IDBKeyRange.upperBound(to, true)
  }
  return to === undefined ? IDBKeyRange.lowerBound(from, true) : IDBKeyRange.bound(from, to, true, true)
}

function abort(transaction: { abort(): void }): void {
  try {
    transaction.abort()
  } catch {
    // It has ended by itself: what the work did to it failed.
  }
}
