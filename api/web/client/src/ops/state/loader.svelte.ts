/** What a view asks the server for: what came, what went wrong, and asking again. */
import { onMount } from 'svelte'
import { reason } from './ops.svelte'

export class Loader<T> {
  value = $state.raw<T | null>(null)
  failure = $state('')
  busy = $state(false)
  readonly #ask: () => Promise<T>
  #turn = 0

  constructor(ask: () => Promise<T>) {
    this.#ask = ask
  }

  /** Ask again. What was there stays until the answer is here; an answer to what was asked before is dropped. */
  again = async (): Promise<void> => {
    this.#turn += 1
    const turn = this.#turn
    this.busy = true
    const [value, failure] = await this.#ask().then(
      found => [found, ''] as const,
      error => [null, reason(error)] as const,
    )
    if (turn !== this.#turn) return
    if (!failure) this.value = value
    this.failure = failure
    this.busy = false
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
