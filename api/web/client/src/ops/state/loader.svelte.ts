/** What a view asks the server for: what came, what went wrong, and asking again. */
import { onMount } from 'svelte'
import { reason } from './ops.svelte'

export class Loader<T> {
  value = $state.raw<T | null>(null)
  failure = $state('')
  busy = $state(false)
  readonly #ask: () => Promise<T>

  constructor(ask: () => Promise<T>) {
    this.#ask = ask
  }

  /** Ask again. What was there stays until the answer is. */
  again = async (): Promise<void> => {
    if (this.busy) return
    this.busy = true
    try {
      this.value = await this.#ask()
      this.failure = ''
    } catch (error) {
      this.failure = reason(error)
    } finally {
      this.busy = false
    }
  }
}

/** A loader that asks when its view is shown, and then every so many ms while it is looked at. */
export function loader<T>(ask: () => Promise<T>, everyMs = 0): Loader<T> {
  const made = new Loader(ask)
  onMount(() => {
    void made.again()
    if (!everyMs) return
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') void made.again()
    }, everyMs)
    return () => clearInterval(timer)
  })
  return made
}
