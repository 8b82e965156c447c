/** Figures as people read them. What is not known is a dash, never a zero. */

export const NONE = '–'

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB']

type Maybe = number | null | undefined

const known = (value: Maybe): value is number => typeof value === 'number' && Number.isFinite(value)

/** Three digits that matter: 0.42, 7.5, 312, 12,400. */
export function number(value: Maybe): string {
  if (!known(value)) return NONE
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size < 0.005) return '< 0.01'
  if (size < 1) return trimmed(value.toFixed(2))
  if (size < 9.95) return trimmed(value.toFixed(1))
  return size < 9_950 ? whole.format(value) : whole.format(Number(value.toPrecision(3)))
}

export function rate(value: Maybe): string {
  return known(value) ? `${number(value)}/s` : NONE
}

/** A count, exactly. */
export function count(value: Maybe): string {
  return known(value) ? whole.format(value) : NONE
}

export function millis(value: Maybe): string {
  if (!known(value)) return NONE
  return Math.abs(value) < 1_000 ? `${number(value)} ms` : `${number(value / 1_000)} s`
}

export function bytes(value: Maybe): string {
  if (!known(value)) return NONE
  let unit = 0
  let size = value
  while (Math.abs(size) >= 1_000 && unit < UNITS.length - 1) {
    size /= 1_000
    unit += 1
  }
  return unit === 0 ? `${count(size)} B` : `${number(size)} ${UNITS[unit]}`
}

export function percent(part: Maybe, whole_: Maybe): string {
  return known(part) && known(whole_) && whole_ > 0 ? `${Math.round((100 * part) / whole_)}%` : NONE
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

const SPANS: [number, string][] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
]

/** A span in its largest unit, and the next one while that says something: 42 s, 3 min 20 s, 5 h, 12 d. */
export function span(ms: Maybe): string {
  if (!known(ms)) return NONE
  const seconds = Math.max(0, Math.round(ms / 1_000))
  const index = Math.max(
    0,
    SPANS.findIndex(([unit]) => seconds >= unit),
  )
  if (seconds < 1) return '0 s'
  const [unit, name] = SPANS[index] as [number, string]
  const first = Math.floor(seconds / unit)
  const next = SPANS[index + 1]
  const rest = next ? Math.floor((seconds % unit) / next[0]) : 0
  return next && rest > 0 && first < 10 ? `${first} ${name} ${rest} ${next[1]}` : `${first} ${name}`
}

/** How long ago a time is, from now. */
export function ago(at_ms: Maybe, now_ms: number): string {
  if (!known(at_ms) || at_ms <= 0) return NONE
  const past = now_ms - at_ms
  if (past < -1_500) return `in ${span(-past)}`
  return past < 1_500 ? 'now' : `${span(past)} ago`
}

const clockFormat = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })
const dayFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })

/** The time of day, with seconds; before today with the day. */
export function clock(at_ms: Maybe, now_ms: number): string {
  if (!known(at_ms) || at_ms <= 0) return NONE
  const day = dayFormat.format(at_ms)
  return day === dayFormat.format(now_ms) ? clockFormat.format(at_ms) : `${day} ${clockFormat.format(at_ms)}`
}

/** A word of the wire as people write it: `role_started` is "role started". */
export function words(name: string): string {
  return name.replaceAll('_', ' ')
}

/** A text of any value, for tables of settings and headings. */
export function shown(value: unknown): string {
  if (value === null || value === undefined || value === '') return NONE
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}

function trimmed(digits: string): string {
  return digits.replace(/\.?0+$/, '')
}
