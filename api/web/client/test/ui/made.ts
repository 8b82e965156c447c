/** Messages for tests. */

import type { MessageView } from '../../src/app/contract'

export function message(id: string, atMs: number, more: Partial<MessageView> = {}): MessageView {
  return {
    id,
    peer: 'bob',
    mine: false,
    device: 'D1',
    atMs,
    writtenAtMs: null,
    unconfirmed: false,
    kind: 'text',
    text: id,
    replyTo: null,
    quoted: null,
    edited: false,
    reactions: [],
    file: null,
    state: null,
    code: '',
    expiresAtMs: null,
    seq: null,
    ...more,
  }
}
