/**
 * A history as one file: JSON lines, a line saying what it is, then one for each message.
 *
 * It is not encrypted, and holds the keys of files: whoever has it reads everything.
 */

import { fromBase64, unpadded } from '../core/bytes'
import type { FileReference } from '../core/content'
import { Malformed, type Members, members, text, whole } from '../core/shapes'
import type { MessageRow } from './book/rows'
import { RoostError } from './errors'

const FORMAT = 'roost.history.v1'
const LONGEST_LINE = 1024 * 1024

/** Writes the messages of a user. */
export function exported(username: string, serverName: string, rows: MessageRow[]): Blob {
  const lines = [JSON.stringify({ format: FORMAT, username, server: serverName })]
  for (const row of rows) {
    const { tick: _tick, ends: _ends, file, reactions, ...rest } = row
    lines.push(JSON.stringify({ ...rest, file: file && encoded(file), reactions: [...reactions] }))
  }
  return new Blob([`${lines.join('\n')}\n`], { type: 'application/x-ndjson' })
}

/** Reads the messages of this user; throws `RoostError` if it is not such a file, or somebody else's. */
export function imported(content: string, username: string, serverName: string): MessageRow[] {
  const [first, ...lines] = content.split('\n').filter(line => line !== '')
  try {
    const head = members(JSON.parse(first ?? ''))
    if (head.format !== FORMAT) {
      throw new Malformed('another format')
    }
    if (head.username !== username || head.server !== serverName) {
      throw new RoostError('invalid', 'This is the history of somebody else.')
    }
    return lines.map(row)
  } catch (error) {
    if (error instanceof RoostError) {
      throw error
    }
    throw new RoostError('invalid', 'This is no history that Roost has exported.')
  }
}

function row(line: string): MessageRow {
  if (line.length > LONGEST_LINE) {
    throw new Malformed('a line is too long')
  }
  const found = members(JSON.parse(line))
  const file = found.file
  return {
    ...(found as unknown as MessageRow),
    peer: text(found.peer),
    id: text(found.id),
    author: text(found.author),
    text: text(found.text),
    atMs: whole(found.atMs),
    sentAtMs: whole(found.sentAtMs),
    file: file === null || file === undefined ? null : decoded(members(file)),
    reactions: new Map(found.reactions as [string, string][]),
  }
}

const encoded = (file: FileReference): Members => ({
  ...file,
  key: unpadded(file.key),
  sha256: unpadded(file.sha256),
  thumbnail: file.thumbnail && unpadded(file.thumbnail),
})

const decoded = (file: Members): FileReference => ({
  ...(file as unknown as FileReference),
  key: fromBase64(text(file.key)),
  sha256: fromBase64(text(file.sha256)),
  thumbnail: typeof file.thumbnail === 'string' ? fromBase64(file.thumbnail) : null,
})
