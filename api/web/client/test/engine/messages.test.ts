import { expect, test } from 'vitest'
import { RoostError } from '../../src/engine/errors'
import { errorOf } from '../../src/engine/messages'

const phone = { device_id: 'A', name: 'phone', created_at_ms: 1_795_000_000_000 }

test('who may have no more devices is told which there are', () => {
  const refusal = new RoostError('too_large', 'At most 1.', null, { devices: [phone] })
  expect(errorOf(refusal)).toEqual({
    code: 'too_large',
    detail: 'At most 1.',
    retryAfterS: null,
    devices: [{ id: 'A', name: 'phone', createdAtMs: 1_795_000_000_000 }],
  })
})

test.each([
  ['something else that is too large', 'too_large', {}],
  ['another refusal', 'bad_credentials', { devices: [phone] }],
  ['devices of another shape', 'too_large', { devices: [{ device_id: 'A' }] }],
  ['no list', 'too_large', { devices: 'A' }],
])('%s names no devices', (_, code, extra) => {
  expect(errorOf(new RoostError(code, 'No.', null, extra))).toEqual({
    code,
    detail: 'No.',
    retryAfterS: null,
  })
})
