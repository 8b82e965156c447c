import { expect, test } from 'vitest'
import { type Archive, packed, read, unpacked, written } from '../../src/engine/identity/archive'

const ADDRESS = '@alice:example.org'
const key = (byte: number) => new Uint8Array(32).fill(byte)
const archive: Archive = {
  people: [
    {
      peer: 'bob',
      devices: new Map([
        [
          'B1',
          {
            ...{ curve25519: key(1), ed25519: key(2), offered: null },
            ...{ current: true, confirmed: true, signed: false },
          },
        ],
      ]),
      identity: {
        keys: { master: key(3), selfSigning: key(4), generation: 2 },
        verified: true,
        offered: null,
      },
    },
    { peer: 'carol', devices: new Map(), identity: null },
  ],
  lines: [
    {
      ...{ type: 'message', peer: 'bob', author: 'alice', device: 'A1' },
      ...{ id: '01a225a7-d614-74df-9f7c-8facc7fd417a', content: new Uint8Array([0xff, 0, 104, 105]) },
      ...{ atMs: 2, sentAtMs: 1, seq: null, expiresAtMs: null, unconfirmed: false },
    },
    { type: 'receipt', peer: 'bob', deliveredSeq: 7, readSeq: 3 },
    { type: 'read', peer: 'bob', seq: 4 },
  ],
}

test('an archive is read as it was written', async () => {
  const text = await unpacked(await packed(written(ADDRESS, 5, archive)))
  expect(read(text, ADDRESS)).toEqual(archive)
  expect(text.split('\n')[0]).toBe(
    '{"type":"roost.archive","version":1,"user":"@alice:example.org","made_at_ms":5}',
  )
})

test('what is not known in it is passed over; what is cut, damaged or of another user is refused', async () => {
  const text = await written(ADDRESS, 5, archive).text()
  const lines = text.split('\n')
  const more = [...lines.slice(0, 2), '{"type":"later"}', ...lines.slice(2)].join('\n')
  expect(read(more, ADDRESS)).toEqual(archive)
  expect(() => read(text, '@bob:example.org')).toThrow('no archive of')
  for (const bad of ['', lines.slice(0, -2).join('\n'), text.replace('"bob"', '7'), text.replace('}', '')]) {
    expect(() => read(bad, ADDRESS)).toThrow(expect.objectContaining({ code: 'invalid' }))
  }
})
