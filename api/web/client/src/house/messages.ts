/** What pages and the service worker say to each other. */

/** Of a page to the service worker. */
export type ToWorker =
  | { type: 'ask' } // is there a new build? Answered by `update`, or not at all
  | { type: 'take' } // the person agrees to it

/** Of the service worker to pages. */
export type ToPage =
  | { type: 'update'; build: string } // a new build is here and waits
  | { type: 'taken' } // the new build serves from now on: load again
  | { type: 'woken' } // a push came; answered through the port with what to show, or null for nothing
  | { type: 'opened'; peer: string | null } // a notification was clicked

/** What a page that could decrypt wants shown. */
export interface Shown {
  title: string
  body: string
  peer: string | null
}
