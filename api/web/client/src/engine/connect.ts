/**
 * A page's way to the engine: in a SharedWorker; where there is none, in the page that holds the lock, with a
 * BroadcastChannel for the others.
 */

import type { Engine } from '../app/contract'
import { elected } from './lock'
import { answered, type FromEngine, type Request } from './messages'
import { RemoteEngine } from './remote'
import workerUrl from './worker?worker&url'

/** Connects this page to the engine, which is started if none runs yet. */
export async function connect(): Promise<Engine> {
  const engine = (await sharedWorker()) ?? (await electedPage())
  // Ask that the browser does not clear what is kept: only a page can, and its answer changes nothing here.
  void navigator.storage?.persist?.()
  return engine
}

async function sharedWorker(): Promise<Engine | null> {
  if (typeof SharedWorker === 'undefined') {
    return null
  }
  let worker: SharedWorker
  try {
    worker = new SharedWorker(workerUrl, { type: 'module', name: 'roost' })
  } catch {
    return null // this browser has no such workers of modules
  }
  const engine = new RemoteEngine(request => worker.port.postMessage(request))
  worker.port.onmessage = ({ data }: MessageEvent<FromEngine>) => engine.take(data)
  addEventListener('pagehide', (event: PageTransitionEvent) => {
    if (!event.persisted) {
      worker.port.postMessage('bye')
    }
  })
  const failed = new Promise<null>(resolve => {
    worker.onerror = () => resolve(null)
  })
  return Promise.race([engine.call('attach', undefined).then(() => engine), failed])
}

interface Addressed {
  /** A page's name, `engine`, or `pages`. */
  to: string
  from: string
  message: Request | FromEngine | 'who' | 'here'
}

/** Every page asks for the lock; the one that has it runs the engine, and answers on the channel. */
async function electedPage(): Promise<Engine> {
  const channel = new BroadcastChannel('roost-engine')
  const own = crypto.getRandomValues(new Uint32Array(4)).join('-')
  const say = (to: string, message: Addressed['message']) => channel.postMessage({ to, from: own, message })
  const engine = new RemoteEngine(request => say('engine', request))
  const someone = new Promise<void>(resolve => {
    channel.onmessage = ({ data }: MessageEvent<Addressed>) => {
      if (data.to === own || data.to === 'pages') {
        if (data.message === 'here') {
          engine.moved(request => say('engine', request))
          resolve()
        } else {
          engine.take(data.message as FromEngine)
        }
      }
    }
  })
  const here = elected().then(() => lead(channel, engine, say))
  say('engine', 'who')
  await Promise.race([someone, here])
  return engine
}

async function lead(
  channel: BroadcastChannel,
  page: RemoteEngine,
  say: (to: string, message: Addressed['message']) => void,
): Promise<void> {
  const { openEngine } = await import('./open') // not with the page: a worker is the usual case
  const engine = await openEngine()
  engine.listen(notice => {
    page.take({ notice })
    say('pages', { notice })
  })
  channel.onmessage = async ({ data }: MessageEvent<Addressed>) => {
    if (data.to !== 'engine') {
      return
    }
    if (data.message === 'who') {
      say(data.from, 'here')
    } else {
      say(data.from, await answered(engine, data.message as Request))
    }
  }
  page.moved(async request => page.take(await answered(engine, request)))
  say('pages', 'here')
}
