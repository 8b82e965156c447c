/**
 * Which rows of a long list are drawn, and where each is.
 *
 * A row has an estimated height until it was measured. Positions are sums of heights, so that a list of ten
 * thousand rows costs one pass over an array when something changes, and a binary search when it scrolls.
 */

export interface Range {
  start: number
  end: number // exclusive
}

export class Heights {
  #keys: string[] = []
  #index = new Map<string, number>()
  #known = new Map<string, number>()
  #heights = new Float64Array(0)
  #offsets = new Float64Array(1)
  #stale = 0 // the offsets behind this row are not valid

  constructor(private readonly estimate: (index: number) => number) {}

  /** The rows are now these; heights of keys that are known stay. */
  setKeys(keys: string[]): void {
    this.#keys = keys
    this.#index = new Map(keys.map((key, at) => [key, at]))
    this.#heights = Float64Array.from(keys, (key, at) => this.#known.get(key) ?? this.estimate(at))
    this.#offsets = new Float64Array(keys.length + 1)
    this.#stale = 0
  }

  /** Note a measured height; true if it differs from what was assumed. */
  measured(key: string, height: number): boolean {
    const at = this.#index.get(key)
    if (at === undefined) return false
    const differs = Math.abs((this.#heights[at] ?? 0) - height) >= 0.5
    this.#known.set(key, height)
    if (!differs) return false
    this.#heights[at] = height
    this.#stale = Math.min(this.#stale, at)
    return true
  }

  /** Forget what was measured: the width is another. */
  forget(): void {
    this.#known.clear()
    this.setKeys(this.#keys)
  }

  get total(): number {
    return this.offset(this.#keys.length)
  }

  indexOf(key: string): number {
    return this.#index.get(key) ?? -1
  }

  keyAt(index: number): string | undefined {
    return this.#keys[index]
  }

  /** The distance from the top of the list to the top of a row. */
  offset(index: number): number {
    this.#settle()
    return this.#offsets[Math.min(Math.max(index, 0), this.#keys.length)] ?? 0
  }

  /** The row at a distance from the top. */
  at(y: number): number {
    this.#settle()
    let low = 0
    let high = this.#keys.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#offsets[middle] ?? 0) <= y) low = middle
      else high = middle - 1
    }
    return Math.max(low, 0)
  }

  /** The rows that are seen between two distances, and those within `spare` of them. */
  range(top: number, bottom: number, spare: number): Range {
    if (this.#keys.length === 0) return { start: 0, end: 0 }
    return { start: this.at(top - spare), end: this.at(bottom + spare) + 1 }
  }

  #settle(): void {
    for (let at = this.#stale; at < this.#keys.length; at++) {
      this.#offsets[at + 1] = (this.#offsets[at] ?? 0) + (this.#heights[at] ?? 0)
    }
    this.#stale = this.#keys.length
  }
}

/** The place that stays still while rows change around it: a row's distance to the top of the view. */
export type Anchor = { key: string; delta: number } | 'end'

/** How close to the end counts as being there. */
const NEAR = 48

export function anchorAt(heights: Heights, scrollTop: number, viewport: number): Anchor {
  if (isAtEnd(heights, scrollTop, viewport)) return 'end'
  const index = heights.at(scrollTop)
  const key = heights.keyAt(index)
  return key === undefined ? 'end' : { key, delta: heights.offset(index) - scrollTop }
}

export function isAtEnd(heights: Heights, scrollTop: number, viewport: number): boolean {
  return heights.total - scrollTop - viewport <= NEAR
}

/** Where to scroll so that the anchor is where it was; a row that is gone leaves the view as it is. */
export function scrollFor(heights: Heights, anchor: Anchor, viewport: number, current: number): number {
  const end = Math.max(0, heights.total - viewport)
  if (anchor === 'end') return end
  const index = heights.indexOf(anchor.key)
  const wanted = index < 0 ? current : heights.offset(index) - anchor.delta
  return Math.min(Math.max(0, wanted), end)
}
