/** The messages that a browser keeps, of whoever is signed in or was last. */

import type { Snapshot } from '../../app/contract'
import type { Random } from '../../core/bytes'
import { addressOf, uuid7 } from '../../core/ids'
import type { Account } from '../account'
import { historyLines } from '../present/lines'
import type { Store } from '../store/port'
import { written } from './archive'
import { locked } from './locked'

/** Exports them; encrypted, if there is a passphrase. */
export async function exported(
  store: Store,
  account: Account,
  atMs: number,
  random: Random,
  passphrase: string,
): Promise<Blob> {
  const lines = await historyLines(store, () => uuid7(atMs, random(10)))
  const archive = written(addressOf(account.username, account.serverName), atMs, { people: [], lines })
  return passphrase === '' ? archive : locked(archive, passphrase, random)
}

/** Whose they are, and how many. */
export async function counted(store: Store, { username }: Account): Promise<NonNullable<Snapshot['left']>> {
  const messages = await store.read(transaction => transaction.values('messages'))
  return { username, messages: messages.length }
}
