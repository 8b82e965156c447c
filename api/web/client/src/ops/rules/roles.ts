/** What is said of a role: in its box, and how it is. */
import type { Figures, RoleRow } from '../wire'
import { bytes, count, number, plural } from './format'

export type Health = 'good' | 'fresh' | 'warning' | 'problem' | 'gone'

/** So long a process counts as new: three pictures of one who takes one every ten seconds. */
export const FRESH_MS = 30_000

const WELL = new Set(['running', 'ready'])
const PASSING = new Set(['starting', 'restarting', 'draining', 'stopping', 'joining'])

export function healthOf(role: RoleRow, nowMs: number): Health {
  if (WELL.has(role.state)) return nowMs - (role.started_at_ms ?? 0) < FRESH_MS ? 'fresh' : 'good'
  return PASSING.has(role.state) ? 'warning' : 'problem'
}

export function shardCount(role: RoleRow): number | null {
  if (Array.isArray(role.shards)) return role.shards.length
  return role.shards ?? null
}

/** The figures that matter of a role of this kind, the most telling first. */
export function figuresOf(role: RoleRow, figures: Figures | null): string[] {
  const own = figures?.roles[role.name] ?? {}
  const some = (value: number | null | undefined, text: (value: number) => string) =>
    value === null || value === undefined ? '' : text(value)
  const cpu = some(own.cpu, value => `CPU ${number(value)}`)
  const memory = some(own.memory_bytes, bytes)
  const held = some(shardCount(role), value => plural(value, 'shard'))
  const users = some(own.users ?? role.users, value => plural(value, 'user'))
  const behind = own.lag ?? role.lag
  const lag = behind ? `lag ${count(behind)}` : ''
  const parts: Record<string, string[]> = {
    gateway: [some(own.streams, value => plural(value, 'stream')), cpu, memory],
    router: [held, lag, cpu, memory],
    host: [held, users, cpu, memory],
    pusher: [held, lag, cpu, memory],
  }
  return (parts[role.role] ?? [cpu, memory]).filter(Boolean)
}

/** As many of the figures as there is room for, of `most` characters. */
export function fitting(figures: string[], most: number): string {
  let text = figures[0] ?? ''
  for (const each of figures.slice(1)) {
    if (text.length + each.length + 3 > most) break
    text += ` · ${each}`
  }
  return text
}
