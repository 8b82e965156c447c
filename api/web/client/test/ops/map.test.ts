import { describe, expect, it } from 'vitest'
import { figures, NODES, roles, shards } from '../../src/ops/dev/made'
import { flowsOf, split, widthOf } from '../../src/ops/rules/flows'
import { HUES, Hues } from '../../src/ops/rules/hues'
import { layOut } from '../../src/ops/rules/layout'
import { FRESH_MS, fitting, healthOf } from '../../src/ops/rules/roles'
import { KEPT_MS, Slots } from '../../src/ops/rules/slots'
import type { RoleRow } from '../../src/ops/wire'

const role = (name: string, node: string | null = 'a'): RoleRow => ({
  role: name.split('-')[0] ?? '',
  name,
  node,
  pid: 1,
  state: 'running',
})
const where = (slots: Slots, rows: RoleRow[], at = 0) =>
  Object.fromEntries(
    slots
      .place(rows, at)
      .map(each => [
        each.gone === 'moved' ? `${each.role.name} before` : each.role.name,
        `${each.node}${each.slot} ${each.gone}`.trimEnd(),
      ]),
  )

describe('the places of roles', () => {
  it('are by name, numbers by their value', () => {
    expect(
      where(
        new Slots(),
        ['host-10', 'host-2', 'host-1'].map(each => role(each)),
      ),
    ).toEqual({
      'host-1': 'a0',
      'host-2': 'a1',
      'host-10': 'a2',
    })
  })

  it('stay when a role goes, and are its own when it comes back', () => {
    const slots = new Slots()
    const both = [role('host-1'), role('host-2')]
    where(slots, both)
    expect(where(slots, [role('host-2')], 1_000)).toEqual({ 'host-1': 'a0 gone', 'host-2': 'a1' })
    expect(where(slots, both, 2_000)).toEqual({ 'host-1': 'a0', 'host-2': 'a1' })
  })

  it('are free for others after a while, without moving who is there', () => {
    const slots = new Slots()
    where(slots, [role('host-1'), role('host-2')])
    const later = KEPT_MS + 1
    expect(where(slots, [role('host-2')], later)).toEqual({ 'host-2': 'a1' })
    expect(where(slots, [role('host-2'), role('host-3')], later)).toEqual({ 'host-2': 'a1', 'host-3': 'a0' })
  })

  it('are kept while a role has no machine, and are not given before it has one', () => {
    const slots = new Slots()
    expect(where(slots, [role('host-1', null)])).toEqual({})
    where(slots, [role('host-1')])
    expect(where(slots, [role('host-1', null)], 1_000)).toEqual({ 'host-1': 'a0' })
  })

  it('stay as an outline for a while when a role moves to another machine', () => {
    const slots = new Slots()
    where(slots, [role('host-1'), role('host-2')])
    const after = [role('host-1', 'b'), role('host-2')]
    const both = { 'host-1 before': 'a0 moved', 'host-1': 'b0', 'host-2': 'a1' }
    expect(where(slots, after, 1_000)).toEqual(both)
    expect(where(slots, [role('host-1', null), role('host-2')], 2_000)).toEqual(both)
    expect(where(slots, after, KEPT_MS + 1_001)).toEqual({ 'host-1': 'b0', 'host-2': 'a1' })
  })

  it('are its own when it moves back', () => {
    const slots = new Slots()
    where(slots, [role('host-1')])
    where(slots, [role('host-1', 'b')], 1_000)
    expect(where(slots, [role('host-1')], 2_000)).toEqual({ 'host-1 before': 'b0 moved', 'host-1': 'a0' })
  })
})

const made = (width: number) => layOut(new Slots().place(roles(), 0), NODES, width)

