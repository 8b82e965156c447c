/** The lock of the engine: one at a time for all tabs and workers of this browser. */

const NAME = 'roost-engine'

/** Takes the lock from whatever engine of an older page has it; `stolen` is called when a newer one takes it. */
export async function untilStolen(stolen: () => Promise<void>): Promise<void> {
  if (!('locks' in navigator)) {
    return // a page without TLS: the fence of the store is what there is
  }
  const forever = () => new Promise<void>(() => {})
  try {
    await navigator.locks.request(NAME, { steal: true }, forever)
  } catch {
    await stolen()
  }
}

/** Resolves once this page has the lock, which it keeps until it is closed. */
export function elected(): Promise<void> {
  if (!('locks' in navigator)) {
    return Promise.resolve()
  }
  return new Promise(resolve => {
    void navigator.locks.request(NAME, () => {
      resolve()
      return new Promise<void>(() => {})
    })
  })
}
