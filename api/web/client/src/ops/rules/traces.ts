/** The hops of traced messages, put together by message. */
import type { Hop } from '../wire'

export interface Step extends Hop {
  /** Since the message was first seen. */
  after_ms: number
}

const MOST = 50

const keyOf = (hop: Hop) => `${hop.cause} ${hop.at_ms} ${hop.role} ${hop.name} ${hop.step}`

/** Both lists, each hop once. */
export function merged(known: Hop[], fresh: Hop[]): Hop[] {
  const all = new Map([...known, ...fresh].map(hop => [keyOf(hop), hop]))
  return [...all.values()]
}

/** The newest messages first, the steps of each in order. */
export function byCause(hops: Hop[]): { cause: string; steps: Step[] }[] {
  const groups = new Map<string, Hop[]>()
  for (const hop of hops) groups.set(hop.cause, [...(groups.get(hop.cause) ?? []), hop])
  const ordered = [...groups].map(([cause, mine]) => {
    const steps = [...mine].sort((a, b) => a.at_ms - b.at_ms)
    const first = steps[0]?.at_ms ?? 0
    return { cause, first, steps: steps.map(hop => ({ ...hop, after_ms: hop.at_ms - first })) }
  })
  return ordered
    .sort((a, b) => b.first - a.first)
    .slice(0, MOST)
    .map(({ cause, steps }) => ({ cause, steps }))
}
