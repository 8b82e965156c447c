/** Names of files that others give: made harmless, whatever system they are kept on. */

const NO_NAME = 'file'
const NAME_BYTES = 200
const NOT_IN_NAMES = /[<>:"/\\|?*]|\p{C}/gu

/** Windows opens the device, whatever follows the dot. */
const DEVICES = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])( *\..*)?$/i

/**
 * A name that stays in its folder, is no device and hidden nowhere, and reads as it is.
 *
 * Only the part behind the last separator counts. Control and format characters go (those that turn the
 * reading direction make `exe.jpg` of `gpj.exe`), as do leading dots and dashes and trailing dots.
 */
export function safeName(name: string): string {
  const last = name.normalize('NFC').split(/[/\\]/).at(-1) ?? ''
  let plain = last.replace(NOT_IN_NAMES, '').split(/\s+/).filter(Boolean).join(' ')
  plain = plain.replace(/^[.\-~ ]+/, '').replace(/[. ]+$/, '')
  if (DEVICES.test(plain)) {
    plain = `${NO_NAME}-${plain}`
  }
  return shortened(plain) || NO_NAME
}

function shortened(name: string): string {
  const bytes = (text: string) => new TextEncoder().encode(text).length
  if (bytes(name) <= NAME_BYTES) {
    return name
  }
  const dot = name.lastIndexOf('.')
  const ending = dot > 0 && bytes(name.slice(dot)) <= NAME_BYTES / 4 ? name.slice(dot) : ''
  let stem = ''
  for (const char of ending ? name.slice(0, dot) : name) {
    if (bytes(stem + char) + bytes(ending) > NAME_BYTES) {
      break
    }
    stem += char
  }
  return stem.replace(/[. ]+$/, '') + ending
}
