/** Tokens of a session: what they say, when to renew them, and where they outlive a reload of the tab. */
import { members, optional, text, whole } from '../../core/shapes'
import type { Shape } from '../../engine/transport/answers'

/** The part of an access token's life after which a new one is fetched. */
const RENEW_AT = 0.8
const PLACE = 'roost-ops'

export interface Granted {
  access: string
  refresh: string
  lifetimeMs: number
  username: string
  deviceId: string
}

export const granted: Shape<Granted> = body => {
  const found = members(body)
  return {
    access: text(found.access_token),
    refresh: text(found.refresh_token),
    lifetimeMs: whole(found.expires_in) * 1_000,
    username: text(found.username),
    deviceId: text(found.device_id),
  }
}

/** The scopes that an access token names. It is the server that checks them: here they only decide what is shown. */
export function scopesOf(access: string): string[] {
  try {
    const claims = access.split('.')[1] ?? ''
    const plain = atob(claims.replaceAll('-', '+').replaceAll('_', '/'))
    return (optional(members(JSON.parse(plain)).scope, text) ?? '').split(' ').filter(Boolean)
  } catch {
    return [] // no token of this server; it will say so itself
  }
}

export const renewAtMs = (nowMs: number, lifetimeMs: number): number => nowMs + lifetimeMs * RENEW_AT

/** What a reload needs: the refresh token, in storage that ends with the tab. */
export interface Kept {
  refresh: string
  deviceId: string
}

export function keep(kept: Kept | null): void {
  if (kept === null) sessionStorage.removeItem(PLACE)
  else sessionStorage.setItem(PLACE, JSON.stringify(kept))
}

export function kept(): Kept | null {
  try {
    const found = members(JSON.parse(sessionStorage.getItem(PLACE) ?? 'null'))
    return { refresh: text(found.refresh), deviceId: text(found.deviceId) }
  } catch {
    return null
  }
}
