/** A conversation as a text that people can read. */

import type { Conversation, Engine, MessageView } from '../../app/contract'
import { inFull } from '../lib/time'

const PAGE = 500

export async function asText(engine: Engine, conversation: Conversation, me: string): Promise<string> {
  const pages: MessageView[][] = []
  let before: string | null = null
  let more = true
  while (more) {
    const page: { messages: MessageView[]; more: boolean } = await engine.call('page', {
      peer: conversation.peer,
      before,
      limit: PAGE,
    })
    pages.unshift(page.messages)
    before = page.messages[0]?.id ?? null
    more = page.more && before !== null
  }
  const lines = pages.flat().map(message => line(message, message.mine ? me : conversation.displayName))
  return `Conversation with ${conversation.displayName} (@${conversation.peer})\n\n${lines.join('\n')}\n`
}

function line(message: MessageView, author: string): string {
  const file = message.file ? `[file: ${message.file.name}] ` : ''
  const other = message.kind === 'text' || message.kind === 'file' ? '' : `[${message.kind}] `
  return `${inFull(message.atMs)} — ${author}: ${file}${other}${message.text}${message.edited ? ' (edited)' : ''}`
}
