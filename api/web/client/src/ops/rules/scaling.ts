/** What scaling would do, in sentences, before it is done. */
import type { RoleRow } from '../wire'
import { plural } from './format'

export const SCALED = ['gateway', 'router', 'host', 'pusher'] as const

export interface Change {
  role: string
  to: number
  sentence: string
}

/** What one more of a role does, and one fewer. */
export const EFFECT: Record<string, { more: string; fewer: string }> = {
  gateway: {
    more: 'New connections spread over all of them.',
    fewer: 'Its clients are told to come back, and do so through another one.',
  },
  router: {
    more: 'It takes shards over from the others.',
    fewer: 'Its shards go to the others once what it has read is stored.',
  },
  host: {
    more: 'Shards move to it, one after another, without a message being lost.',
    fewer: 'Its shards move to the others first, without a message being lost.',
  },
  pusher: {
    more: 'It takes shards of the push queue over from the others.',
    fewer: 'Wake-ups wait for the others; without any pusher they wait in the log.',
  },
}

export function countsOf(roles: RoleRow[]): Record<string, number> {
  return Object.fromEntries(SCALED.map(role => [role, roles.filter(each => each.role === role).length]))
}

export function changes(now: Record<string, number>, wanted: Record<string, number>): Change[] {
  return SCALED.flatMap(role => {
    const [from, to] = [now[role] ?? 0, wanted[role] ?? 0]
    if (from === to) return []
    const effect = EFFECT[role]?.[to > from ? 'more' : 'fewer'] ?? ''
    return { role, to, sentence: `${plural(to, role)} instead of ${from}. ${effect}` }
  })
}
