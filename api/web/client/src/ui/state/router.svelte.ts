/** Where in the app the person is, kept in the address so that back, forward and reload work. */

export type Panel = 'details' | null
export type Route =
  | { view: 'chats'; peer: string | null; panel: Panel }
  | { view: 'settings'; section: string | null }

/** Read a route from the part of an address behind `#`. */
export function parse(hash: string): Route {
  const [first, second, third] = hash.replace(/^#\/?/, '').split('/').map(decoded)
  if (first === 'settings') return { view: 'settings', section: second || null }
  if (first !== 'with' || !second) return { view: 'chats', peer: null, panel: null }
  return { view: 'chats', peer: second, panel: third === 'details' ? 'details' : null }
}

export function format(route: Route): string {
  if (route.view === 'settings') return route.section ? `#/settings/${route.section}` : '#/settings'
  if (!route.peer) return '#/'
  return `#/with/${encodeURIComponent(route.peer)}${route.panel ? `/${route.panel}` : ''}`
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return '' // an address that someone mistyped leads to the list
  }
}

export class Router {
  route = $state.raw<Route>(parse(location.hash))

  constructor() {
    addEventListener('hashchange', () => {
      this.route = parse(location.hash)
    })
  }

  get peer(): string | null {
    return this.route.view === 'chats' ? this.route.peer : null
  }

  get panel(): Panel {
    return this.route.view === 'chats' ? this.route.panel : null
  }

  go(route: Route): void {
    location.hash = format(route)
    this.route = route
  }

  chat(peer: string | null, panel: Panel = null): void {
    this.go({ view: 'chats', peer, panel })
  }

  settings(section: string | null = null): void {
    this.go({ view: 'settings', section })
  }
}
