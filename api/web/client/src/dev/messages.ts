/** Messages for the demo: every kind of them, and ten thousand in one conversation. */

import type { MessageView } from '../app/contract'
import { picture } from './pictures'

const MINUTE = 60_000
const DAY = 86_400_000

let count = 0

export function message(
  peer: string,
  atMs: number,
  text: string,
  more: Partial<MessageView> = {},
): MessageView {
  const mine = more.mine ?? false
  return {
    id: `${Math.floor(atMs).toString(16).padStart(12, '0')}-${(count++).toString().padStart(6, '0')}`,
    peer,
    mine,
    device: mine ? 'MYDEVICE01' : 'THEIRDEV01',
    atMs,
    writtenAtMs: null,
    unconfirmed: false,
    kind: 'text',
    text,
    replyTo: null,
    quoted: null,
    edited: false,
    reactions: [],
    file: null,
    state: mine ? 'read' : null,
    code: '',
    expiresAtMs: null,
    seq: count,
    ...more,
  }
}

const LINES = [
  'Are you coming on Saturday?',
  'Yes! Around seven, if the train is on time.',
  'Perfect. I bake something.',
  '😀',
  'Did you see the swallows on the wire this morning? There must have been forty of them, side by side, and then all of them were gone at once.',
  'They gather before they leave.',
  'https://en.example.org/wiki/Barn_swallow (the part on migration)',
  'Ok',
  'Can you bring the blue bag? The one with the zip that sticks.\nAnd the keys.',
  'لا بأس، سأكون هناك في السابعة',
  '明日また話しましょう。',
  'I will be a little late, sorry 🙈',
]

/** A long conversation: ten thousand messages over a year. */
export function long(peer: string, now: number, total = 10_000): MessageView[] {
  const made: MessageView[] = []
  let at = now - 365 * DAY
  const step = (365 * DAY - 3 * 60 * MINUTE) / total
  for (let index = 0; index < total; index++) {
    at += step * (0.25 + ((index * 7919) % 150) / 100)
    const text = LINES[(index * 31) % LINES.length] ?? ''
    made.push(
      message(peer, Math.min(at, now - MINUTE), `${text}${index % 5 === 0 ? ` (${index + 1})` : ''}`, {
        mine: index % 3 === 1,
      }),
    )
  }
  return made
}

/** What looks like a person, and may not be. */
export function doubtful(peer: string, now: number): MessageView[] {
  const doubt = { unconfirmed: true, device: 'ADDEDDEV01' }
  return [
    message(peer, now - 50 * MINUTE, 'أنا هنا من متصفح جديد.', doubt),
    message(peer, now - 49 * MINUTE, 'Can you send me the code that you just got?', {
      ...doubt,
      edited: true,
    }),
    message(peer, now - 48 * MINUTE, 'Who is asking?', { mine: true }),
    message(peer, now - 40 * MINUTE, 'Yes', { writtenAtMs: now - 290 * MINUTE }),
    message(peer, now - 30 * MINUTE, 'This is you, too', { ...doubt, mine: true }),
  ]
}

/** One of each kind that there is. */
export async function everything(peer: string, now: number): Promise<MessageView[]> {
  const at = now - 26 * 60 * MINUTE
  const today = now - 3 * 60 * MINUTE
  const [lake, birds] = [await picture(1200, 800, 7), await picture(900, 1200, 3)]
  const question = message(peer, at + 4 * MINUTE, 'Which one do you like better, the lake or the birds?')
  return [
    message(peer, at, 'Hello! I am on Roost now, too 🎉'),
    message(peer, at + 1 * MINUTE, 'This way no one reads along.'),
    message(peer, at + 2 * MINUTE, 'Welcome! Nice to see you here.', {
      mine: true,
      reactions: [{ emoji: '❤️', users: [peer] }],
    }),
    message(peer, at + 3 * MINUTE, '', { kind: 'file', file: lake }),
    message(peer, at + 3 * MINUTE + 1, 'The other one', { kind: 'file', file: birds }),
    question,
    message(peer, at + 6 * MINUTE, 'The birds. Look how they sit: https://example.org/birds?id=40#wire', {
      mine: true,
      replyTo: question.id,
      quoted: { author: peer, text: question.text },
      reactions: [
        { emoji: '👍', users: [peer, 'alice'] },
        { emoji: '😂', users: [peer] },
      ],
    }),
    message(peer, at + 8 * MINUTE, 'One second, a typo.', { mine: true, edited: true }),
    message(peer, today, '', { kind: 'deleted' }),
    message(peer, today + MINUTE, '', { kind: 'undecryptable', code: 'not_for_this_key' }),
    message(peer, today + 2 * MINUTE, '', { kind: 'unknown', code: 'poll' }),
    message(peer, today + 3 * MINUTE, '', {
      kind: 'file',
      mine: true,
      state: 'delivered',
      file: {
        name: 'Minutes of the meeting, October.pdf',
        type: 'application/pdf',
        size: 482_113,
        width: null,
        height: null,
        thumbnail: null,
      },
    }),
    message(
      peer,
      today + 4 * MINUTE,
      'مرحبا! هذا نص من اليمين إلى اليسار، مع رابط https://example.org في وسطه.',
    ),
    message(peer, today + 5 * MINUTE, '👩‍🚀👍🏽', { mine: true, state: 'delivered' }),
    message(peer, today + 6 * MINUTE, '86400', { kind: 'timer', mine: true }),
    message(peer, today + 7 * MINUTE, 'This one goes away tomorrow.', {
      mine: true,
      state: 'sent',
      expiresAtMs: now + DAY,
    }),
    message(peer, today + 8 * MINUTE, 'This one did not go.', {
      mine: true,
      state: 'failed',
      code: 'unavailable',
    }),
    message(peer, today + 20 * MINUTE, 'And this one is on its way…', { mine: true, state: 'sending' }),
    message(peer, today + 170 * MINUTE, 'See you at seven?'),
    message(peer, today + 171 * MINUTE, 'I bring the cake.'),
  ]
}
