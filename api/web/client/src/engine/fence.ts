/**
 * The fence: one engine writes to a store, whatever else may still run.
 *
 * A newer engine of the same browser (a page of a newer build) raises a fence of its own; the older one's next
 * write finds that out inside its transaction, and writes nothing any more.
 */

import { SCHEMA, type Store, type StoreName, type Transaction } from './store/port'

export class Fence implements Store {
  /** Another engine has taken over. */
  fallen = false
  private epoch = 0

  constructor(private readonly store: Store) {}

  get persistent(): boolean {
    return this.store.persistent
  }

  /** Takes over from whichever engine wrote before. */
  async raise(): Promise<void> {
    await this.store.write(async transaction => {
      this.epoch = ((await transaction.get<number>('meta', 'epoch')) ?? 0) + 1
      await transaction.put('meta', this.epoch, 'epoch')
    })
  }

  read<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.store.read(work)
  }

  write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.store.write(async transaction => {
      const found = await transaction.get<number>('meta', 'epoch')
      if (found !== this.epoch) {
        this.fallen = true
        throw new Error('another engine has taken over the store')
      }
      return work(transaction)
    })
  }

  /** Removes everything but the wrapping key and the fence itself. */
  wipe(): Promise<void> {
    return this.write(async transaction => {
      for (const name of Object.keys(SCHEMA) as StoreName[]) {
        if (name !== 'meta') {
          await transaction.clear(name)
        }
      }
      for (const [key] of await transaction.all('meta')) {
        if (key !== 'epoch' && key !== 'wrapping_key') {
          await transaction.delete('meta', key)
        }
      }
    })
  }

  close(): void {
    this.store.close()
  }
}
