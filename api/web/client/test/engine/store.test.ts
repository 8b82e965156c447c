import { expect, test } from 'vitest'
import { compare, MemoryStore } from '../../src/engine/store/memory'
import type { Key } from '../../src/engine/store/port'

test('keys are in the order of IndexedDB', () => {
  const keys: Key[] = [['a'], 'b', 3, ['a', 1], [], 'a', -1, ['a', []], ['a', 'b']]
  const ordered = [-1, 3, 'a', 'b', [], ['a'], ['a', 1], ['a', 'b'], ['a', []]]
  expect([...keys].sort(compare)).toEqual(ordered)
})

test('ranges leave their ends out, from either side, and rows without the key are in no index', async () => {
  const store = new MemoryStore()
  await store.write(async transaction => {
    for (const [id, atMs] of [
      ['a', 1],
      ['b', 2],
      ['c', 2],
      ['d', 3],
    ]) {
      await transaction.put('messages', { peer: 'bob', id, atMs })
    }
    await transaction.put('messages', { peer: 'carol', id: 'x', atMs: 2, ends: 7 })
  })
  const ids = async (range: object) =>
    (
      await store.read(transaction =>
        transaction.range<{ id: string }>('messages', { index: 'time', ...range }),
      )
    ).map(row => row.id)
  expect(await ids({ from: ['bob'], to: ['bob', []] })).toEqual(['a', 'b', 'c', 'd'])
  expect(await ids({ from: ['bob', 1, 'a'], to: ['bob', 3, 'd'] })).toEqual(['b', 'c'])
  expect(await ids({ from: ['bob'], to: ['bob', 2, 'c'], last: true, limit: 1 })).toEqual(['b'])
  const ending = await store.read(transaction => transaction.range('messages', { index: 'ends', to: [8] }))
  expect(ending).toHaveLength(1)
})

test('a transaction that throws leaves nothing, and rows are copies', async () => {
  const store = new MemoryStore()
  const row = { n: 1 }
  await store.write(transaction => transaction.put('meta', row, 'row'))
  row.n = 2
  const failed = store.write(async transaction => {
    await transaction.put('meta', { n: 3 }, 'row')
    throw new Error('no')
  })
  await expect(failed).rejects.toThrow('no')
  expect(await store.read(transaction => transaction.get('meta', 'row'))).toEqual({ n: 1 })
})
