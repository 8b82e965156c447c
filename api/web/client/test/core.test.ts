import { expect, test } from 'vitest'
import { expected, type History, Replay } from './replay'
import committed from './vectors/core.json'

/** More of them, which `make web-histories` has Python write. */
const more = import.meta.glob<History[]>('./more/core.json', { eager: true, import: 'default' })
const histories: History[] = Object.values(more)[0] ?? committed

test.each(histories.map((history, at) => [at, history] as const))(
  'history %i of the client in Python has the same effects and states here',
  (_, history) => {
    const replay = new Replay(history)
    history.steps.forEach((step, at) => {
      const found = replay.step(step)
      if (found.digest !== step.digest && step.full !== undefined) {
        expect(replay.full()).toEqual(step.full)
      }
      expect({ at, op: step.op, ...found }).toEqual({ at, op: step.op, ...expected(step) })
    })
    expect(replay.full()).toEqual(history.steps.at(-1)?.full)
  },
)
