/** What to do about an alarm: the runbook of `docs/operations.md`, made into a file by `make docs`. */
import sections from '../runbook.json'

export interface Piece {
  text: string
  code: boolean
}

const texts: Record<string, string> = sections

/**
 * The paragraphs of a section, each in pieces of plain text and code; null if there is no such section.
 *
 * @param anchor Its anchor, with or without the document's name.
 */
export function runbook(anchor: string): Piece[][] | null {
  const text = texts[anchor.slice(anchor.indexOf('#') + 1).toLowerCase()]
  return text === undefined ? null : text.split('\n\n').map(pieces)
}

/** Every second piece between backticks is code. */
export function pieces(paragraph: string): Piece[] {
  return paragraph
    .split('`')
    .map((text, index) =>
      index % 2 === 1 ? { text, code: true } : { text: text.replaceAll('*', ''), code: false },
    )
    .filter(piece => piece.text !== '')
}
