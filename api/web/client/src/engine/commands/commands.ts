/** What pages ask of whoever is signed in. */

import type { Answer, Argument, Command } from '../../app/contract'
import type { Present } from '../present/present'
import type { Handlers } from './handlers'
import { ownCommands } from './own'
import { peopleCommands } from './people'
import { talkCommands } from './talk'

/** Without anyone signed in, too. */
type Always = 'attach' | 'signUp' | 'signIn' | 'signOut' | 'exportHistory'

export class Commands {
  private readonly handlers: Handlers<Exclude<Command, Always>>

  constructor(present: Present) {
    this.handlers = { ...talkCommands(present), ...peopleCommands(present), ...ownCommands(present) }
  }

  perform<C extends Exclude<Command, Always>>(command: C, argument: Argument<C>): Promise<Answer<C>> {
    return this.handlers[command](argument)
  }
}
