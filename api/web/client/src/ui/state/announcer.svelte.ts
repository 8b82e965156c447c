/** What screen readers are told politely, and the short notes at the edge of the page. */

export interface Toast {
  id: number
  text: string
  bad: boolean
}

const SHOWN_MS = 6000

export class Announcer {
  /** The text of the live region. */
  spoken = $state('')
  toasts = $state<Toast[]>([])
  #next = 1

  say(text: string): void {
    // The same words again are read again only if the text differs.
    this.spoken = this.spoken === text ? `${text}\u00a0` : text
  }

  toast(text: string, bad = false): void {
    const id = this.#next++
    this.toasts.push({ id, text, bad })
    setTimeout(() => this.dismiss(id), SHOWN_MS)
  }

  dismiss(id: number): void {
    this.toasts = this.toasts.filter(toast => toast.id !== id)
  }
}
