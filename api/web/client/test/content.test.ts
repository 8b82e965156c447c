import { describe, expect, test } from 'vitest'
import { concat, fromBase64, unpadded, utf8 } from '../src/core/bytes'
import {
  type Content,
  encodeContent,
  encodedFile,
  isControl,
  MAX_CONTENT,
  readContent,
} from '../src/core/content'
import { safeName } from '../src/core/filenames'
import vectors from './vectors/content.json'

/** Content in the form of Python's members, without those that are not there. */
function plain(content: Content): object {
  switch (content.kind) {
    case 'text':
      return { kind: 'text', text: content.text, ...reply(content.replyTo) }
    case 'file': {
      const caption = content.caption === '' ? {} : { caption: content.caption }
      return { kind: 'file', file: fileOf(encodedFile(content.file)), ...caption, ...reply(content.replyTo) }
    }
    case 'timer':
      return { kind: 'timer', expires_in_s: content.expiresInS }
    default:
      return content
  }
}

const reply = (id: string | null) => (id === null ? {} : { reply_to: id })

/** Python leaves out what has its default. */
const fileOf = (members: object) =>
  Object.fromEntries(
    Object.entries(members).filter(
      ([name, value]) =>
        !(name === 'name' && value === '') && !(name === 'type' && value === 'application/octet-stream'),
    ),
  )

describe('content', () => {
  test.each(vectors.known)('that Python encodes is read: $is.kind', each => {
    const content = readContent(fromBase64(each.content))
    expect(plain(content)).toEqual(each.is)
    expect(plain(readContent(encodeContent(content)))).toEqual(each.is)
  })

  test('of text alone has the same bytes', () => {
    const text: Content = { kind: 'text', text: 'hello', replyTo: null }
    expect(unpadded(encodeContent(text))).toBe(vectors.known[0]?.content)
  })

  test.each(vectors.odd.map((each, at) => [at, each] as const))(
    'that is odd is read alike: %i',
    (_, each) => {
      expect(plain(readContent(fromBase64(each.content)))).toEqual(each.is)
    },
  )

  test('that is too long is malformed', () => {
    const long = concat(
      Uint8Array.of(0xff),
      utf8(`roost\x01{"kind":"text","text":"${'a'.repeat(MAX_CONTENT)}"}`),
    )
    expect(readContent(long)).toEqual({ kind: 'unknown', name: 'malformed' })
  })

  test('that changes what else is shown is sent silently', () => {
    const kinds = vectors.known.map(each => readContent(fromBase64(each.content)))
    const controls = new Set(kinds.filter(isControl).map(each => each.kind))
    expect([...controls]).toEqual(['reaction', 'edit', 'delete', 'timer', 'read', 'linked'])
  })
})

test.each(vectors.names)('the name %j is made harmless as Python does: %j', (name, safe) => {
  expect(safeName(name as string)).toBe(safe)
})
