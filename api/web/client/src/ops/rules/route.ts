/** Where on the page one is, kept in the address so that back, forward and reload work. */

export const VIEWS = ['overview', 'events', 'connections', 'users', 'dead', 'settings'] as const
export type View = (typeof VIEWS)[number]

export type Route = { view: View | 'role'; name: string | null }

export function parse(hash: string): Route {
  const [first, second] = hash.replace(/^#\/?/, '').split('/').map(decoded)
  if (first === 'role' && second) return { view: 'role', name: second }
  const view = VIEWS.find(each => each === first) ?? 'overview'
  return { view, name: view === 'users' && second ? second : null }
}

export function format({ view, name }: Route): string {
  return `#/${view}${name === null ? '' : `/${encodeURIComponent(name)}`}`
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return '' // an address that someone mistyped leads to the overview
  }
}
