/** What pages and the engine post to each other, over a port or a channel. */

import type { Command, CommandError, Notice } from '../app/contract'
import type { LocalEngine } from './engine'
import { RoostError, removable } from './errors'

export interface Request {
  call: number
  command: Command
  argument: unknown
}

export type Reply = { call: number; answer: unknown } | { call: number; error: CommandError }

export type FromEngine = Reply | { notice: Notice }

/** Performs a request; whatever goes wrong is an answer. */
export async function answered(engine: LocalEngine, request: Request): Promise<Reply> {
  const { call, command, argument } = request
  try {
    return { call, answer: await engine.call(command, argument as never) }
  } catch (error) {
    return { call, error: errorOf(error) }
  }
}

export function errorOf(error: unknown): CommandError {
  if (error instanceof RoostError) {
    const { code, message: detail, retryAfterS } = error
    const devices = removable(error)
    return devices.length === 0 ? { code, detail, retryAfterS } : { code, detail, retryAfterS, devices }
  }
  console.error(error) // a fault of this program
  return { code: 'internal', detail: String(error), retryAfterS: null }
}
