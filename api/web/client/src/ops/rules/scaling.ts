/** What scaling would do, in sentences, before it is done. */
import type { RoleRow } from '../wire'
import { plural } from './format'

export const SCALED = ['gateway', 'router', 'host', 'pusher'] as const

/** How many there are to be, and how many there were when that was chosen. */
export interface Choice {
  from: number
  to: number
}

export interface Change {
  role: string
  to: number
  sentence: string
  /** There are others by now than when it was chosen, so it is to be chosen again. */
  stale: boolean
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

export function changes(now: Record<string, number>, chosen: Record<string, Choice>): Change[] {
  return SCALED.flatMap(role => {
    const choice = chosen[role]
    if (!choice || choice.from === choice.to) return []
    const { from, to } = choice
    const there = now[role] ?? 0
    if (there !== from) {
      const sentence = `By now there are ${there} instead of ${plural(from, role)}: choose again.`
      return { role, to: there, sentence, stale: true }
    }
    const effect = EFFECT[role]?.[to > from ? 'more' : 'fewer'] ?? ''
    return { role, to, sentence: `${plural(to, role)} instead of ${from}. ${effect}`, stale: false }
  })
}
