/**
 * Who stands where: each role keeps its place in its machine's column.
 *
 * A role that comes takes the first free place, one that goes leaves an outline for a while, so that a restart
 * moves nothing: two hosts of which the first is gone are drawn as an outline and the second, not as one host.
 * So does one that goes to another machine, as a host does whose process died and a spare elsewhere became.
 */
import type { RoleRow } from '../wire'

/** How long the place of a role that is gone is kept. */
export const KEPT_MS = 60_000

export const ROWS = ['gateway', 'router', 'host', 'pusher', 'control', 'server'] as const
export type Row = (typeof ROWS)[number]

const CONTROL = new Set(['coordinator', 'spare', 'witness'])
const OWN_ROW = new Set<string>(['gateway', 'router', 'host', 'pusher'])

/** The row of a role: servers are everything that Roost only uses. */
export function rowOf(role: string): Row {
  if (OWN_ROW.has(role)) return role as Row
  return CONTROL.has(role) ? 'control' : 'server'
}

export interface Place {
  node: string
  row: Row
  /** Its place in the row of this column, from 0. */
  slot: number
  role: RoleRow
  /** It was here before and is not now: nowhere, or on another machine. */
  gone: '' | 'gone' | 'moved'
}

interface Kept extends Place {
  seenMs: number
}

const natural = new Intl.Collator('en', { numeric: true })
export const byName = (a: { name: string }, b: { name: string }) => natural.compare(a.name, b.name)

export class Slots {
  #kept = new Map<string, Kept>()

  /** Place the roles there are now; one that has no machine is where it was, if it was anywhere. */
  place(roles: RoleRow[], nowMs: number): Place[] {
    const here = new Map(roles.map(role => [nameOf(role), role]))
    for (const [key, kept] of this.#kept) {
      const now = here.get(nameOf(kept.role))
      const stays = now && (now.node === null ? !kept.gone : now.node === kept.node)
      if (stays) Object.assign(kept, { role: now, gone: '', seenMs: nowMs })
      else if (nowMs - kept.seenMs > KEPT_MS) this.#kept.delete(key)
      else kept.gone = now ? 'moved' : 'gone'
    }
    for (const role of [...roles].sort(byName)) {
      if (role.node && !this.#kept.has(keyOf(role, role.node))) this.#take(role, role.node, nowMs)
    }
    return [...this.#kept.values()]
  }

  #take(role: RoleRow, node: string, nowMs: number): void {
    const row = rowOf(role.role)
    const taken = new Set<number>()
    for (const kept of this.#kept.values()) {
      if (kept.node === node && kept.row === row) taken.add(kept.slot)
    }
    let slot = 0
    while (taken.has(slot)) slot += 1
    this.#kept.set(keyOf(role, node), { node, row, slot, role, gone: '', seenMs: nowMs })
  }
}

const nameOf = (role: RoleRow) => `${role.role}/${role.name}`

/** Tells a place from every other. */
export const keyOf = (role: RoleRow, node: string) => `${nameOf(role)}@${node}`
