/** The SharedWorker: one engine for all tabs of this browser. */

import { untilStolen } from './lock'
import { answered, type FromEngine, type Request } from './messages'
import { openEngine } from './open'

const opening = openEngine()
void opening.then(engine =>
  untilStolen(async () => {
    engine.publish({ type: 'trouble', code: 'replaced', detail: 'A newer version of this page runs.' })
    await engine.stop()
  }),
)

;(self as unknown as SharedWorkerGlobalScope).onconnect = event => {
  const port = event.ports[0] as MessagePort
  const post = (message: FromEngine) => port.postMessage(message)
  let leave = () => {}
  void opening.then(engine => {
    leave = engine.listen(notice => post({ notice }))
  })
  port.onmessage = async ({ data }: MessageEvent<Request | 'bye'>) => {
    const engine = await opening
    if (data === 'bye') {
      leave()
      port.close()
    } else {
      post(await answered(engine, data))
    }
  }
}
