/** The people of the demo. */

import type { Conversation, DeviceView, Profile } from '../app/contract'

export const ME: Profile = {
  username: 'alice',
  displayName: 'Alice Ondine',
  server: 'roost.example',
  deviceId: 'MYDEVICE01',
  lastSeen: 'contacts',
  readReceipts: true,
  deliveryReceipts: 'everyone',
  requests: true,
  holdNewDevices: false,
}

function person(peer: string, displayName: string, more: Partial<Conversation> = {}): Conversation {
  return {
    peer,
    displayName,
    last: null,
    unread: 0,
    draft: '',
    presence: null,
    typing: false,
    trust: 'new',
    blocked: false,
    request: false,
    timerS: null,
    ...more,
  }
}

export function people(now: number): Conversation[] {
  return [
    person('bob', 'Bob Larsen', {
      unread: 2,
      trust: 'verified',
      timerS: 86_400,
      presence: { state: 'online', lastSeenMs: null },
    }),
    person('carol', 'Carol Whitfield-Montgomery of the Northern Marshes', {
      presence: { state: 'offline', lastSeenMs: now - 23 * 60_000 },
    }),
    person('dmitri', 'Дмитрий Иванов', { trust: 'changed' }),
    person('emi', '絵美', { draft: '明日の', presence: { state: 'online', lastSeenMs: null } }),
    person('farid', 'فريد الحسن', { typing: true, unread: 12, trust: 'unconfirmed' }),
    person('gus', 'Gus', { blocked: true }),
    person('hanna', 'Hanna Vogel', {
      unread: 1,
      presence: { state: 'offline', lastSeenMs: now - 26 * 3_600_000 },
    }),
    ...Array.from({ length: 14 }, (_, at) => person(`friend.${at}`, `Friend ${at + 1}`)),
    person('stranger', 'A Stranger', { request: true, unread: 1 }),
  ]
}

export function devices(now: number): DeviceView[] {
  const day = 86_400_000
  const device = (id: string, name: string, more: Partial<DeviceView>): DeviceView => ({
    id,
    name,
    current: false,
    createdAtMs: now - 90 * day,
    lastSeenMs: now - day,
    fingerprint: 'f3a1 9c07 55de 81b2 0c4e 7d19 aa60 42ef',
    confirmed: true,
    ...more,
  })
  return [
    device('MYDEVICE01', 'Firefox on Linux', { current: true, lastSeenMs: now }),
    device('PHONE00001', 'Phone', {}),
    device('TERMINAL01', 'roost chat', {
      confirmed: false,
      createdAtMs: now - 3_600_000,
      lastSeenMs: now - 60_000,
    }),
  ]
}
