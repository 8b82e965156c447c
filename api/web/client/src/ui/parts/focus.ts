/** Give the focus back to what had it, once what is open now has gone; unless it went elsewhere meanwhile. */
export function returnFocus(): () => void {
  const before = document.activeElement
  return () => {
    const now = document.activeElement
    const lost = now === null || now === document.body || !now.isConnected
    if (lost && before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true })
  }
}
