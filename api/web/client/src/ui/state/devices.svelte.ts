/** The person's own devices: which there are, and which of them are not confirmed. */

import type { DeviceView, Engine } from '../../app/contract'
import { whyFailed } from '../lib/words'

export class OwnDevices {
  list = $state.raw<DeviceView[]>([])
  loaded = $state(false)
  trouble = $state('')

  /** This device, if it has yet to be linked with another one. */
  readonly unlinked = $derived(this.list.length > 1 && this.list.some(one => one.current && !one.confirmed))
  /** Other devices that wait to be confirmed, or do not belong here. */
  readonly strangers = $derived(this.list.filter(one => !one.current && !one.confirmed))

  constructor(private readonly engine: Engine) {}

  async load(): Promise<void> {
    try {
      const list = await this.engine.call('devices', undefined)
      this.list = list.toSorted(
        (a, b) => Number(b.current) - Number(a.current) || b.createdAtMs - a.createdAtMs,
      )
      this.trouble = ''
    } catch (reason) {
      this.trouble = whyFailed(reason)
    }
    this.loaded = true
  }

  clear(): void {
    this.list = []
    this.loaded = false
  }
}
