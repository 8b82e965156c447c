/** The lines of the overview: from where to where, how much, and how wide that is. */
import type { Figures, ShardRow, Values } from '../wire'
import type { Layout, RoleBox } from './layout'

export interface Flow {
  id: string
  kind: 'accepted' | 'read' | 'handled' | 'delivered' | 'stored' | 'pushed'
  /** The path of the line, from where it comes. */
  path: string
  /** Per second; null if it is not known. */
  rate: number | null
  width: number
}

/** Above so many pairs, lines between single pushers and hosts would be one grey area. */
const MOST_PAIRS = 36
const WIDEST = 14

/** How wide the line of a rate is: a pixel and a bit when nothing flows, and three more for each tenfold. */
export function widthOf(rate: number | null): number {
  if (rate === null || rate <= 0) return 1.25
  return Math.min(WIDEST, 2 + 3 * Math.log10(1 + rate))
}

/** Split a whole by weights; in equal parts if there are none. */
export function split(whole: number | null, weights: (number | null | undefined)[]): (number | null)[] {
  if (whole === null) return weights.map(() => null)
  const known = weights.map(each => Math.max(0, each ?? 0))
  const sum = known.reduce((total, each) => total + each, 0)
  return known.map(each => (sum > 0 ? (whole * each) / sum : whole / weights.length))
}

export function flowsOf(layout: Layout, shards: ShardRow[], figures: Figures | null): Flow[] {
  const values = figures?.values ?? {}
  const roles = figures?.roles ?? {}
  const of = (role: string) => layout.boxes.filter(box => box.place.role.role === role && !box.place.gone)
  const [gateways, routers, hosts, pushers] = ['gateway', 'router', 'host', 'pusher'].map(of) as [
    RoleBox[],
    RoleBox[],
    RoleBox[],
    RoleBox[],
  ]
  const band = (row: string) => layout.rows.find(each => each.row === row)
  const clients = band('clients')
  const log = band('log')
  if (!clients || !log) return []
  const accepted = values.accepted_per_s ?? null
  const handled = values.stored_per_s ?? accepted
  return [
    ...gateways.flatMap((box, index) => {
      const share = shareOf('accepted_per_s', accepted, gateways, roles)[index] ?? null
      const x = middle(box)
      const name = box.place.role.name
      return [
        flow(`clients>${name}`, 'accepted', share, down(x, clients.y + clients.height, box.y)),
        flow(`${name}>log`, 'accepted', share, down(x, box.y + box.height, log.y)),
      ]
    }),
    ...read(routers, shards, handled, log.y + log.height),
    ...pairs(routers, hosts, shards, handled),
    ...woken(hosts, pushers, values),
    ...beside(layout, gateways, hosts, values),
  ]
}

/** Of each router what its shards' part of everything is. */
function read(routers: RoleBox[], shards: ShardRow[], whole: number | null, from: number): Flow[] {
  const owned = routers.map(box => shards.filter(each => each.router === box.place.role.name).length)
  const rates = split(whole, owned)
  return routers.map((box, index) =>
    flow(`log>${box.place.role.name}`, 'read', rates[index] ?? null, down(middle(box), from, box.y)),
  )
}

/** A line from a router to each host that it has shards for. */
function pairs(routers: RoleBox[], hosts: RoleBox[], shards: ShardRow[], whole: number | null): Flow[] {
  return routers.flatMap(from =>
    hosts.flatMap(to => {
      const shared = shards.filter(
        each => each.router === from.place.role.name && each.host === to.place.role.name,
      ).length
      if (shared === 0) return []
      const rate = whole === null ? null : (whole * shared) / Math.max(1, shards.length)
      return flow(`${from.place.role.name}>${to.place.role.name}`, 'handled', rate, between(from, to))
    }),
  )
}

function woken(hosts: RoleBox[], pushers: RoleBox[], values: Values): Flow[] {
  if (hosts.length * pushers.length > MOST_PAIRS) return []
  const whole = values.pushes_per_s ?? null
  const rate = whole === null ? null : whole / (hosts.length * pushers.length)
  return hosts.flatMap(from =>
    pushers.map(to =>
      flow(`${from.place.role.name}>${to.place.role.name}`, 'pushed', rate, between(from, to)),
    ),
  )
}

/** What goes from all hosts up to the gateways, and down to the store: beside the columns. */
function beside(layout: Layout, gateways: RoleBox[], hosts: RoleBox[], values: Values): Flow[] {
  const first = hosts[0]
  const up = gateways[0]
  const servers = layout.rows.find(each => each.row === 'server')
  const edge = layout.columns.at(-1)
  if (!first || !edge) return []
  const from = edge.x + edge.width
  const y = first.y + first.height / 2
  const flows: Flow[] = []
  if (up) {
    const path = lane(from, y - 6, layout.lanes.delivered, up.y + up.height / 2)
    flows.push(flow('hosts>gateways', 'delivered', values.delivered_per_s ?? null, path))
  }
  // A store that Roost did not start has no box: the line leaves at the bottom.
  const store = servers
    ? lane(from, y + 6, layout.lanes.stored, servers.y + servers.height / 2)
    : out(from, y + 6, layout.lanes.stored, edge.y + edge.height)
  flows.push(flow('hosts>store', 'stored', values.stored_per_s ?? null, store))
  return flows
}

function shareOf(
  name: string,
  whole: number | null,
  boxes: RoleBox[],
  roles: Figures['roles'],
): (number | null)[] {
  const own = boxes.map(box => roles[box.place.role.name]?.[name])
  const weights = own.some(each => (each ?? 0) > 0)
    ? own
    : boxes.map(box => roles[box.place.role.name]?.streams)
  return split(whole, weights)
}

const flow = (id: string, kind: Flow['kind'], rate: number | null, path: string): Flow => ({
  id,
  kind,
  rate,
  path,
  width: widthOf(rate),
})

const middle = (box: RoleBox) => round(box.x + box.width / 2)
const down = (x: number, from: number, to: number) => `M${x} ${round(from)}V${round(to)}`

function between(from: RoleBox, to: RoleBox): string {
  const [x1, y1, x2, y2] = [middle(from), round(from.y + from.height), middle(to), round(to.y)]
  const half = round((y1 + y2) / 2)
  return `M${x1} ${y1}C${x1} ${half} ${x2} ${half} ${x2} ${y2}`
}

/** Out to the lane, along it, and back in to the edge. */
function lane(edge: number, from: number, x: number, to: number): string {
  const bend = Math.min(12, x - edge)
  const turn = to < from ? -bend : bend
  const [e, l] = [round(edge), round(x)]
  return (
    `M${e} ${round(from)}H${round(x - bend)}Q${l} ${round(from)} ${l} ${round(from + turn)}` +
    `V${round(to - turn)}Q${l} ${round(to)} ${round(x - bend)} ${round(to)}H${e}`
  )
}

/** Out to the lane, and along it to its end. */
function out(edge: number, from: number, x: number, to: number): string {
  const bend = Math.min(12, x - edge)
  const [e, l] = [round(edge), round(x)]
  return `M${e} ${round(from)}H${round(x - bend)}Q${l} ${round(from)} ${l} ${round(from + bend)}V${round(to)}`
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
