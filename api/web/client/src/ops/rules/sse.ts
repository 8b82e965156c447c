/** Reader of server-sent events, which come in pieces that end anywhere. */

export interface Message {
  event: string
  data: string
}

export class EventParser {
  #rest = ''
  #event = ''
  #data: string[] = []

  /** Take a piece of the stream; returns the messages that it completes. Comments, as pings are, give none. */
  push(piece: string): Message[] {
    // A piece may end between the two characters of one line end.
    const text = this.#rest + piece
    const held = text.endsWith('\r')
    const lines = (held ? text.slice(0, -1) : text).split(/\r\n|\r|\n/)
    this.#rest = (lines.pop() ?? '') + (held ? '\r' : '')
    return lines.flatMap(line => this.#take(line) ?? [])
  }

  #take(line: string): Message | null {
    if (line === '') return this.#complete()
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (name === 'event') this.#event = value
    else if (name === 'data') this.#data.push(value)
    return null
  }

  #complete(): Message | null {
    const message = { event: this.#event || 'message', data: this.#data.join('\n') }
    const empty = this.#data.length === 0
    this.#event = ''
    this.#data = []
    return empty ? null : message
  }
}
