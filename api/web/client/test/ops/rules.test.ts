import { describe, expect, it } from 'vitest'
import { scopesOf } from '../../src/ops/net/tokens'
import { matches } from '../../src/ops/rules/filter'
import { format, parse } from '../../src/ops/rules/route'
import { pieces, runbook } from '../../src/ops/rules/runbook'
import { changes } from '../../src/ops/rules/scaling'
import { byCause, merged } from '../../src/ops/rules/traces'
import type { EventLine, Hop } from '../../src/ops/wire'

describe('addresses within the page', () => {
  it('come back as they were', () => {
    for (const route of [
      { view: 'overview', name: null },
      { view: 'users', name: 'a.b_c' },
      { view: 'users', name: null },
      { view: 'role', name: 'host-1' },
    ] as const) {
      expect(parse(format(route))).toEqual(route)
    }
  })

  it('lead to the overview where they lead nowhere', () => {
    for (const hash of ['', '#', '#/nothing', '#/role', '#/%E0%A4%A']) {
      expect(parse(hash)).toEqual({ view: 'overview', name: null })
    }
  })
})

describe('the filter of events', () => {
  const event = {
    n: 1,
    at_ms: 1,
    kind: 'role_ended',
    subject: 'host-1',
    text: 'Killed.',
    level: 'warning',
  } as EventLine
  const all = { text: '', kind: '', least: 'info' } as const

  it('wants every word, anywhere', () => {
    expect(matches(event, { ...all, text: 'HOST killed' })).toBe(true)
    expect(matches(event, { ...all, text: 'host moved' })).toBe(false)
  })

  it('wants the kind and the level', () => {
    expect(matches(event, { ...all, kind: 'role_started' })).toBe(false)
    expect(matches(event, { ...all, least: 'warning' })).toBe(true)
    expect(matches(event, { ...all, least: 'problem' })).toBe(false)
  })
})

describe('what scaling would do', () => {
  it('is told for each role that changes', () => {
    const told = changes(
      { router: 2, host: 2, pusher: 1 },
      { router: { from: 2, to: 3 }, host: { from: 2, to: 1 }, pusher: { from: 1, to: 1 } },
    )
    expect(told.map(each => [each.role, each.to])).toEqual([
      ['router', 3],
      ['host', 1],
    ])
    expect(told[0]?.sentence).toMatch(/^3 routers instead of 2\./)
    expect(told[1]?.sentence).toMatch(/^1 host instead of 2\..*without a message being lost/)
  })

  it('is not done when there are others by now than when it was chosen', () => {
    const [told] = changes({ host: 3 }, { host: { from: 2, to: 1 } })
    expect(told?.sentence).toBe('By now there are 3 instead of 2 hosts: choose again.')
    expect([told?.stale, told?.to]).toEqual([true, 3])
  })
})

describe('traces', () => {
  const hop = (cause: string, at_ms: number, step: string): Hop => ({
    cause,
    at_ms,
    step,
    role: 'host',
    name: 'host-1',
    detail: '',
  })

  it('have the newest message first, its steps in order, each once', () => {
    const known = [hop('a', 10, 'accepted'), hop('a', 14, 'stored')]
    const found = byCause(
      merged(known, [hop('a', 12, 'handled'), hop('a', 10, 'accepted'), hop('b', 20, 'accepted')]),
    )
    expect(found.map(each => each.cause)).toEqual(['b', 'a'])
    expect(found[1]?.steps.map(each => [each.step, each.after_ms])).toEqual([
      ['accepted', 0],
      ['handled', 2],
      ['stored', 4],
    ])
  })
})

describe('the runbook', () => {
  it('is found by an anchor, with the document or without', () => {
    expect(runbook('docs/operations.md#roostroleaway')).toEqual(runbook('roostroleaway'))
    expect(
      runbook('roostroleaway')
        ?.flat()
        .some(piece => piece.code),
    ).toBe(true)
    expect(runbook('no such')).toBeNull()
  })

  it('tells code from words', () => {
    expect(pieces('Run `a *b*` *now*.')).toEqual([
      { text: 'Run ', code: false },
      { text: 'a *b*', code: true },
      { text: ' now.', code: false },
    ])
  })
})

describe('the scopes of a token', () => {
  const token = (claims: object) => `x.${btoa(JSON.stringify(claims)).replaceAll('=', '')}.y`

  it('are those that it names; none of what is no token', () => {
    expect(scopesOf(token({ scope: 'admin observer' }))).toEqual(['admin', 'observer'])
    expect(scopesOf(token({}))).toEqual([])
    expect(scopesOf('nonsense')).toEqual([])
  })
})
