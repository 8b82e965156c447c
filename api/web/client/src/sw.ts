/** The service worker: it serves the pinned build, also offline, and shows what pushes announce. */
import type { ToPage, ToWorker } from './house/messages'
import { type Build, Pinned } from './sw/pinned'
import { open, wake } from './sw/wake'

declare const self: ServiceWorkerGlobalScope
declare const __BUILD__: Build

const pinned = new Pinned(__BUILD__)

self.addEventListener('install', event => event.waitUntil(install()))
self.addEventListener('activate', event => event.waitUntil(activate()))
self.addEventListener('push', event => event.waitUntil(wake(self)))
self.addEventListener('notificationclick', event => event.waitUntil(open(self, event.notification)))

self.addEventListener('fetch', event => {
  const url = new URL(event.request.url)
  if (event.request.method !== 'GET' || !url.href.startsWith(self.registration.scope)) return
  const path = url.href.slice(self.registration.scope.length).split(/[?#]/)[0] || 'index.html'
  if (pinned.knows(path)) event.respondWith(pinned.answer(path))
})

self.addEventListener('message', event => {
  const said = event.data as ToWorker
  if (said.type === 'take') event.waitUntil(take())
  else if (said.type === 'ask') event.waitUntil(offer())
})

async function install(): Promise<void> {
  await pinned.keep()
  await offer()
}

async function activate(): Promise<void> {
  await pinned.tidy()
  await self.clients.claim()
}

async function take(): Promise<void> {
  await pinned.take()
  await self.skipWaiting()
  await tell({ type: 'taken' })
}

async function offer(): Promise<void> {
  const build = await pinned.offered()
  if (build !== null) await tell({ type: 'update', build })
}

async function tell(what: ToPage): Promise<void> {
  const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true })
  for (const page of pages) page.postMessage(what)
}
