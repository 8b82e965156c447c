/** What pages ask about messages. */

import type { Content } from '../../core/content'
import { named } from '../account'
import type { MessageRow } from '../book/rows'
import { RoostError } from '../errors'
import type { Present } from '../present/present'
import type { Some } from './handlers'

const FOUND_MAX = 100
const PAGE_MAX = 200

export function talkCommands(present: Present) {
  const { account, book, client, history, people, sending, shelf, store, transfers } = present
  const { username } = account
  return {
    page: async ({ peer, before, limit }) => {
      const wanted = Math.min(Math.max(limit, 1), PAGE_MAX)
      return store.read(async transaction => {
        const from = before === null ? null : ((await shelf.message(transaction, peer, before)) ?? null)
        const rows = await shelf.latest(transaction, peer, wanted + 1, from)
        const shown = rows.slice(0, wanted).reverse()
        const messages = []
        for (const row of shown) {
          messages.push(await shelf.view(transaction, row))
        }
        return { messages, more: rows.length > wanted }
      })
    },

    search: async ({ text: wanted, peer }) => {
      const needle = wanted.toLowerCase()
      return store.read(async transaction => {
        const all = await transaction.values<MessageRow>('messages')
        const found = all
          .filter(row => peer === null || row.peer === peer)
          .filter(row => row.kind !== 'timer' && row.text.toLowerCase().includes(needle))
          .sort((a, b) => b.atMs - a.atMs)
          .slice(0, FOUND_MAX)
        const views = []
        for (const row of found) {
          views.push(await shelf.view(transaction, row))
        }
        return views
      })
    },

    send: async ({ peer, text: written, replyTo }) => {
      return { id: await sending.shown(named(peer), { kind: 'text', text: written, replyTo }) }
    },

    sendFile: async ({ peer, file, caption, replyTo }) => {
      return { id: await sending.file(named(peer), file, caption, replyTo) }
    },

    fetchFile: async ({ peer, id }) => {
      const row = await store.read(transaction => shelf.message(transaction, peer, id))
      const upload = await sending.upload(id)
      if (upload !== undefined) {
        return upload.blob
      }
      if (!row?.file) {
        throw new RoostError('unknown_message', 'There is no such file on this device.')
      }
      return transfers.download(row.file, (done, total) => sending.progress(id, done, total))
    },

    retry: async ({ id }) => {
      const row = await history.own(id)
      if (row.failed === '') {
        return undefined
      }
      const upload = await sending.upload(id)
      if (upload !== undefined) {
        const again: MessageRow = { ...row, failed: '' }
        await client.keep(transaction => shelf.putMessage(transaction, again))
        void sending.files.start(upload)
        return undefined
      }
      const content: Content =
        row.kind === 'file' && row.file !== null
          ? { kind: 'file', file: row.file, caption: row.text, replyTo: row.replyTo }
          : { kind: 'text', text: row.text, replyTo: row.replyTo }
      await client.keep(transaction => shelf.removeMessage(transaction, row))
      await sending.shown(row.peer, content)
      return undefined
    },

    edit: async ({ peer, id, text: written }) => {
      await sending.say(peer, { kind: 'edit', of: id, text: written })
      return undefined
    },

    remove: async ({ peer, id, forAll }) => {
      if (forAll) {
        await sending.say(peer, { kind: 'delete', of: id })
        return undefined
      }
      await client.keep(async transaction => {
        const row = await shelf.message(transaction, peer, id)
        if (row !== undefined) {
          await shelf.removeMessage(transaction, row)
        }
      })
      return undefined
    },

    react: async ({ peer, id, emoji }) => {
      await sending.say(peer, { kind: 'reaction', to: id, emoji })
      return undefined
    },

    read: async ({ peer, upTo }) => {
      const { seq, wasUnread } = await client.keep(transaction => book.reading.upTo(transaction, peer, upTo))
      if (seq !== null) {
        client.apply(client.session.read(peer, seq, client.nowMs()))
      }
      // This user's other devices are to know, if there are some.
      if (seq !== null && wasUnread && client.directory.recipients(username).size > 1) {
        await sending.say(username, { kind: 'read', peer, seq })
      }
      return undefined
    },

    typing: async ({ peer, typing }) => {
      client.apply(client.session.typing(peer, typing ? 'typing' : 'paused'))
      return undefined
    },

    draft: async ({ peer, text: draft }) => {
      await people.change(peer, () => ({ draft }))
      return undefined
    },

    timer: async ({ peer, seconds }) => {
      await sending.shown(peer, { kind: 'timer', expiresInS: seconds })
      return undefined
    },
  } satisfies Some
}
