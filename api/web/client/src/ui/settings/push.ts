/** Web Push on this browser: whether it can, is, and shall wake the person. */

import type { Engine } from '../../app/contract'

/** Why there are no notifications here; empty if there can be. */
export function whyNot(): string {
  if (!isSecureContext) return 'Notifications need HTTPS. This address is not encrypted.'
  if (!('serviceWorker' in navigator))
    return 'This browser, or a private window, does not allow a page to work in the background.'
  if (!('PushManager' in globalThis)) {
    return 'This browser has no Web Push. On an iPhone or iPad, add Roost to the home screen first.'
  }
  if (Notification.permission === 'denied') {
    return 'Notifications are blocked for this address. Allow them in the browser’s settings for this site.'
  }
  return ''
}

export async function current(): Promise<PushSubscription | null> {
  const registration = await navigator.serviceWorker?.getRegistration()
  return (await registration?.pushManager?.getSubscription()) ?? null
}

export async function enable(engine: Engine): Promise<void> {
  if ((await Notification.requestPermission()) !== 'granted')
    throw new Error('Notifications were not allowed.')
  const registration = await navigator.serviceWorker.getRegistration()
  if (!registration) throw new Error('The page has no service worker yet. Reload it, then try again.')
  const { applicationServerKey } = await engine.call('pushKey', undefined)
  const subscription = await registration.pushManager.subscribe({
    userVisibleOnly: true,
    applicationServerKey: urlSafe(applicationServerKey),
  })
  const keys = subscription.toJSON().keys
  if (!keys?.p256dh || !keys.auth) throw new Error('The browser gave no keys for its push service.')
  await engine.call('enablePush', {
    endpoint: subscription.endpoint,
    p256dh: standard(keys.p256dh),
    auth: standard(keys.auth),
  })
}

export async function disable(engine: Engine): Promise<void> {
  await engine.call('enablePush', null)
  await (await current())?.unsubscribe()
}

/** Browsers speak base64url, the contract unpadded standard base64. */
function urlSafe(base64: string): string {
  return base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

function standard(base64: string): string {
  return base64.replaceAll('-', '+').replaceAll('_', '/').replaceAll('=', '')
}
