/** Which colour each host has: its own for as long as it has shards, whoever comes and goes beside it. */

/** There are so many colours; more hosts than that share them. */
export const HUES = 8

export class Hues {
  #of = new Map<string, number>()

  /** Give each of these a colour; whose name is missing gives its own back. */
  give(names: string[]): ReadonlyMap<string, number> {
    for (const name of this.#of.keys()) {
      if (!names.includes(name)) this.#of.delete(name)
    }
    for (const name of names) {
      if (!this.#of.has(name)) this.#of.set(name, this.#free())
    }
    return new Map(this.#of)
  }

  /** The first colour that the fewest have. */
  #free(): number {
    const used = Array.from({ length: HUES }, () => 0)
    for (const hue of this.#of.values()) used[hue] = (used[hue] ?? 0) + 1
    return used.indexOf(Math.min(...used))
  }
}
