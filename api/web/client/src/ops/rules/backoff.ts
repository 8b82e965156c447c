/** How long to wait before the next attempt to reach the server. */

const FIRST_MS = 500
const LONGEST_MS = 15_000

/**
 * Twice as long each time, and by chance between half of it and all, so that five open pages do not come back
 * at once.
 *
 * @param attempt 0 for the first.
 * @param chance From 0 to 1.
 * @param adviceS What the server asked for, if it did.
 */
export function pauseMs(attempt: number, chance: number, adviceS: number | null = null): number {
  const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10))
  return Math.max(longest * (0.5 + chance / 2), (adviceS ?? 0) * 1_000)
}
