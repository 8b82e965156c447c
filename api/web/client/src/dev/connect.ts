/** Stands in for the engine while the pages are worked on: `?demo=signed-out`, `?demo=empty`, or everything. */

import type { Engine } from '../app/contract'
import { DemoEngine } from './demo'

export async function connect(): Promise<Engine> {
  const mode = new URLSearchParams(location.search).get('demo') ?? 'full'
  return new DemoEngine(mode === 'signed-out' || mode === 'empty' ? mode : 'full')
}
