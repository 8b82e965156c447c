/** How the file of a message is shown. */

import type { MessageView } from '../../app/contract'
import { isPicture } from '../lib/names'

/** Larger pictures are shown as files: they are fetched only when asked for. */
const PICTURE_MAX = 25_000_000

export function isShownAsPicture(message: MessageView): boolean {
  const file = message.file
  return message.kind === 'file' && file !== null && isPicture(file.type) && file.size <= PICTURE_MAX
}
