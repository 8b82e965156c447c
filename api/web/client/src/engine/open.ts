/** Opens the engine where this runs: in a SharedWorker, or in the page that holds the lock. */

import { LocalEngine } from './engine'
import { IndexedStore } from './store/indexed'
import { MemoryStore } from './store/memory'
import type { Store } from './store/port'
import { Vault } from './vault'

/** Opens store and vault, and goes on as whoever is signed in. */
export async function openEngine(): Promise<LocalEngine> {
  const { store, vault } = await opened()
  const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))
  const engine = new LocalEngine({
    base: self.location.origin,
    store,
    vault,
    random,
    deviceName: deviceName(navigator.userAgent),
  })
  await engine.start()
  self.addEventListener('online', () => engine.wake())
  return engine
}

/** The kept store; where the browser refuses it (a private window, no TLS), one that ends with the window. */
async function opened(): Promise<{ store: Store; vault: Vault | null }> {
  try {
    const store = await IndexedStore.open()
    return { store, vault: await Vault.open(store) }
  } catch {
    return { store: new MemoryStore(), vault: null }
  }
}

/** How this browser is named in the list of devices, for example "Firefox on Linux". */
export function deviceName(agent: string): string {
  const browsers: [string, RegExp][] = [
    ['Edge', /Edg\//],
    ['Opera', /OPR\//],
    ['Firefox', /Firefox\//],
    ['Chrome', /Chrome\//],
    ['Safari', /Safari\//],
  ]
  const systems: [string, RegExp][] = [
    ['Android', /Android/],
    ['iPhone', /iPhone/],
    ['iPad', /iPad/],
    ['Windows', /Windows/],
    ['macOS', /Mac OS X/],
    ['Linux', /Linux/],
  ]
  const found = (names: [string, RegExp][]) => names.find(([, mark]) => mark.test(agent))?.[0]
  const system = found(systems)
  const browser = found(browsers) ?? 'Browser'
  return system === undefined ? browser : `${browser} on ${system}`
}
