/** A message in one line: in the list, in a quote, for screen readers. */

import type { MessageView } from '../../app/contract'
import { plainName } from './names'
import { span } from './time'

type Previewed = { text: string; kind?: MessageView['kind']; file?: MessageView['file'] }

export function preview({ kind, text, file }: Previewed): string {
  switch (kind) {
    case 'deleted':
      return 'Deleted message'
    case 'undecryptable':
      return 'A message that could not be decrypted'
    case 'unknown':
      return 'A message that this version cannot show'
    case 'timer':
      return timerWords(text)
    case 'file':
      return text || plainName(file?.name ?? '')
    default:
      return text
  }
}

/** What a change of the timer says; its text has the seconds, or nothing. */
export function timerWords(text: string): string {
  const seconds = Number(text)
  return seconds > 0 ? `Messages disappear after ${span(seconds)}` : 'Messages no longer disappear'
}
