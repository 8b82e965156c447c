/** Codes and states as sentences: what happened, and what to do. */

import type { CommandError, Connection, SendState } from '../../app/contract'

export const STATE_WORDS: Record<SendState, string> = {
  sending: 'Sending',
  sent: 'Sent',
  delivered: 'Delivered',
  read: 'Read',
  failed: 'Not sent',
  expired: 'Disappeared',
}

export const CONNECTION_WORDS: Record<Connection, string> = {
  offline: 'You are offline. Messages you write are sent when you are back.',
  connecting: 'Connecting…',
  syncing: 'Fetching messages…',
  online: 'Connected',
  polling:
    'This network blocks live connections: messages take a slower way, and you do not see who is there.',
}

/** Whether messages come and go. */
export const isOnline = (connection: Connection): boolean =>
  connection === 'online' || connection === 'polling'

const CODES: Record<string, string> = {
  bad_credentials: 'Username or password is wrong.',
  device_mismatch: 'The other side’s devices changed while sending. Try again.',
  id_expired: 'This device’s clock may be wrong. Set it, then try again.',
  identity_changed: 'The person’s keys changed. Agree to the new ones, then try again.',
  internal: 'Something went wrong on the server. Try again in a moment.',
  invalid_signature: 'The server gave out keys that do not verify. Nothing was sent.',
  mailbox_full: 'The recipient has too many messages waiting. Try again later.',
  media_quota: 'Your space for files on the server is used up.',
  network: 'The server cannot be reached. Check your connection.',
  no_devices: 'This person has no device that can receive messages yet.',
  rate_limited: 'Too many attempts. Wait a moment, then try again.',
  revoked: 'This session was ended from another device. Sign in again.',
  token_reused: 'This session was used twice and has been ended, to be safe. Sign in again.',
  too_large: 'This is larger than the server allows.',
  unauthenticated: 'The session has ended. Sign in again.',
  unavailable: 'A part of the server is temporarily away. Try again in a moment.',
  unknown_device: 'This device was removed from the account.',
  unknown_media: 'The file is no longer on the server.',
  unknown_user: 'No one has this username. Names are exact: check the spelling.',
  username_taken: 'This username is taken. Choose another.',
  unverified: 'A device of this person is not confirmed by its owner.',
  expired: 'It could not be sent before its time to disappear.',
}

/** The sentence for a code; what the server said if there is none. */
export function sentence(code: string, detail = ''): string {
  return CODES[code] ?? (detail || `It was refused (${code}).`)
}

export function isCommandError(reason: unknown): reason is CommandError {
  return typeof reason === 'object' && reason !== null && typeof (reason as CommandError).code === 'string'
}

/** Codes of many refusals: the server's sentence says which. */
const SAID_BEST = new Set(['invalid', 'bad_request', 'too_large'])

/** Why something failed, whatever was thrown. */
export function whyFailed(reason: unknown): string {
  if (!isCommandError(reason)) return reason instanceof Error ? reason.message : String(reason)
  const wait = reason.retryAfterS ? ` (in ${Math.ceil(reason.retryAfterS)} s)` : ''
  const said = SAID_BEST.has(reason.code) ? tidy(reason.detail) : ''
  return (said || sentence(reason.code, reason.detail)) + wait
}

/** The server names the field in front: "body.password: it must ..." becomes "It must ...". */
function tidy(detail: string): string {
  const text = detail.replace(/^[a-z_.]+: */, '')
  return text.charAt(0).toUpperCase() + text.slice(1)
}

const UNREADABLE: Record<string, [reason: string, advice: string]> = {
  not_for_this_key: [
    'It was encrypted for a key that this device does not have.',
    'Ask for it to be sent again, or read it on another device of yours.',
  ],
  unknown_device: [
    'The device that it says it is from is not known.',
    'Ask whether the person has a new device, then ask for it to be sent again.',
  ],
  bad_signature: [
    'It is not signed by the device that it says it is from.',
    'Do not trust it. Compare safety numbers with this person.',
  ],
  wrong_heading: [
    'It is a real message, but not the one that it was delivered as.',
    'Someone between you may have moved it. Compare safety numbers with this person.',
  ],
  malformed: ['It arrived damaged.', 'Ask for it to be sent again.'],
  unknown_suite: [
    'It uses an encryption that this version does not know.',
    'Reload the page to update Roost.',
  ],
}

/** Why a message could not be decrypted, and what to do about it. */
export function unreadable(code: string): { reason: string; advice: string } {
  const [reason, advice] = UNREADABLE[code] ?? [
    `Its encryption did not hold (${code.replaceAll('_', ' ') || 'damaged'}).`,
    'Ask for it to be sent again. If it happens often, compare safety numbers.',
  ]
  return { reason, advice }
}
