/**
 * The archive that a device hands to one that it links: whom this user knows, and the history.
 *
 * A stream of JSON objects, one a line, compressed with gzip; the same without people and compression is what is
 * exported. The first line names it; each other one has a `type`, and types that are not known are passed over:
 *
 *     {"type": "roost.archive", "version": 1, "user": "@alice:server", "made_at_ms": n}
 *     {"type": "peer", "peer": name, "devices": {...}, "identity": {...} or null}
 *     {"type": "message", "peer", "author", "device", "id", "content", "at_ms", "sent_at_ms", "seq", "expires_at_ms",
 *      "unconfirmed"?}
 *     {"type": "receipt", "peer", "delivered_seq", "read_seq"}
 *     {"type": "read", "peer", "seq"}
 *     {"type": "end", "peers": n, "lines": n}
 *
 * The SDK has the same (`roost/client/archive.py`, `roost/client/store/copies.py`).
 */

import { fromBase64, unpadded } from '../../core/bytes'
import type { Pins } from '../../core/client/directory'
import type { Pin, PinnedIdentity } from '../../core/client/state'
import { readKey } from '../../core/crypto/keys'
import { foldUsername, uuid7Ms } from '../../core/ids'
import { flag, type Members, members, optional, seqOf, text, whole } from '../../core/shapes'
import { RoostError } from '../errors'

const VERSION = 1
const LONGEST_LINE = 1024 * 1024

/** What one device knows of a peer. */
export interface Person {
  peer: string
  devices: Pins
  identity: PinnedIdentity | null
}

/** A line of the history: what was said, as it was sealed, and how far it got. */
export type HistoryLine =
  | {
      type: 'message'
      peer: string
      author: string
      device: string
      id: string
      content: Uint8Array
      atMs: number
      sentAtMs: number
      seq: number | null
      expiresAtMs: number | null
      /** The author's identity had not signed the device. */
      unconfirmed: boolean
    }
  | { type: 'receipt'; peer: string; deliveredSeq: number; readSeq: number }
  | { type: 'read'; peer: string; seq: number }

export interface Archive {
  people: Person[]
  lines: HistoryLine[]
}

/** Writes an archive of this user. */
export function written(address: string, madeAtMs: number, { people, lines: history }: Archive): Blob {
  const lines: Members[] = [
    { type: 'roost.archive', version: VERSION, user: address, made_at_ms: madeAtMs },
    ...people.map(personLine),
    ...history.map(historyLine),
    { type: 'end', peers: people.length, lines: history.length },
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
      lines: rest.flatMap(readLine),
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

function historyLine(line: HistoryLine): Members {
  switch (line.type) {
    case 'message': {
      const { type, peer, author, device, id, content, atMs, sentAtMs, seq, expiresAtMs } = line
      const times = { at_ms: atMs, sent_at_ms: sentAtMs, seq, expires_at_ms: expiresAtMs }
      const doubt = line.unconfirmed ? { unconfirmed: true } : {}
      return { type, peer, author, device, id, content: unpadded(content), ...times, ...doubt }
    }
    case 'receipt':
      return {
        type: 'receipt',
        peer: line.peer,
        delivered_seq: line.deliveredSeq,
        read_seq: line.readSeq,
      }
    case 'read':
      return { ...line }
  }
}

function readLine(line: Members): HistoryLine[] {
  switch (line.type) {
    case 'message':
      uuid7Ms(text(line.id))
      return [
        {
          type: 'message',
          peer: foldUsername(text(line.peer)),
          author: foldUsername(text(line.author)),
          device: text(line.device),
          id: text(line.id),
          content: fromBase64(text(line.content)),
          atMs: whole(line.at_ms),
          sentAtMs: whole(line.sent_at_ms),
          seq: optional(line.seq, seqOf),
          expiresAtMs: optional(line.expires_at_ms, whole),
          unconfirmed: optional(line.unconfirmed, flag) ?? false,
        },
      ]
    case 'receipt': {
      const [deliveredSeq, readSeq] = [seqOf(line.delivered_seq), seqOf(line.read_seq)]
      return [{ type: 'receipt', peer: foldUsername(text(line.peer)), deliveredSeq, readSeq }]
    }
    case 'read':
      return [{ type: 'read', peer: foldUsername(text(line.peer)), seq: seqOf(line.seq) }]
    default:
      return []
  }
}
