/** A server for two people that keeps to the contract, and lies where a test wants it to: real HTTP, real frames. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { SUBPROTOCOL } from '../../src/core/wire'

export const SERVER_NAME = 'lying.example'
export const addressAt = (user: string): string => `@${user}:${SERVER_NAME}`

// biome-ignore lint/suspicious/noExplicitAny: whatever is sent, as JSON
export type Body = any

export interface Answered {
  status: number
  body: Body
}

/** One user: of one device, as far as the server is honest. */
class Mailbox {
  readonly entries: Body[] = []
  acked = 0
  stream: WebSocket | null = null

  after(cursor: number): Body[] {
    return this.entries.filter(entry => entry.seq > cursor)
  }
}

export class LyingServer {
  url = ''
  /** What people's devices are sealed to, of each message that was taken: to the peer, and to oneself. */
  readonly sealedTo: { to: string[]; own: string[] }[] = []
  readonly bundles = new Map<string, Body>()
  readonly identities = new Map<string, { master_key: Body; self_signing_key: Body }>()
  readonly asked: string[] = []
  /** Changes an answer before it is given; what it does itself it returns null for. */
  lie: (path: string, answer: Answered, response: ServerResponse) => Answered | null = (_, answer) => answer
  /** What becomes of an entry that goes into a mailbox: others, or none. */
  tamper: (user: string, entry: Body) => Body[] = (_, entry) => [entry]
  /** What a stream is given at its start. */
  backlog: (entries: Body[]) => Body[] = entries => entries
  /** Takes sockets, or refuses them as a network without WebSockets does. */
  streams = true
  opened = 0
  closed = 0
  private readonly mailboxes = new Map<string, Mailbox>()
  private readonly devices = new Map<string, string>()
  private readonly accepted = new Map<string, { to: string; seq: number }>()
  private readonly sockets = new Set<Socket>()
  private readonly http: Server
  private readonly upgrades = new WebSocketServer({ noServer: true, handleProtocols: () => SUBPROTOCOL })

  constructor() {
    this.http = createServer((request, response) => void this.answer(request, response))
    this.http.on('connection', socket => {
      this.sockets.add(socket)
      socket.on('close', () => this.sockets.delete(socket))
    })
    this.http.on('upgrade', (request, socket, head) => {
      if (this.streams) {
        this.upgrades.handleUpgrade(request, socket, head, stream => this.streaming(stream))
      } else {
        socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n')
      }
    })
  }

