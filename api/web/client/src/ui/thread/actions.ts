/** What can be done with a message. */

import type { MessageView } from '../../app/contract'
import type { Item } from '../parts/Menu.svelte'

type Point = { x: number; y: number }

export interface Actions {
  reply: (message: MessageView) => void
  edit: (message: MessageView) => void
  copy: (message: MessageView) => void
  remove: (message: MessageView) => void
  react: (message: MessageView, emoji: string) => void
  retry: (message: MessageView) => void
  menu: (message: MessageView, at: Point) => void
  pick: (message: MessageView, at: Point) => void
  view: (message: MessageView) => void
  jump: (id: string) => void
}

/** Whether the other side has, or will have, the message: only then can it be answered. */
export function isAnswerable(message: MessageView): boolean {
  const shown = message.kind === 'text' || message.kind === 'file'
  return shown && message.state !== 'failed' && message.state !== 'expired'
}

export function menuItems(message: MessageView, actions: Actions): Item[] {
  const items: Item[] = []
  const answerable = isAnswerable(message)
  if (answerable) items.push({ label: 'Reply', icon: 'reply', run: () => actions.reply(message) })
  if (message.text && message.kind !== 'deleted') {
    items.push({ label: 'Copy', icon: 'copy', run: () => actions.copy(message) })
  }
  if (message.mine && message.kind === 'text' && answerable) {
    items.push({ label: 'Edit', icon: 'edit', run: () => actions.edit(message) })
  }
  if (message.state === 'failed') {
    items.push({ label: 'Try again', icon: 'retry', run: () => actions.retry(message) })
  }
  items.push({ label: 'Delete', icon: 'trash', bad: true, run: () => actions.remove(message) })
  return items
}
