import { expect, test } from 'vitest'
import { Fence } from '../../src/engine/fence'
import { Keeper, type Keeping } from '../../src/engine/shell/keeper'
import { MemoryStore } from '../../src/engine/store/memory'
import type { Store, Transaction } from '../../src/engine/store/port'

/** A store whose next transactions fail when they are to be written, as on a full disk. */
class FullDisk implements Store {
  readonly persistent = true
  failures = 0
  private readonly inner = new MemoryStore()

  read<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.inner.read(work)
  }

  write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.inner.write(async transaction => {
      const result = await work(transaction)
      if (this.failures > 0) {
        this.failures--
        throw new Error('the disk is full')
      }
      return result
    })
  }

  close(): void {}
}

/** Writes down in which order things happen. */
class Diary implements Keeping {
  readonly lines: string[] = []

  async event(transaction: Transaction, event: { type: string }): Promise<void> {
    await transaction.put('meta', event.type, event.type)
    this.lines.push(`event ${event.type}`)
  }

  begin(seqs: number[]): () => void {
    this.lines.push(`taken ${seqs.join()}`)
    return () => this.lines.push('frames leave')
  }

  async save(transaction: Transaction): Promise<void> {
    await transaction.put('meta', 1, 'state')
    this.lines.push('state')
  }

  kept(): void {
    this.lines.push('kept')
  }

  failed(error: unknown): boolean {
    this.lines.push(error === null ? 'refused' : 'failed')
    return !String(error).includes('taken over')
  }
}

const kept = (store: Store, key: string) => store.read(transaction => transaction.get('meta', key))

test('what is taken, told and changed in one turn is one transaction, and nothing leaves before it', async () => {
  const [store, diary] = [new MemoryStore(), new Diary()]
  const keeper = new Keeper(store, diary)
  keeper.tell({ type: 'connected', cursor: 0 }, 0)
  keeper.tell({ type: 'missed', after: 0, upto: 4 }, 5)
  const answer = await keeper.keep(async transaction => {
    await transaction.put('meta', 'mine', 'job')
    return 'done'
  })
  expect(answer).toBe('done')
  await keeper.stop()
  expect(diary.lines).toEqual(['taken 5', 'event connected', 'event missed', 'state', 'kept', 'frames leave'])
  expect(await kept(store, 'job')).toBe('mine')
})

test('a transaction that fails is tried again as a whole, and nothing leaves meanwhile', async () => {
  const [store, diary] = [new FullDisk(), new Diary()]
  store.failures = 1
  const keeper = new Keeper(store, diary)
  keeper.tell({ type: 'synced', cursor: 3 }, 3)
  await keeper.keep(async () => undefined)
  expect(diary.lines).toEqual([
    ...['taken 3', 'event synced', 'state', 'failed'],
    ...['event synced', 'state', 'kept', 'frames leave'],
  ])
})

test('what a job refuses is its own matter: the rest is kept without it', async () => {
  const [store, diary] = [new MemoryStore(), new Diary()]
  const keeper = new Keeper(store, diary)
  const good = keeper.keep(transaction => transaction.put('meta', 1, 'good'))
  const bad = keeper.keep(async transaction => {
    await transaction.put('meta', 1, 'half')
    throw new Error('no')
  })
  await expect(bad).rejects.toThrow('no')
  await good
  expect(await kept(store, 'good')).toBe(1)
  expect(await kept(store, 'half')).toBeUndefined()
})

test('an engine that was taken over writes and sends nothing any more', async () => {
  const shared = new MemoryStore()
  const [old, fresh] = [new Fence(shared), new Fence(shared)]
  await old.raise()
  const diary = new Diary()
  const keeper = new Keeper(old, diary)
  await fresh.raise()
  await expect(keeper.keep(transaction => transaction.put('meta', 1, 'late'))).rejects.toThrow('taken over')
  expect(diary.lines).not.toContain('frames leave')
  expect(await kept(shared, 'late')).toBeUndefined()
  expect([old.fallen, fresh.fallen]).toEqual([true, false])
})

test('wiping leaves the fence and the wrapping key', async () => {
  const store = new Fence(new MemoryStore())
  await store.raise()
  await store.write(async transaction => {
    await transaction.put('meta', 'key', 'wrapping_key')
    await transaction.put('meta', 'row', 'account')
    await transaction.put('seen', 1, 'a')
  })
  await store.wipe()
  expect([await kept(store, 'wrapping_key'), await kept(store, 'account')]).toEqual(['key', undefined])
  expect(await store.read(transaction => transaction.all('seen'))).toEqual([])
  await store.write(async () => undefined)
})
