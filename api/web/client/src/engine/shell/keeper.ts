/**
 * The keeper: one transaction after another, each with everything that has come up since the last.
 *
 * What the app is told, what it did and the state of the session are kept together, and nothing leaves before:
 * "decrypt, keep, then acknowledge" and "encrypt, keep, then send". A transaction that fails is tried again
 * with all that has come up meanwhile; nothing leaves until one succeeds.
 */

import type { ClientEvent } from '../../core/client/events'
import type { Store, Transaction } from '../store/port'

const AGAIN_MS = 1000

/** Something to be kept, and what is told once it is. */
export type Work<T> = (transaction: Transaction) => Promise<T>

interface Job {
  work: Work<unknown>
  resolve: (value: never) => void
  reject: (error: unknown) => void
}

/** What the keeper works for. */
export interface Keeping {
  /** Keeps one event of the session. */
  event(transaction: Transaction, event: ClientEvent): Promise<void>
  /** Before a transaction: note what is taken by it; returns what is to leave once it is kept. */
  begin(seqs: number[]): () => void
  /** Keeps the session's own state. */
  save(transaction: Transaction): Promise<void>
  /** The transaction is on the disk. */
  kept(): void
  /** A transaction failed (null: for a job that is refused). Returns whether to try it again. */
  failed(error: unknown): boolean
}

export class Keeper {
  private events: [ClientEvent | null, number][] = []
  private jobs: Job[] = []
  private due = false
  private running: Promise<void> = Promise.resolve()
  private stopped = false
  private ending = false

  constructor(
    private readonly store: Store,
    private readonly keeping: Keeping,
  ) {}

  /** Takes an event, and the number in the mailbox that is taken with it (0: none). */
  tell(event: ClientEvent | null, seq: number): void {
    this.events.push([event, seq])
    this.flush()
  }

  /** Keeps something in the next transaction; resolves once it is on the disk. */
  keep<T>(work: Work<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.jobs.push({ work, resolve, reject })
      this.flush()
    })
  }

  /** Has everything so far kept, at the end of this turn. */
  flush(): void {
    if (!this.due && !this.stopped) {
      this.due = true
      this.running = this.running.then(() => this.once())
    }
  }

  /** Keeps what is left, and nothing more; what fails now is given up. */
  async stop(): Promise<void> {
    this.ending = true
    while (this.due) {
      await this.running
    }
    this.stopped = true
    await this.running
  }

  private async once(): Promise<void> {
    await Promise.resolve() // what else this turn brings is kept along
    this.due = false
    const [events, jobs] = [this.events, this.jobs]
    this.events = []
    this.jobs = []
    const leave = this.keeping.begin(events.map(([, seq]) => seq).filter(seq => seq > 0))
    const results = await this.persisted(events, jobs)
    if (results === null) {
      return
    }
    this.keeping.kept()
    for (const [job, result] of results) {
      job.resolve(result as never)
    }
    leave()
  }

  /** Keeps these until it is done; null if it is given up. */
  private async persisted(
    events: [ClientEvent | null, number][],
    jobs: Job[],
  ): Promise<[Job, unknown][] | null> {
    let wanted = jobs
    for (;;) {
      const results: [Job, unknown][] = []
      let culprit: Job | null = null
      try {
        await this.store.write(async transaction => {
          for (const [event] of events) {
            if (event !== null) {
              await this.keeping.event(transaction, event)
            }
          }
          for (const job of wanted) {
            culprit = job
            results.push([job, await job.work(transaction)])
          }
          culprit = null
          await this.keeping.save(transaction)
        })
        return results
      } catch (error) {
        if (culprit !== null) {
          const refused: Job = culprit
          refused.reject(error) // it is refused; the others are tried without it
          wanted = wanted.filter(job => job !== refused)
          this.keeping.failed(null)
        } else {
          if (!this.keeping.failed(error) || this.ending) {
            for (const job of wanted) {
              job.reject(error)
            }
            return null
          }
          await new Promise(resolve => setTimeout(resolve, AGAIN_MS))
        }
      }
    }
  }
}
