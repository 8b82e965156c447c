/** CRC-32 as zlib has it (IEEE 802.3, reflected): spreads, protects nothing. */

import { utf8 } from './bytes'

const POLYNOMIAL = 0xedb88320

export function crc32(text: string): number {
  let crc = 0xffffffff
  for (const byte of utf8(text)) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0)
    }
  }
  return (crc ^ 0xffffffff) >>> 0
}
