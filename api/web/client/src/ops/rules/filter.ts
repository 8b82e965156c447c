/** Which events are shown. */
import type { EventLine, Level } from '../wire'

export interface Filter {
  /** Words that must all be in it. */
  text: string
  /** '' for every kind. */
  kind: string
  least: Level
}

const RANK: Record<Level, number> = { info: 0, warning: 1, problem: 2 }

export function matches(event: EventLine, { text, kind, least }: Filter): boolean {
  if (kind && event.kind !== kind) return false
  if (RANK[event.level ?? 'info'] < RANK[least]) return false
  const all = `${event.kind} ${event.subject} ${event.text} ${event.by ?? ''}`.toLowerCase()
  return text
    .toLowerCase()
    .split(/\s+/)
    .every(word => all.includes(word))
}
