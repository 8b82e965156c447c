/** Links in a text, recognised so that nothing but http and https can be opened. */

export type Part = { text: string; href: string | null }

// No white space, quotes, angle brackets, control characters or ones that turn the reading direction.
const LINK = /\bhttps?:\/\/[^\s<>"'`\p{C}]+/giu
const TRAILING = /[.,;:!?…)\]}*_~]$/u
const PAIRS: Record<string, string> = { ')': '(', ']': '[', '}': '{' }

/** Split a text into plain parts and links; the parts joined are the text again. */
export function parts(text: string): Part[] {
  const found: Part[] = []
  let from = 0
  for (const match of text.matchAll(LINK)) {
    const link = withoutTrailing(match[0])
    const href = safe(link)
    if (!href) continue
    if (match.index > from) found.push({ text: text.slice(from, match.index), href: null })
    found.push({ text: link, href })
    from = match.index + link.length
  }
  if (from < text.length) found.push({ text: text.slice(from), href: null })
  return found
}

/** The full stop after a link ends the sentence; a bracket belongs to the link only if it opens there. */
function withoutTrailing(link: string): string {
  let kept = link
  while (TRAILING.test(kept)) {
    const last = kept.slice(-1)
    const opens = PAIRS[last]
    if (opens && count(kept, opens) >= count(kept, last)) break
    kept = kept.slice(0, -1)
  }
  return kept
}

function count(text: string, char: string): number {
  return text.split(char).length - 1
}

/** A link with a name or password in it shows another host than it opens: not a link then. */
function safe(link: string): string | null {
  if (!URL.canParse(link)) return null
  const url = new URL(link)
  const web = url.protocol === 'https:' || url.protocol === 'http:'
  return web && !url.username && !url.password && url.hostname ? url.href : null
}
