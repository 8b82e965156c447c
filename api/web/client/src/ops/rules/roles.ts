/** What is said of a role: in its box, and how it is. */
import type { Figures, RoleRow } from '../wire'
import { bytes, count, number, plural } from './format'

export type Health = 'good' | 'warning' | 'problem' | 'gone'

const WELL = new Set(['running', 'ready'])
const PASSING = new Set(['starting', 'restarting', 'draining', 'stopping', 'joining'])

export function healthOf(role: RoleRow, gone = false): Health {
  if (gone) return 'gone'
  if (WELL.has(role.state)) return 'good'
  return PASSING.has(role.state) ? 'warning' : 'problem'
}

export function shardCount(role: RoleRow): number | null {
  if (Array.isArray(role.shards)) return role.shards.length
  return role.shards ?? null
}

/** The two or three figures that matter of a role of this kind, short enough for its box. */
export function figuresOf(role: RoleRow, figures: Figures | null): string {
  const own = figures?.roles[role.name] ?? {}
  const cpu = own.cpu === null || own.cpu === undefined ? '' : `CPU ${number(own.cpu)}`
  const shards = shardCount(role)
  const held = shards === null ? '' : plural(shards, 'shard')
  const users = own.users ?? role.users
  const lag = own.lag ?? role.lag
  const parts: Record<string, string[]> = {
    gateway: [plural(own.streams ?? 0, 'stream'), cpu],
    router: [held, lag ? `lag ${count(lag)}` : '', cpu],
    host: [held, users === null || users === undefined ? '' : plural(users, 'user'), cpu],
    pusher: [held, lag ? `lag ${count(lag)}` : '', cpu],
    coordinator: [cpu],
  }
  const memory = own.memory_bytes ? bytes(own.memory_bytes) : ''
  const chosen = (parts[role.role] ?? [cpu, memory]).filter(Boolean)
  return chosen.length ? chosen.join(' · ') : role.state
}
