/** The figures of the last minutes, as plots want them: one row of times, and one of values for each name. */
import type { Figures, History } from '../wire'

/** Steps that may be missing before a line is broken. */
const PATIENCE = 2.5

export type Column = (number | null)[]

export class Ring {
  #at: number[] = []
  #values = new Map<string, Column>()
  readonly #span: number
  readonly #step: number

  /**
   * @param span Seconds that are kept.
   * @param step Seconds between two figures.
   */
  constructor(span = 900, step = 2) {
    this.#span = span
    this.#step = step
  }

  /** Begin with what the server kept. */
  load(history: History): void {
    this.#at = []
    this.#values.clear()
    history.at_ms.forEach((at_ms, index) => {
      const values = Object.entries(history.values).map(([name, column]) => [name, column[index] ?? null])
      this.#append(at_ms / 1000, Object.fromEntries(values))
    })
    this.#trim()
  }

  /** Add what was just measured; what is not newer than the newest is known already. */
  add(figures: Figures): void {
    const at = figures.at_ms / 1000
    const newest = this.#at.at(-1)
    if (newest !== undefined && at <= newest) return
    this.#append(at, figures.values)
    this.#trim()
  }

  /** Seconds since 1970 of each row. */
  get times(): number[] {
    return this.#at
  }

  column(name: string): Column {
    return this.#values.get(name) ?? this.#at.map(() => null)
  }

  /** The greatest value of a name, 0 if there is none. */
  peak(name: string): number {
    return this.column(name).reduce<number>((most, value) => Math.max(most, value ?? 0), 0)
  }

  #append(at: number, values: Record<string, number | null>): void {
    const newest = this.#at.at(-1)
    // A row of nulls breaks the line: what nobody measured is not drawn.
    if (newest !== undefined && at - newest > PATIENCE * this.#step) this.#row(newest + this.#step, {})
    this.#row(at, values)
  }

  #row(at: number, values: Record<string, number | null>): void {
    for (const name of Object.keys(values)) {
      if (!this.#values.has(name)) this.#values.set(name, new Array(this.#at.length).fill(null))
    }
    this.#at.push(at)
    for (const [name, column] of this.#values) column.push(values[name] ?? null)
  }

  #trim(): void {
    const newest = this.#at.at(-1)
    if (newest === undefined) return
    const kept = this.#at.findIndex(at => at >= newest - this.#span)
    if (kept <= 0) return
    this.#at.splice(0, kept)
    for (const column of this.#values.values()) column.splice(0, kept)
  }
}
