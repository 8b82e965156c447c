/** The shape of what performs commands. */

import type { Command, Commands } from '../../app/contract'

/** What performs each command of these. */
export type Handlers<C extends Command> = {
  [One in C]: (argument: Commands[One][0]) => Promise<Commands[One][1]>
}

/** What performs some commands. */
export type Some = Partial<Handlers<Command>>
