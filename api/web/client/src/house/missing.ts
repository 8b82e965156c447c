/** What this browser, or the way to the server, lacks: without it there is no encryption, so no client. */

export function missing(): string | null {
  if (!isSecureContext) {
    return (
      'Browsers encrypt only on pages that came over TLS, or from this very machine. ' +
      `Open this server with https:// instead of ${location.protocol}//, or ask whoever runs it for TLS.`
    )
  }
  if (!globalThis.crypto?.subtle || !globalThis.WebSocket) {
    return 'This browser is too old: it cannot encrypt. Use a current one.'
  }
  return null
}
