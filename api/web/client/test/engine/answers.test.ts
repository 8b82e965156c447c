import { expect, test } from 'vitest'
import { members, text } from '../../src/core/shapes'
import { EMPTY, readAnswer } from '../../src/engine/transport/answers'
import { ServerTime } from '../../src/engine/transport/time'

const shape = (body: unknown) => text(members(body).word)
const json = (body: unknown, status = 200, type = 'application/json') =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': type } })
const problem = (body: unknown, status: number) =>
  json(body, status, 'application/problem+json; charset=utf-8')

test('an answer of the shape that a call has is the server’s', async () => {
  expect(await readAnswer(json({ word: 'yes', more: 1 }), shape, 0)).toBe('yes')
  expect(await readAnswer(new Response(null, { status: 204 }), EMPTY, 0)).toBeUndefined()
})

test('a problem with a known code is the server’s, with its advice', async () => {
  const refused = problem({ code: 'rate_limited', detail: 'Slowly.', retry_after_s: 7200, extra: ['A'] }, 429)
  await expect(readAnswer(refused, shape, 0)).rejects.toMatchObject({
    code: 'rate_limited',
    message: 'Slowly.',
    retryAfterS: 3600,
    extra: { extra: ['A'] },
  })
})

test.each([
  ['a page of a hotel', new Response('<html>', { status: 200, headers: { 'Content-Type': 'text/html' } })],
  ['JSON of another shape', json({ other: 1 })],
  ['a refusal of a proxy', new Response('no', { status: 401 })],
  ['a problem with an unknown code', problem({ code: 'revoked_by_proxy' }, 401)],
  ['a problem in another type', json({ code: 'revoked' }, 401)],
  ['a problem that is none', problem(['revoked'], 401)],
])('%s ends neither a session nor a message', async (_, answer) => {
  await expect(readAnswer(answer, shape, 0)).rejects.toMatchObject({ code: 'unavailable' })
})

test('a refusal for the size of something large is believed, whoever answers', async () => {
  const refusal = () => new Response('too big', { status: 413 })
  await expect(readAnswer(refusal(), shape, 20_000)).rejects.toMatchObject({ code: 'too_large' })
  await expect(readAnswer(refusal(), shape, 100)).rejects.toMatchObject({ code: 'unavailable' })
})

test('the time is the server’s, whatever happens to the clock of the machine', () => {
  let [wall, elapsed] = [1_000_000, 50]
  const time = new ServerTime(
    () => wall,
    () => elapsed,
  )
  time.learn(9_000_000)
  elapsed += 200
  wall += 200
  expect([time.nowMs(), time.jumped()]).toEqual([9_000_200, false])
  wall -= 500_000
  expect([time.nowMs(), time.jumped()]).toEqual([9_000_200, true])
  time.learnDate(new Date(9_001_000).toUTCString())
  expect(time.nowMs()).toBe(9_000_200) // a header says only seconds
})
