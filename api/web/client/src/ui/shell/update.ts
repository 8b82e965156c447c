/** What the service worker brings: newer builds, and what notifications show and lead to. */

import { keepBuild } from '../../house/build'
import type { Shown } from '../../house/messages'
import { preview } from '../lib/preview'
import type { App } from '../state/app.svelte'

const SYNC_MS = 3000

export function listenToServiceWorker(app: App): void {
  void keepBuild({
    update: () => {
      app.update = true
    },
    woken: () => newest(app),
    opened: peer => {
      if (peer !== null) app.router.chat(peer)
    },
  })
}

/** What a notification shows when this page is hidden: the newest unread message, once it is here. */
async function newest(app: App): Promise<Shown> {
  const until = Date.now() + SYNC_MS
  const found = () => app.chats.find(one => one.unread > 0 && !one.blocked && one.last && !one.last.mine)
  while (app.profile && !found() && Date.now() < until) await new Promise(resolve => setTimeout(resolve, 50))
  const one = found()
  if (!one?.last) return { title: 'Roost', body: 'You have new messages.', peer: null }
  return { title: one.displayName || one.peer, body: preview(one.last), peer: one.peer }
}
