/** What pages ask about this user: devices, profile, history. */

import type { DeviceView } from '../../app/contract'
import { addressOf } from '../../core/ids'
import { flag, list, members, optional, text, whole } from '../../core/shapes'
import { read as readArchive } from '../identity/archive'
import { opened } from '../identity/locked'
import type { Present } from '../present/present'
import { profileShape } from '../present/profiles'
import { EMPTY } from '../transport/answers'
import type { Some } from './handlers'

export function ownCommands(present: Present) {
  const { account, api, client, history, identity, linker, profile, profiles, sending } = present
  const address = addressOf(account.username, account.serverName)
  return {
    devices: async () => {
      const found = await api.call('GET', '/v1/devices', devicesShape)
      const keys = (await client.keys.query([account.username])).get(account.username)
      if (keys !== undefined) {
        client.peers.arrived(account.username, keys)
      }
      return found.map(device => ({
        ...device,
        fingerprint: fingerprintOf(keys?.bundles[device.id], device.id),
        confirmed: client.directory.isConfirmed(account.username, device.id),
      }))
    },

    removeDevice: async ({ id }) => {
      await api.call('DELETE', `/v1/devices/${encodeURIComponent(id)}`, EMPTY)
      const keys = (await client.keys.query([account.username])).get(account.username)
      if (keys !== undefined) {
        client.peers.arrived(account.username, keys)
        const others = Object.entries(keys.bundles).filter(
          ([device]) =>
            device !== id &&
            device !== account.deviceId &&
            client.directory.isConfirmed(account.username, device),
        )
        await identity.renew(Object.fromEntries(others))
      }
      return undefined
    },

    linkCode: async () => {
      const { code, endsMs } = linker.code()
      return { code, qr: code, expiresAtMs: endsMs }
    },

    link: async ({ code }) => {
      const answer = await linker.answer(code)
      await sending.say(account.username, answer)
      return undefined
    },

    profile: async ({ holdNewDevices, ...changes }) => {
      if (holdNewDevices !== undefined) {
        client.directory.holdNew = holdNewDevices
        await profiles.keep({ holdNewDevices })
      }
      const body = {
        display_name: changes.displayName,
        last_seen: changes.lastSeen,
        read_receipts: changes.readReceipts,
        delivery_receipts: changes.deliveryReceipts,
        requests: changes.requests,
      }
      if (Object.keys(changes).length > 0) {
        await profiles.keep(await api.call('PATCH', '/v1/me', profileShape, { body }))
      }
      return { ...profile }
    },

    changePassword: async ({ old, new: fresh }) => {
      await api.call('PUT', '/v1/me/password', EMPTY, { body: { old, new: fresh } })
      return undefined
    },

    enablePush: async subscription => {
      const path = '/v1/devices/current/push'
      if (subscription === null) {
        await api.call('DELETE', path, EMPTY)
        return undefined
      }
      const { endpoint, p256dh, auth } = subscription
      const body = { provider: 'webpush', endpoint, keys: { p256dh, auth } }
      await api.call('PUT', path, EMPTY, { body })
      return undefined
    },

    pushKey: async () => {
      const shape = (body: unknown) => text(members(body).application_server_key)
      return { applicationServerKey: await api.call('GET', '/v1/push/webpush', shape) }
    },

    importHistory: async ({ file, passphrase }) => {
      const { lines } = readArchive(await opened(file, passphrase), address)
      return { messages: await history.takeOver(lines) }
    },
  } satisfies Some
}

const devicesShape = (body: unknown): DeviceView[] =>
  list(members(body).devices).map(each => {
    const device = members(each)
    return {
      id: text(device.device_id),
      name: text(device.name),
      current: flag(device.current),
      createdAtMs: whole(device.created_at_ms),
      lastSeenMs: optional(device.last_seen_ms, whole),
      fingerprint: '',
      confirmed: true,
    }
  })

function fingerprintOf(bundle: unknown, device: string): string {
  const keys = (bundle as { keys?: { [name: string]: unknown } } | undefined)?.keys
  const key = keys?.[`ed25519:${device}`]
  return typeof key === 'string' ? key : ''
}
