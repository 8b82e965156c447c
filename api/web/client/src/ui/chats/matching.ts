/** Which conversations a search shows. */

import type { Conversation } from '../../app/contract'

/** Letters without their case and accents, so that "jose" finds "José". */
function plain(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLocaleLowerCase()
}

/** Every word of the query begins a word of the name, or is in the username. */
export function matches(conversation: Conversation, query: string): boolean {
  const names = plain(conversation.displayName).split(/\s+/u)
  return plain(query.replace(/^@/, ''))
    .split(/\s+/u)
    .every(word => conversation.peer.includes(word) || names.some(name => name.startsWith(word)))
}
