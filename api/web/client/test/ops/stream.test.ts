import { describe, expect, it } from 'vitest'
import { pauseMs } from '../../src/ops/rules/backoff'
import { EventParser } from '../../src/ops/rules/sse'

const WHOLE = 'event: hello\ndata: {"a": 1}\n\n: ping\n\ndata: one\ndata: two\n\n'
const HEARD = [
  { event: 'hello', data: '{"a": 1}' },
  { event: 'message', data: 'one\ntwo' },
]

describe('the parser of server-sent events', () => {
  it('gives the same messages wherever the pieces end', () => {
    for (const ends of ['\n', '\r\n', '\r']) {
      const stream = WHOLE.replaceAll('\n', ends)
      for (let size = 1; size <= stream.length; size += 1) {
        const parser = new EventParser()
        const heard = []
        for (let at = 0; at < stream.length; at += size)
          heard.push(...parser.push(stream.slice(at, at + size)))
        // With \r alone only the next piece tells that a line has ended.
        heard.push(...parser.push(':'))
        expect(heard, `pieces of ${size}`).toEqual(HEARD)
      }
    }
  })

  it('holds what has not ended', () => {
    const parser = new EventParser()
    expect(parser.push('event: state\ndata: {')).toEqual([])
    expect(parser.push('}\n')).toEqual([])
    expect(parser.push('\n')).toEqual([{ event: 'state', data: '{}' }])
  })

  it('says nothing for an event without data, and forgets its name', () => {
    expect(new EventParser().push('event: state\n\ndata: x\n\n')).toEqual([{ event: 'message', data: 'x' }])
  })
})

describe('the pause before the next attempt', () => {
  it('grows to a bound, and is never all of the same length', () => {
    const least = [0, 1, 2, 3, 30].map(attempt => pauseMs(attempt, 0))
    expect(least).toEqual([250, 500, 1_000, 2_000, 7_500])
    expect(pauseMs(30, 1)).toBe(15_000)
  })

  it('is not shorter than the server asks for', () => {
    expect(pauseMs(0, 0.5, 4)).toBe(4_000)
    expect(pauseMs(30, 1, 4)).toBe(15_000)
  })
})
