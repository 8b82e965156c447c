/**
 * The archive that a device hands to one that it links: whom this user knows, and the history.
 *
 * A stream of JSON objects, one a line, compressed with gzip; the same without people and compression is what is
 * exported. The first line names it; each other one has a `type`, and types that are not known are passed over:
 *
 *     {"type": "roost.archive", "version": 1, "user": "@alice:server", "made_at_ms": n}
 *     {"type": "peer", "peer": name, "devices": {...}, "identity": {...} or null}
 *     {"type": "message", ...}
 *     {"type": "end", "peers": n, "messages": n}
 */

import { unpadded } from '../../core/bytes'
import type { Pins } from '../../core/client/directory'
import type { Pin, PinnedIdentity } from '../../core/client/state'
import { encodedFile, readFile } from '../../core/content'
import { readKey } from '../../core/crypto/keys'
import { foldUsername } from '../../core/ids'
import { flag, list, type Members, members, oneOf, optional, text, whole } from '../../core/shapes'
import type { ThreadMessage } from '../../core/thread'
import { RoostError } from '../errors'

const VERSION = 1
const LONGEST_LINE = 1024 * 1024

/** What one device knows of a peer. */
export interface Person {
  peer: string
  devices: Pins
  identity: PinnedIdentity | null
}

export interface Archive {
  people: Person[]
  messages: ThreadMessage[]
}

/** Writes an archive of this user. */
export function written(address: string, madeAtMs: number, { people, messages }: Archive): Blob {
  const lines: Members[] = [
    { type: 'roost.archive', version: VERSION, user: address, made_at_ms: madeAtMs },
    ...people.map(personLine),
    ...messages.map(messageLine),
    { type: 'end', peers: people.length, messages: messages.length },
  ]
  return new Blob(
    lines.map(line => `${JSON.stringify(line)}\n`),
    { type: 'application/x-ndjson' },
  )
}

/** Reads an archive; throws `RoostError` if it is not one of this user, or damaged. */
export function read(content: string, address: string): Archive {
  try {
    const lines = content.split('\n').filter(line => line !== '')
    const [head, ...rest] = lines.map(line => {
      if (line.length > LONGEST_LINE) {
        throw new Error('a line is too long')
      }
      return members(JSON.parse(line))
    })
    if (head?.type !== 'roost.archive' || head.version !== VERSION || head.user !== address) {
      throw new RoostError('invalid', `This is no archive of ${address} that this version can read.`)
    }
    if (!rest.some(line => line.type === 'end')) {
      throw new Error('it ends early')
    }
    return {
      people: rest.filter(line => line.type === 'peer').map(readPerson),
      messages: rest.filter(line => line.type === 'message').map(readMessage),
    }
  } catch (error) {
    if (error instanceof RoostError) {
      throw error
    }
    throw new RoostError('invalid', `The archive is damaged: ${String(error)}.`)
  }
}

export const packed = (archive: Blob): Promise<Blob> => through(archive, new CompressionStream('gzip'))

export const unpacked = async (archive: Blob): Promise<string> =>
  (await through(archive, new DecompressionStream('gzip'))).text()

function through(blob: Blob, stream: GenericTransformStream): Promise<Blob> {
  return new Response(blob.stream().pipeThrough(stream)).blob()
}

function personLine({ peer, devices, identity }: Person): Members {
  const pins = [...devices].map(([device, pin]) => {
    const { current, confirmed, signed } = pin
    const keys = { curve25519: unpadded(pin.curve25519), ed25519: unpadded(pin.ed25519) }
    return [device, { ...keys, current, confirmed, signed }]
  })
  const known = identity?.keys && {
    master: unpadded(identity.keys.master),
    self_signing: unpadded(identity.keys.selfSigning),
    generation: identity.keys.generation,
    verified: identity.verified,
  }
  return { type: 'peer', peer, devices: Object.fromEntries(pins), identity: known ?? null }
}

function readPerson(line: Members): Person {
  const devices = Object.entries(members(line.devices)).map(([device, value]): [string, Pin] => {
    const pin = members(value)
    return [
      device,
      {
        curve25519: readKey(pin.curve25519),
        ed25519: readKey(pin.ed25519),
        current: flag(pin.current),
        offered: null,
        confirmed: flag(pin.confirmed),
        signed: flag(pin.signed),
      },
    ]
  })
  const identity = optional(line.identity, value => {
    const found = members(value)
    const keys = {
      master: readKey(found.master),
      selfSigning: readKey(found.self_signing),
      generation: whole(found.generation),
    }
    return { keys, verified: flag(found.verified), offered: null }
  })
  return { peer: foldUsername(text(line.peer)), devices: new Map(devices), identity }
}

/** A message as `roost.client.thread.Message` has it. */
function messageLine(row: ThreadMessage): Members {
  const reactions = new Map<string, string[]>()
  for (const [user, emoji] of row.reactions) {
    reactions.set(emoji, [...(reactions.get(emoji) ?? []), user])
  }
  return {
    type: 'message',
    peer: row.peer,
    id: row.id,
    author: row.author,
    device: row.device,
    mine: row.mine,
    kind: row.kind,
    text: row.text,
    at_ms: row.atMs,
    sent_at_ms: row.sentAtMs,
    seq: row.seq,
    reply_to: row.replyTo,
    file: row.file === null || row.file.mediaId === '' ? null : encodedFile(row.file),
    expires_in_s: row.timerS,
    edited_at_ms: row.editedAtMs,
    reactions: Object.fromEntries(reactions),
    code: row.failed || row.reason,
    expires_at_ms: row.expiresAtMs,
  }
}

const KINDS = ['text', 'file', 'timer', 'unknown', 'undecryptable', 'deleted'] as const

function readMessage(line: Members): ThreadMessage {
  const reactions = Object.entries(members(line.reactions ?? {})).flatMap(([emoji, users]) =>
    list(users).map((user): [string, string] => [text(user), emoji]),
  )
  const mine = flag(line.mine)
  const code = optional(line.code, text) ?? ''
  return {
    peer: foldUsername(text(line.peer)),
    id: text(line.id),
    author: text(line.author),
    mine,
    device: text(line.device),
    seq: optional(line.seq, whole),
    atMs: whole(line.at_ms),
    sentAtMs: whole(line.sent_at_ms),
    kind: oneOf(line.kind, ...KINDS),
    text: text(line.text),
    replyTo: optional(line.reply_to, text),
    file: optional(line.file, value => readFile(members(value))),
    timerS: optional(line.expires_in_s, whole),
    editedAtMs: optional(line.edited_at_ms, whole),
    reactions: new Map(reactions),
    reason: mine ? '' : code,
    failed: mine ? code : '',
    delivered: false,
    expired: false,
    expiresAtMs: optional(line.expires_at_ms, whole),
  }
}
