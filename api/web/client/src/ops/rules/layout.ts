/**
 * Where the overview draws what: machines are columns, kinds of roles are rows, and a message goes from top to
 * bottom, from the clients through gateways, log and routers to the hosts.
 */
import type { NodeRow } from '../wire'
import { byName, type Place, ROWS, type Row } from './slots'

export interface Box {
  x: number
  y: number
  width: number
  height: number
}

export interface RoleBox extends Box {
  place: Place
}

export interface ColumnBox extends Box {
  node: NodeRow
}

/** A row's label in the left gutter, or one of the two bands over all columns. */
export interface RowBox extends Box {
  row: Row | 'clients' | 'log'
}

export interface Layout {
  width: number
  height: number
  columns: ColumnBox[]
  rows: RowBox[]
  boxes: RoleBox[]
  /** The x of what goes up or down beside the columns. */
  lanes: { delivered: number; stored: number }
}

export const HEAD = 38
const BAND = 26
const BOX = 44
const GAP = 8
const PAD = 10
const NARROW = 620
const LEAST_BOX = 76
const LEAST_COLUMN = 190

/** Room below a row, for the lines to the next one. */
const BELOW: Record<Row | 'clients' | 'log', number> = {
  clients: 18,
  gateway: 24,
  log: 24,
  router: 48,
  host: 34,
  pusher: 16,
  control: 12,
  server: PAD,
}

/** Places for each line of a column: four or the next even number if they fit, so that growth moves nothing. */
function perLine(places: Place[], columnWidth: number): number {
  const fullest = places.reduce((most, each) => Math.max(most, each.slot + 1), 0)
  const room = Math.max(1, Math.floor((columnWidth - 2 * PAD + GAP) / (LEAST_BOX + GAP)))
  return Math.min(room, Math.max(4, 2 * Math.ceil(fullest / 2)))
}

const onPath = (place: Place) => place.row !== 'control' && place.row !== 'server'

export function layOut(places: Place[], nodes: NodeRow[], width: number): Layout {
  const narrow = width < NARROW
  const left = narrow ? 78 : 88
  const right = narrow ? 84 : 96
  const ordered = machines(places, nodes)
  const count = Math.max(1, ordered.length)
  const columnWidth = Math.max(LEAST_COLUMN, (width - left - right - GAP * (count - 1)) / count)
  const inner = columnWidth * count + GAP * (count - 1)
  // What messages pass through is aligned; what only supports it is as narrow as it has to be.
  const perPath = perLine(places.filter(onPath), columnWidth)
  const perRest = perLine(
    places.filter(each => !onPath(each)),
    columnWidth,
  )
  const xOf = new Map(ordered.map((node, index) => [node.address, left + index * (columnWidth + GAP)]))

  const rows: RowBox[] = []
  const boxes: RoleBox[] = []
  const band = (row: 'clients' | 'log', y: number) => {
    rows.push({ row, x: left, y, width: inner, height: BAND })
    return y + BAND + BELOW[row]
  }

  let y = band('clients', 0)
  const top = y
  y += HEAD + 8
  for (const row of ROWS) {
    const mine = places.filter(each => each.row === row && xOf.has(each.node))
    if (mine.length === 0 && (row === 'server' || row === 'control')) continue
    const per = row === 'control' || row === 'server' ? perRest : perPath
    const boxWidth = (columnWidth - 2 * PAD - GAP * (per - 1)) / per
    const lines = mine.reduce((most, each) => Math.max(most, Math.floor(each.slot / per) + 1), 1)
    const height = lines * BOX + (lines - 1) * GAP
    rows.push({ row, x: 0, y, width: left, height })
    for (const place of mine) {
      const x = (xOf.get(place.node) ?? left) + PAD + (place.slot % per) * (boxWidth + GAP)
      const down = Math.floor(place.slot / per) * (BOX + GAP)
      boxes.push({ place, x, y: y + down, width: boxWidth, height: BOX })
    }
    y += height + BELOW[row]
    if (row === 'gateway') y = band('log', y)
  }
  const columns = ordered.map(node => ({
    node,
    x: xOf.get(node.address) ?? left,
    y: top,
    width: columnWidth,
    height: y - top,
  }))
  const edge = left + inner
  return {
    width: edge + right,
    height: y + 1,
    columns,
    rows,
    boxes,
    lanes: { delivered: edge + right * 0.3, stored: edge + right * 0.76 },
  }
}

/** The machines by name; also those that only a role's row names. */
function machines(places: Place[], nodes: NodeRow[]): NodeRow[] {
  const known = new Set(nodes.map(each => each.address))
  const others = [...new Set(places.map(each => each.node))].filter(each => !known.has(each))
  const all = [...nodes, ...others.map(address => ({ address, drained: false }))]
  return all.sort((a, b) => byName({ name: nodeName(a) }, { name: nodeName(b) }))
}

export function nodeName(node: NodeRow): string {
  return node.name || node.address
}
