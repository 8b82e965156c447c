/** The page's side of the service worker: new builds, and what notifications lead to. */
import type { Shown, ToPage, ToWorker } from './messages'

/** What a page does when the service worker speaks to it. */
export interface Heard {
  /** A new build is here; `takeBuild` agrees to it. */
  update(build: string): void
  /** A push came while no page is visible: what should be shown? */
  woken(): Promise<Shown | null>
  /** A notification was clicked. */
  opened(peer: string | null): void
}

/** Install the service worker and listen to it. Where there is none, the client works online only. */
export async function keepBuild(heard: Heard): Promise<void> {
  const workers = navigator.serviceWorker
  if (!workers || !import.meta.env.PROD) return
  workers.addEventListener('message', event => {
    const said = event.data as ToPage
    if (said.type === 'update') heard.update(said.build)
    else if (said.type === 'taken') location.reload()
    else if (said.type === 'opened') heard.opened(said.peer)
    else if (said.type === 'woken') {
      const port = event.ports[0]
      heard.woken().then(shown => port?.postMessage(shown))
    }
  })
  workers.startMessages()
  try {
    const registration = await workers.register('sw.js', { scope: './', updateViaCache: 'none' })
    say(registration, { type: 'ask' })
  } catch {
    // A private window may refuse; the settings say then why there are no notifications.
  }
}

/** Have the new build serve from now on; every page loads again. */
export async function takeBuild(): Promise<void> {
  const { waiting, active } = await navigator.serviceWorker.ready
  const newest = waiting ?? active
  newest?.postMessage({ type: 'take' } satisfies ToWorker)
}

function say(registration: ServiceWorkerRegistration, what: ToWorker): void {
  for (const worker of [registration.waiting, registration.active]) worker?.postMessage(what)
}
