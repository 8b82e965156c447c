/** Times as people say them. Every function is told what time it is now. */

const DAY = 86_400_000

/** The last time that a `Date` can be (ECMA-262, 21.4.1.1). */
const LAST = 8_640_000_000_000_000

/** A time is its author's word, or the server's: of one that no calendar has, the nearest is shown. */
function at(ms: number): Date {
  return new Date(Math.min(Math.max(ms, -LAST), LAST))
}

const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' })
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' })
const shortWeekday = new Intl.DateTimeFormat(undefined, { weekday: 'short' })
const date = new Intl.DateTimeFormat(undefined, { dateStyle: 'short' })
const longDate = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' })
const withYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' })
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' })

/** The number of the local day, the same for every time of that day. */
export function dayOf(ms: number): number {
  const day = at(ms)
  return Math.round(Date.UTC(day.getFullYear(), day.getMonth(), day.getDate()) / DAY)
}

export function timeOfDay(ms: number): string {
  return clock.format(at(ms))
}

/** When something was written that came at another time: the time, with the day if it was another one. */
export function writtenAt(ms: number, cameMs: number): string {
  return dayOf(ms) === dayOf(cameMs)
    ? clock.format(at(ms))
    : `${date.format(at(ms))}, ${clock.format(at(ms))}`
}

/** Day and time in full, for a title. */
export function inFull(ms: number): string {
  return full.format(at(ms))
}

/** The heading of a day's messages. */
export function dayName(ms: number, now: number): string {
  const ago = dayOf(now) - dayOf(ms)
  if (ago === 0) return 'Today'
  if (ago === 1) return 'Yesterday'
  if (ago > 1 && ago < 7) return weekday.format(at(ms))
  return at(ms).getFullYear() === at(now).getFullYear() ? longDate.format(at(ms)) : withYear.format(at(ms))
}

/** The time beside a conversation: as short as it can be. */
export function listTime(ms: number, now: number): string {
  const ago = dayOf(now) - dayOf(ms)
  if (ago <= 0) return clock.format(at(ms))
  if (ago === 1) return 'Yesterday'
  return ago < 7 ? shortWeekday.format(at(ms)) : date.format(at(ms))
}

export function lastSeen(ms: number, now: number): string {
  const minutes = Math.floor((now - ms) / 60_000)
  if (minutes < 1) return 'last seen just now'
  if (minutes < 60) return `last seen ${minutes} ${minutes === 1 ? 'minute' : 'minutes'} ago`
  const ago = dayOf(now) - dayOf(ms)
  if (ago <= 0) return `last seen today at ${clock.format(at(ms))}`
  if (ago === 1) return `last seen yesterday at ${clock.format(at(ms))}`
  return ago < 7
    ? `last seen ${weekday.format(at(ms))} at ${clock.format(at(ms))}`
    : `last seen ${date.format(at(ms))}`
}

const UNITS: [number, string][] = [
  [7 * 86_400, 'week'],
  [86_400, 'day'],
  [3_600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
]

/** A span of whole units: "1 week", "90 seconds". */
export function span(seconds: number): string {
  const [size, name] = UNITS.find(([unit]) => seconds >= unit && seconds % unit === 0) ?? [1, 'second']
  const count = seconds / size
  return `${count} ${name}${count === 1 ? '' : 's'}`
}
