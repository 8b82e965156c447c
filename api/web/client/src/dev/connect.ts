/** Stands in for the engine while the pages are worked on: `?demo=` with one of these, or everything. */

import type { Engine } from '../app/contract'
import { DemoEngine } from './demo'

export async function connect(): Promise<Engine> {
  const asked = new URLSearchParams(location.search).get('demo')
  const mode = (['signed-out', 'left', 'empty', 'unlinked', 'blocked'] as const).find(one => one === asked)
  return new DemoEngine(mode ?? 'full')
}
