/**
 * What happens when a push comes. It says nothing but "sync": a notification names a person only if an open
 * page could decrypt what came.
 */
import type { Shown, ToPage } from '../house/messages'

const ANSWER_MS = 4000
const UNNAMED: Shown = { title: 'Roost', body: 'You have new messages.', peer: null }

export async function wake(scope: ServiceWorkerGlobalScope): Promise<void> {
  const pages = await windows(scope)
  if (pages.some(page => page.visibilityState === 'visible')) return
  const shown = pages.length ? await firstAnswer(pages) : UNNAMED
  if (shown === null) return
  await scope.registration.showNotification(shown.title, {
    body: shown.body,
    tag: shown.peer ?? 'roost', // one for each person, not one for each message
    icon: 'icons/192.png',
    badge: 'icons/badge.png',
    data: { peer: shown.peer },
  })
}

/** Bring a page to the front, or open one, for the notification that was clicked. */
export async function open(scope: ServiceWorkerGlobalScope, notification: Notification): Promise<void> {
  notification.close()
  const peer: string | null = notification.data?.peer ?? null
  const page = (await windows(scope))[0]
  if (page === undefined) {
    // The address says where: a page that is only opening hears nothing yet.
    await scope.clients.openWindow(peer === null ? './' : `./#/with/${encodeURIComponent(peer)}`)
    return
  }
  page.postMessage({ type: 'opened', peer } satisfies ToPage)
  await page.focus()
}

function windows(scope: ServiceWorkerGlobalScope): Promise<readonly WindowClient[]> {
  return scope.clients.matchAll({ type: 'window', includeUncontrolled: true })
}

/** What the first page that answers wants shown; one that is frozen answers nothing. */
function firstAnswer(pages: readonly WindowClient[]): Promise<Shown | null> {
  return new Promise(resolve => {
    setTimeout(() => resolve(UNNAMED), ANSWER_MS)
    for (const page of pages) {
      const { port1, port2 } = new MessageChannel()
      port1.onmessage = event => resolve(event.data as Shown | null)
      page.postMessage({ type: 'woken' } satisfies ToPage, [port2])
    }
  })
}
