/** What a plot shows, as a table: the mean of each minute. */
import type { Column } from './ring'

export interface Minute {
  /** Seconds since 1970 of its beginning. */
  at: number
  /** A mean for each column; null: nothing was measured. */
  means: (number | null)[]
}

/** The minutes, the newest first. `times` are seconds, `columns` have a value for each. */
export function minutes(times: number[], columns: Column[]): Minute[] {
  const rows = new Map<number, number[]>()
  times.forEach((at, index) => {
    const minute = Math.floor(at / 60) * 60
    rows.set(minute, [...(rows.get(minute) ?? []), index])
  })
  return [...rows].reverse().map(([at, indexes]) => ({
    at,
    means: columns.map(column => mean(indexes.map(index => column[index] ?? null))),
  }))
}

function mean(values: Column): number | null {
  const known = values.filter(value => value !== null)
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null
}
