/** Names of people and files, made fit to be shown. */

/** Usernames are exact: 3 to 32 of these. */
export const USERNAME = /^[a-z0-9_.]{3,32}$/

/** What a person types for a username: with an `@` in front, capitals, spaces around it. */
export function asUsername(typed: string): string {
  return typed.trim().replace(/^@/, '').toLowerCase()
}

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' })

/** The letters of an avatar, whole characters of whatever script. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/u).filter(Boolean)
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map(word => firstOf(word ?? ''))
  return letters.join('').toLocaleUpperCase()
}

function firstOf(word: string): string {
  for (const { segment } of segmenter.segment(word)) return segment
  return ''
}

export const HUES = 8

/** One of the colours, always the same for a person. */
export function hueOf(username: string): number {
  let sum = 7
  for (const char of username) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 65_521
  return sum % HUES
}

/** A file's name without characters that turn the reading direction, which make `exe.jpg` of `gpj.exe`. */
export function plainName(name: string): string {
  return name.replace(/\p{C}/gu, '') || 'file'
}

/** Whether a text is nothing but a few emoji, which are shown larger then. */
export function onlyEmoji(text: string): boolean {
  if (text.length > 40 || !/\p{Extended_Pictographic}|\p{Regional_Indicator}/u.test(text)) return false
  const marks = [...segmenter.segment(text.replace(/\s/gu, ''))]
  return (
    marks.length <= 3 &&
    marks.every(({ segment }) => /\p{Extended_Pictographic}|\p{Regional_Indicator}{2}/u.test(segment))
  )
}

/** What a reaction may be: one whole character, at most 32 bytes. */
export function asReaction(typed: string): string | null {
  const [first] = segmenter.segment(typed.trim())
  const emoji = first?.segment ?? ''
  return emoji && new TextEncoder().encode(emoji).length <= 32 ? emoji : null
}

const UNITS = ['B', 'KB', 'MB', 'GB']

export function sizeWords(bytes: number): string {
  let size = bytes
  let unit = 0
  while (size >= 999.5 && unit < UNITS.length - 1) {
    size /= 1000
    unit++
  }
  return `${size < 10 && unit > 0 ? size.toFixed(1) : Math.round(size)} ${UNITS[unit]}`
}

/** Pictures that browsers draw without running anything; SVG is not one. */
export function isPicture(type: string): boolean {
  return /^image\/(png|jpeg|gif|webp|avif)$/.test(type)
}
