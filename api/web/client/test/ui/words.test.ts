import { describe, expect, it } from 'vitest'
import {
  asReaction,
  asUsername,
  hueOf,
  initials,
  onlyEmoji,
  plainName,
  sizeWords,
} from '../../src/ui/lib/names'
import { passwordRules } from '../../src/ui/lib/passwords'
import { preview } from '../../src/ui/lib/preview'
import { dayName, inFull, lastSeen, listTime, span, timeOfDay, writtenAt } from '../../src/ui/lib/time'
import { sentence, unreadable, whyFailed } from '../../src/ui/lib/words'

const NOON = new Date(2026, 5, 10, 12).getTime()
const at = (day: number, hour = 12) => new Date(2026, 5, day, hour).getTime()

describe('times', () => {
  it('names days', () => {
    expect(dayName(at(10, 0), NOON)).toBe('Today')
    expect(dayName(at(9, 23), NOON)).toBe('Yesterday')
    expect(dayName(at(6), NOON)).toBe('Saturday')
    expect(dayName(at(3), NOON)).toContain('June')
    expect(dayName(new Date(2025, 5, 3).getTime(), NOON)).toContain('2025')
  })

  it('shows of a time that no calendar has the nearest', () => {
    for (const ms of [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
      for (const words of [inFull(ms), timeOfDay(ms), writtenAt(ms, NOON), dayName(ms, NOON)]) {
        expect(words).toMatch(/\d/)
      }
      expect(listTime(ms, NOON) + lastSeen(ms, NOON)).toMatch(/\d|just now/)
    }
  })

  it('is short in a list', () => {
    expect(listTime(at(10, 9), NOON)).toMatch(/9/)
    expect(listTime(at(9), NOON)).toBe('Yesterday')
    expect(listTime(at(7), NOON)).toBe('Sun')
  })

  it('says when a person was last seen', () => {
    expect(lastSeen(NOON - 20_000, NOON)).toBe('last seen just now')
    expect(lastSeen(NOON - 60_000, NOON)).toBe('last seen 1 minute ago')
    expect(lastSeen(NOON - 5 * 60_000, NOON)).toBe('last seen 5 minutes ago')
    expect(lastSeen(at(10, 8), NOON)).toMatch(/^last seen today at 8/)
    expect(lastSeen(at(9), NOON)).toMatch(/^last seen yesterday/)
  })

  it.each([
    [604_800, '1 week'],
    [1_209_600, '2 weeks'],
    [86_400, '1 day'],
    [90, '90 seconds'],
    [1, '1 second'],
  ])('%d seconds are %s', (seconds, words) => {
    expect(span(seconds)).toBe(words)
  })
})

describe('names', () => {
  it.each([
    ['Ada Lovelace', 'AL'],
    ['bob', 'B'],
    ['  ', ''],
    ['👩‍🚀 Sally', '👩‍🚀S'],
    ['محمد علي', 'مع'],
    ['é', 'É'],
  ])('%s has the initials %s', (name, letters) => {
    expect(initials(name.normalize('NFC'))).toBe(letters.normalize('NFC'))
  })

  it('always gives a person the same colour', () => {
    expect(hueOf('alice')).toBe(hueOf('alice'))
    expect(new Set(['alice', 'bob', 'carol', 'dave', 'erin'].map(hueOf)).size).toBeGreaterThan(2)
  })

  it('takes an @ and capitals off a username', () => {
    expect(asUsername(' @Alice ')).toBe('alice')
  })

  it('shows a file name as it is', () => {
    expect(plainName('photo\u202egpj.exe')).toBe('photogpj.exe')
    expect(plainName('\u200b')).toBe('file')
  })

  it.each([
    ['🎉', true],
    ['👍🏽 ❤️', true],
    ['🇪🇺', true],
    ['👩‍👩‍👧‍👦', true],
    ['ok 👍', false],
    ['123', false],
    ['🎉🎉🎉🎉', false],
  ])('%s: only emoji is %s', (text, expected) => {
    expect(onlyEmoji(text)).toBe(expected)
  })

  it('takes one character for a reaction', () => {
    expect(asReaction(' 👩‍🚀 and more')).toBe('👩‍🚀')
    expect(asReaction('')).toBeNull()
    expect(asReaction(`e${'\u0301'.repeat(40)}`)).toBeNull()
  })

  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1500, '1.5 KB'],
    [999_999, '1.0 MB'],
    [25_000_000, '25 MB'],
  ])('%d bytes are %s', (bytes, words) => {
    expect(sizeWords(bytes)).toBe(words)
  })
})

describe('sentences', () => {
  it('says what the server says where its code is not known', () => {
    expect(sentence('new_code', 'Something new.')).toBe('Something new.')
    expect(sentence('new_code')).toContain('new_code')
  })

  it('takes the name of the field off a refusal', () => {
    const refusal = {
      code: 'invalid',
      detail: 'body.password: it must have 8 characters.',
      retryAfterS: null,
    }
    expect(whyFailed(refusal)).toBe('It must have 8 characters.')
  })

  it('tells which of many limits it was', () => {
    const detail = 'An account may have at most 20 devices: on another one, remove one first.'
    expect(whyFailed({ code: 'too_large', detail, retryAfterS: null })).toBe(detail)
  })

  it('says how long to wait', () => {
    expect(whyFailed({ code: 'rate_limited', detail: '', retryAfterS: 2.1 })).toContain('(in 3 s)')
  })

  it('shows what else was thrown', () => {
    expect(whyFailed(new Error('broken'))).toBe('broken')
    expect(whyFailed('odd')).toBe('odd')
  })

  it('has a reason and an advice for whatever cannot be read', () => {
    expect(unreadable('not_for_this_key').reason).toContain('does not have')
    expect(unreadable('new_reason').reason).toContain('new reason')
    expect(unreadable('new_reason').advice).not.toBe('')
  })
})

describe('rules of a password', () => {
  it.each([
    ['', 'alice', [false, false]],
    ['short', 'alice', [false, true]],
    ['alicealice', 'Alice', [true, false]],
    ['correct horse', 'alice', [true, true]],
    ['long enough', '', [true, true]],
  ])('%s', (password, username, met) => {
    expect(passwordRules(password, username).map(rule => rule.met)).toEqual(met)
  })
})

describe('a message in one line', () => {
  const file = {
    name: 'a\u202eb.jpg',
    type: 'image/jpeg',
    size: 1,
    width: null,
    height: null,
    thumbnail: null,
  }
  it.each([
    [{ kind: 'text', text: 'hi' }, 'hi'],
    [{ kind: 'file', text: 'caption', file }, 'caption'],
    [{ kind: 'file', text: '', file }, 'ab.jpg'],
    [{ kind: 'timer', text: '3600' }, 'Messages disappear after 1 hour'],
    [{ kind: 'timer', text: '' }, 'Messages no longer disappear'],
    [{ kind: 'deleted', text: 'what it was' }, 'Deleted message'],
    [{ kind: 'undecryptable', text: 'detail' }, 'A message that could not be decrypted'],
    [{ kind: 'unknown', text: '' }, 'A message that this version cannot show'],
  ] as const)('%o', (message, line) => {
    expect(preview(message)).toBe(line)
  })
})
