/** The height of a message before it was drawn, in pixels: the closer, the less the scroll bar moves. */

import type { Row } from '../lib/rows'

const LINE = 22
const LINE_CHARS = 52

export function estimate(row: Row): number {
  const { message } = row
  const chrome = (row.first ? 10 : 2) + (row.day ? 44 : 0) + (row.unread ? 44 : 0)
  if (message.kind === 'timer') return chrome + 40
  const lines = message.text
    .split('\n')
    .reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / LINE_CHARS)), 0)
  const reactions = message.reactions.length ? 26 : 0
  const quote = message.replyTo ? 52 : 0
  const picture = message.file?.width && message.file.height
  const file = message.file
    ? picture
      ? pictureHeight(message.file.width ?? 1, message.file.height ?? 1)
      : 64
    : 0
  return chrome + 14 + Math.max(lines, message.file ? 0 : 1) * LINE + reactions + quote + file
}

/** The size that a picture is shown in. */
export const PICTURE_WIDTH = 300
export const PICTURE_HEIGHT = 320

export function pictureHeight(width: number, height: number): number {
  return Math.min(PICTURE_HEIGHT, (Math.min(PICTURE_WIDTH, width) * height) / width)
}