  async start(): Promise<void> {
    await new Promise<void>(resolve => this.http.listen(0, '127.0.0.1', resolve))
    this.url = `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) {
      socket.destroy()
    }
    await new Promise(resolve => this.http.close(resolve))
  }

  mailbox(user: string): Mailbox {
    const found = this.mailboxes.get(user) ?? new Mailbox()
    this.mailboxes.set(user, found)
    return found
  }

  deviceOf(user: string): string {
    return this.devices.get(user) as string
  }

  /** Puts an entry at the end of a mailbox, and writes it to the stream that is open. */
  put(user: string, entry: Body): Body {
    const made = this.entry(user, entry)
    this.write(user, { type: 'entries', entries: [made] })
    return made
  }

  /** Puts an entry at the end of a mailbox, and says nothing. */
  entry(user: string, entry: Body): Body {
    const { entries } = this.mailbox(user)
    const prev = entries.at(-1)?.seq ?? 0
    const made = { ...entry, seq: prev + 3, prev, at_ms: Date.now() }
    entries.push(made)
    return made
  }

  /** Writes a frame to a user's stream: an object, or whatever else is to be there. */
  write(user: string, frame: Body): void {
    const { stream } = this.mailbox(user)
    stream?.send(typeof frame === 'string' || frame instanceof Uint8Array ? frame : JSON.stringify(frame))
  }

  /** Tells a user that someone's keys are others. */
  announce(to: string, user: string): void {
    this.put(to, { type: 'keys', user, device: 'X', change: 'changed' })
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname: path, searchParams: query } = new URL(request.url ?? '', this.url)
    this.asked.push(path)
    let text = ''
    for await (const chunk of request) {
      text += chunk
    }
    const user = (request.headers.authorization ?? '').replace('Bearer ', '').split('.')[2] ?? ''
    const honest = await this.honest(
      `${request.method} ${path}`,
      text === '' ? {} : JSON.parse(text),
      user,
      query,
    )
    const told = this.lie(path, honest, response)
    if (told !== null) {
      const type = told.status < 400 ? 'application/json' : 'application/problem+json'
      response.writeHead(told.status, { 'Content-Type': type })
      response.end(told.status === 204 ? undefined : JSON.stringify(told.body))
    }
  }

  private async honest(call: string, body: Body, user: string, query: URLSearchParams): Promise<Answered> {
    switch (call) {
      case 'POST /v1/accounts':
        return { status: 201, body: { username: body.username } }
      case 'POST /v1/sessions':
        this.devices.set(body.username, body.device_id ?? `DEVICE${this.devices.size}`)
        return { status: 201, body: this.session(body.username) }
      case 'POST /v1/sessions/refresh':
        return { status: 200, body: this.session(body.refresh_token) }
      case 'POST /v1/keys/upload':
        if (body.device_keys) {
          this.bundles.set(user, { [this.deviceOf(user)]: body.device_keys })
        }
        return { status: 200, body: { one_time_key_counts: {} } }
      case 'POST /v1/keys/query':
        return { status: 200, body: this.keys(Object.keys(body.device_keys)) }
      case 'POST /v1/keys/device_signing/upload':
        this.identities.set(user, body)
        this.bundles.set(user, { ...this.bundles.get(user), ...body.device_keys })
        return { status: 200, body: { failures: {} } }
      case 'GET /v1/me': {
        const settings = { last_seen: 'everyone', read_receipts: true, delivery_receipts: 'everyone' }
        return { status: 200, body: { display_name: user, requests: false, ...settings } }
      }
      case 'GET /v1/blocks':
        return { status: 200, body: { blocks: [] } }
      case 'POST /v1/messages':
        return this.posted(user, body)
      case 'GET /v1/sync':
        return { status: 200, body: await this.page(user, query) }
      case 'POST /v1/acks':
        this.acknowledge(user, body.seq)
        return { status: 204, body: null }
      case 'POST /v1/reads':
        this.receipt(body.peer, user, body.seq, body.seq)
        return { status: 204, body: null }
      default:
        return this.others(call)
    }
  }

  private others(call: string): Answered {
    const [user, message] = [/\/users\/(.*)$/.exec(call), /\/v1\/messages\/(.*)$/.exec(call)]
    const found = message && this.accepted.get(message[1] as string)
    if (user) {
      return { status: 200, body: { display_name: user[1] } }
    }
    if (found) {
      return { status: 200, body: { seq: found.seq, state: 'stored' } }
    }
    return { status: 404, body: { code: message ? 'unknown_message' : 'not_found', detail: call } }
  }

  private session(username: string): Body {
    const claims = Buffer.from(JSON.stringify({ iss: SERVER_NAME })).toString('base64url')
    const who = { user_id: `id-${username}`, username, device_id: this.deviceOf(username) }
    return { access_token: `h.${claims}.${username}`, expires_in: 600, refresh_token: username, ...who }
  }

  private keys(addresses: string[]): Body {
    const users = addresses.map(address => [address, address.slice(1).split(':')[0] as string] as const)
    const of = (name: 'master_key' | 'self_signing_key') =>
      Object.fromEntries(
        users.flatMap(([address, user]) => {
          const identity = this.identities.get(user)
          return identity ? [[address, identity[name]]] : []
        }),
      )
    return {
      device_keys: Object.fromEntries(
        users.map(([address, user]) => [address, { ...this.bundles.get(user) }]),
      ),
      failures: {},
      master_keys: of('master_key'),
      self_signing_keys: of('self_signing_key'),
    }
  }

  private posted(user: string, body: Body): Answered {
    const frame = this.accept(user, body)
    if (frame.type === 'accepted') {
      return { status: 202, body: frame }
    }
    return { status: 409, body: { ...frame, detail: '' } }
  }

  /** Takes a message if it is sealed to the devices that the server says there are. */
  private accept(user: string, { id, to, payloads, own, silent, sent_at_ms, suite }: Body): Body {
    const now = Date.now()
    const before = this.accepted.get(id)
    if (before) {
      return { type: 'accepted', id, seq: before.seq, accepted_at_ms: now }
    }
    this.sealedTo.push({ to: Object.keys(payloads), own: Object.keys(own ?? {}) })
    const times = { sent_at_ms, accepted_at_ms: now, ...(silent ? { silent } : {}) }
    const payload = payloads[this.deviceOf(to)]
    const members = { id, from: user, from_device: this.deviceOf(user), suite, payload, ...times }
    const put = this.tamper(to, { type: 'message', ...members }).map(entry => this.put(to, entry))
    const seq = put[0]?.seq ?? (this.mailbox(to).entries.at(-1)?.seq ?? 0) + 3
    this.accepted.set(id, { to, seq })
    return { type: 'accepted', id, seq, accepted_at_ms: now }
  }

  private async page(user: string, query: URLSearchParams): Promise<Body> {
    const mailbox = this.mailbox(user)
    const cursor = Number(query.get('cursor') ?? mailbox.acked)
    const until = Date.now() + Number(query.get('wait_s')) * 1000
    while (mailbox.after(cursor).length === 0 && Date.now() < until && this.http.listening) {
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    const entries = mailbox.after(cursor)
    return { cursor: entries.at(-1)?.seq ?? cursor, entries, more: false, missed: false }
  }

  private streaming(stream: WebSocket): void {
    this.opened++
    let user = ''
    stream.on('close', () => {
      this.closed++
    })
    stream.on('message', data => {
      const frame = JSON.parse(String(data))
      if (frame.type === 'hello') {
        user = frame.token.split('.')[2]
        this.greet(user, stream, frame.cursor)
      } else {
        this.frame(user, frame)
      }
    })
  }

  private greet(user: string, stream: WebSocket, given: number | undefined): void {
    const mailbox = this.mailbox(user)
    mailbox.stream = stream
    const cursor = given ?? mailbox.acked
    this.write(user, { type: 'ready', device_id: this.deviceOf(user), cursor, server_time_ms: Date.now() })
    const entries = this.backlog(mailbox.after(cursor))
    if (entries.length > 0) {
      this.write(user, { type: 'entries', entries })
    }
    this.write(user, { type: 'drained', cursor, prev: cursor })
  }

  private frame(user: string, frame: Body): void {
    if (frame.type === 'send') {
      this.write(user, this.accept(user, frame))
    } else if (frame.type === 'ack') {
      this.acknowledge(user, frame.seq)
    } else if (frame.type === 'read') {
      this.receipt(frame.peer, user, frame.seq, frame.seq)
    } else if (frame.type === 'ping') {
      this.write(user, { type: 'pong', server_time_ms: Date.now() })
    }
  }

  private acknowledge(user: string, seq: number): void {
    const mailbox = this.mailbox(user)
    const fresh = mailbox.entries.filter(each => each.seq > mailbox.acked && each.seq <= seq)
    mailbox.acked = Math.max(mailbox.acked, seq)
    for (const sender of new Set(fresh.flatMap(each => (each.type === 'message' ? [each.from] : [])))) {
      this.receipt(sender, user, seq, 0)
    }
  }

  private receipt(to: string, peer: string, delivered_seq: number, read_seq: number): void {
    this.put(to, { type: 'receipt', peer, delivered_seq, read_seq })
  }
}