describe('the layout', () => {
  it('keeps every box in its machine and apart from every other', () => {
    for (const width of [360, 640, 1_000, 2_000]) {
      const { boxes, columns } = made(width)
      expect(boxes).toHaveLength(roles().length)
      boxes.forEach((box, index) => {
        const column = columns.find(each => each.node.address === box.place.node)
        expect(column && box.x >= column.x && box.x + box.width <= column.x + column.width + 0.01).toBe(true)
        expect(column && box.y >= column.y && box.y + box.height <= column.y + column.height).toBe(true)
        for (const other of boxes.slice(index + 1)) {
          const apart =
            box.x + box.width <= other.x || other.x + other.width <= box.x || box.y + box.height <= other.y
          expect(apart || other.y + other.height <= box.y, `${width}: ${box.place.role.name}`).toBe(true)
        }
      })
    }
  })

  it('shows machines that only a role names, and those without a role', () => {
    const layout = layOut(
      new Slots().place([role('host-1', 'elsewhere')], 0),
      [{ address: 'idle', drained: false }],
      800,
    )
    expect(layout.columns.map(each => each.node.address)).toEqual(['elsewhere', 'idle'])
  })

  it('goes from gateways down to the servers', () => {
    const { rows } = made(1_000)
    const order = [...rows].sort((a, b) => a.y - b.y).map(each => each.row)
    expect(order).toEqual(['clients', 'gateway', 'log', 'router', 'host', 'pusher', 'control', 'server'])
  })

  it('moves nothing when a role is added where there is room', () => {
    const slots = new Slots()
    const two = [role('router-1'), role('router-2')]
    const before = layOut(slots.place(two, 0), [], 1_000).boxes.map(({ x, y }) => [x, y])
    const after = layOut(slots.place([...two, role('router-3')], 0), [], 1_000).boxes.map(({ x, y }) => [
      x,
      y,
    ])
    expect(after.slice(0, 2)).toEqual(before)
  })
})

describe('the colours of hosts', () => {
  it('stay theirs when others come and go, and are given again', () => {
    const hues = new Hues()
    expect([...hues.give(['host-1', 'host-2'])]).toEqual([
      ['host-1', 0],
      ['host-2', 1],
    ])
    expect([...hues.give(['host-2'])]).toEqual([['host-2', 1]])
    expect([...hues.give(['host-2', 'host-3'])]).toEqual([
      ['host-2', 1],
      ['host-3', 0],
    ])
  })

  it('are shared evenly where there are more hosts than colours', () => {
    const names = Array.from({ length: 2 * HUES }, (_, index) => `host-${index}`)
    const given = [...new Hues().give(names).values()]
    expect(given.sort((a, b) => a - b)).toEqual(given.map((_, index) => Math.floor(index / 2)))
  })
})

describe('the flows', () => {
  it('have a line for each router and host that share a shard, and their rates add up', () => {
    const now = figures(1_700_000_000_000)
    const handled = flowsOf(made(1_000), shards(), now).filter(each => each.kind === 'handled')
    const pairs = new Set(shards().map(each => `${each.router}>${each.host}`))
    expect(new Set(handled.map(each => each.id))).toEqual(pairs)
    const sum = handled.reduce((total, each) => total + (each.rate ?? 0), 0)
    expect(sum).toBeCloseTo(now.values.stored_per_s ?? 0)
  })

  it('lead to the store, also where it is not ours and has no box', () => {
    const layout = made(1_000)
    const others = { ...layout, rows: layout.rows.filter(each => each.row !== 'server') }
    for (const each of [layout, others]) {
      expect(flowsOf(each, shards(), null).filter(flow => flow.kind === 'stored')).toHaveLength(1)
    }
  })

  it('are there without figures, and say that nothing is known', () => {
    const flows = flowsOf(made(1_000), shards(), null)
    expect(flows.length).toBeGreaterThan(0)
    expect(new Set(flows.map(each => each.rate))).toEqual(new Set([null]))
  })

  it('are wider for more, up to a bound', () => {
    const widths = [null, 0, 1, 10, 100, 1_000, 10_000, 1e9].map(widthOf)
    expect(widths).toEqual([...widths].sort((a, b) => a - b))
    expect(widths.at(-1)).toBe(14)
    expect(widthOf(100) - widthOf(10)).toBeGreaterThan(2)
  })

  it('split a whole by weight, evenly where there is none', () => {
    expect(split(100, [3, 1])).toEqual([75, 25])
    expect(split(100, [0, null])).toEqual([50, 50])
    expect(split(null, [1, 2])).toEqual([null, null])
  })
})

describe('what is said of a role', () => {
  it('is well only where it runs', () => {
    const health = (state: string) => healthOf({ ...role('host-1'), state }, FRESH_MS)
    expect(['running', 'restarting', 'silent'].map(health)).toEqual(['good', 'warning', 'problem'])
  })

  it('is for a while that it is new', () => {
    const at = (nowMs: number) => healthOf({ ...role('host-1'), started_at_ms: 5_000 }, nowMs)
    expect([5_000, 4_999 + FRESH_MS, 5_000 + FRESH_MS].map(at)).toEqual(['fresh', 'fresh', 'good'])
  })

  it('is cut between figures, never within one', () => {
    expect(fitting(['2 shards', '31 users', 'CPU 0.2'], 20)).toBe('2 shards · 31 users')
    expect(fitting(['2 shards', '31 users'], 3)).toBe('2 shards')
    expect(fitting([], 10)).toBe('')
  })
})
