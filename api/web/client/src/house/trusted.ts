/**
 * The only scripts that code may load by their address are the build's own.
 *
 * The policy of the pages demands a trusted value wherever a string could become code. This default policy
 * makes one out of the addresses of workers, and of nothing else: no HTML, no source text.
 */
interface Policies {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): unknown
}

export function allowOwnScripts(): void {
  const policies = (globalThis as { trustedTypes?: Policies }).trustedTypes
  const base = new URL('./', document.baseURI).href
  policies?.createPolicy('default', {
    createScriptURL(url) {
      const whole = new URL(url, base).href
      const path = whole.startsWith(base) ? whole.slice(base.length) : ''
      if (path === 'sw.js' || /^assets\/[\w.-]+\.js$/.test(path)) return whole
      throw new TypeError(`${url} is no script of this client`)
    },
  })
}
