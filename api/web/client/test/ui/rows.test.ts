import { describe, expect, it } from 'vitest'
import { firstUnread, placed, rowsOf } from '../../src/ui/lib/rows'
import { message } from './made'

const NOON = new Date(2026, 5, 10, 12).getTime()
const MINUTE = 60_000

const none = new Map()

describe('rows', () => {
  it('groups what one author writes within five minutes', () => {
    const rows = rowsOf(
      [
        message('a', NOON),
        message('b', NOON + MINUTE),
        message('c', NOON + 2 * MINUTE, { mine: true }),
        message('d', NOON + 20 * MINUTE, { mine: true }),
      ],
      null,
      none,
    )
    expect(rows.map(row => [row.first, row.last])).toEqual([
      [true, false],
      [false, true],
      [true, true],
      [true, true],
    ])
  })

  it('names a day once, and starts a group with it', () => {
    const midnight = new Date(2026, 5, 11).getTime()
    const rows = rowsOf(
      [message('a', midnight - 1000), message('b', midnight), message('c', midnight + 1)],
      null,
      none,
    )
    expect(rows.map(row => row.day)).toEqual([true, true, false])
    expect(rows.map(row => row.first)).toEqual([true, true, false])
  })

  it('breaks a group at the unread line and at a change of the timer', () => {
    const rows = rowsOf(
      [
        message('a', NOON),
        message('b', NOON + 1),
        message('t', NOON + 2, { kind: 'timer' }),
        message('c', NOON + 3),
      ],
      'b',
      none,
    )
    expect(rows.map(row => [row.first, row.last, row.unread])).toEqual([
      [true, true, false],
      [true, true, true],
      [true, true, false],
      [true, true, false],
    ])
  })

  it('keeps the object of a row that did not change', () => {
    const messages = [message('a', NOON), message('b', NOON + MINUTE)]
    const rows = rowsOf(messages, null, none)
    const before = new Map(rows.map(row => [row.key, row]))
    const after = rowsOf([...messages, message('c', NOON + 2 * MINUTE)], null, before)
    expect(after[0]).toBe(rows[0])
    expect(after[1]).not.toBe(rows[1]) // it is no longer the last of its group
  })
})

describe('the unread line', () => {
  const messages = [
    message('a', NOON),
    message('b', NOON + 1, { mine: true }),
    message('c', NOON + 2),
    message('t', NOON + 3, { kind: 'timer' }),
    message('d', NOON + 4),
  ]
  it.each([
    [0, null],
    [1, 'd'],
    [2, 'c'],
    [3, 'a'],
    [9, 'a'],
  ])('%d unread', (count, id) => {
    expect(firstUnread(messages, count)).toBe(id)
  })
})

describe('a message in its place', () => {
  const list = [message('a', 10), message('b', 20), message('c', 20), message('d', 30)]
  const ids = (messages: { id: string }[]) => messages.map(one => one.id).join('')

  it.each([
    ['a new last one', message('e', 30), 'abcde'],
    ['a late one', message('e', 15), 'aebcd'],
    ['an earlier one than all', message('e', 5), 'eabcd'],
    ['a change', message('b', 20, { text: 'new' }), 'abcd'],
    ['a change of the last of a tie', message('c', 20), 'abcd'],
    ['another time', message('a', 25), 'bcad'],
  ])('%s', (_, one, expected) => {
    const after = placed(list, one)
    expect(ids(after)).toBe(expected)
    expect(after.find(found => found.id === one.id)).toBe(one)
  })
})
