/** The keyboard shortcuts that hold everywhere. */

import type { App } from '../state/app.svelte'

export const SHORTCUTS: [keys: string, does: string][] = [
  ['?', 'Show these shortcuts'],
  ['Ctrl K  or  /', 'Search people and messages'],
  ['Alt N', 'New conversation'],
  ['Alt ↑  Alt ↓', 'Previous or next conversation'],
  ['Escape', 'Cancel reply or edit; close; back to the list'],
  ['Enter', 'Send'],
  ['Shift Enter', 'New line'],
  ['↑ in an empty message', 'Edit your last message'],
  ['↑ ↓ in the messages', 'Go from message to message'],
  ['R  E  C  Delete', 'On a message: reply, edit, copy, delete'],
  ['Enter on a message', 'Open its menu'],
]

export const SEARCH_ID = 'search'
export const NEW_ID = 'new-conversation'

export function onShortcut(event: KeyboardEvent, app: App, help: () => void): void {
  if (event.defaultPrevented || document.querySelector('dialog[open]')) return
  const command = event.ctrlKey || event.metaKey
  const plain = !command && !event.altKey && !isTyping(event.target)
  if ((command && event.key === 'k') || (plain && event.key === '/')) focus(SEARCH_ID)
  else if (plain && event.key === '?') help()
  else if (event.altKey && event.code === 'KeyN') document.getElementById(NEW_ID)?.click()
  else if (event.altKey && event.key === 'ArrowDown') step(app, 1)
  else if (event.altKey && event.key === 'ArrowUp') step(app, -1)
  else if (event.key === 'Escape') back(app)
  else return
  event.preventDefault()
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches('input, textarea, select, [contenteditable]')
}

function focus(id: string): void {
  document.getElementById(id)?.focus()
}

function step(app: App, by: number): void {
  const now = app.chats.findIndex(one => one.peer === app.router.peer)
  const next = app.chats[now < 0 ? 0 : now + by]
  if (next) app.router.chat(next.peer)
}

function back(app: App): void {
  const { route } = app.router
  if (route.view === 'settings') app.router.chat(null)
  else app.router.chat(route.panel ? route.peer : null)
}
