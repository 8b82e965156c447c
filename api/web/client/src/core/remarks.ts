/** What is said about a message: which one. The same rules as `roost/client/thread/remarks.py`. */

import type { Content } from './content'

/** The id of the message that content is about; null if it is a message of its own. */
export function targetOf(content: Content): string | null {
  switch (content.kind) {
    case 'reaction':
      return content.to
    case 'edit':
    case 'delete':
      return content.of
    default:
      return null
  }
}

/** The same about another id. */
export function turnedTo(content: Content, id: string): Content {
  switch (content.kind) {
    case 'reaction':
      return { ...content, to: id }
    case 'edit':
    case 'delete':
      return { ...content, of: id }
    default:
      return content
  }
}
