/**
 * What a page and the engine say to each other.
 *
 * The engine runs once for all tabs of a profile and holds keys, store and connection. A page sends
 * commands, each with one answer, and is told of changes: whole rows, never differences, so that a page
 * that missed one is right again with the next. All of it is data that `postMessage` can clone.
 */

/** Where a message of one's own is on its way. */
export type SendState = 'sending' | 'sent' | 'delivered' | 'read' | 'failed' | 'expired'

export type Presence = { state: 'online' | 'offline'; lastSeenMs: number | null }

export type Trust =
  | 'new' // keys as first seen; nothing to say
  | 'verified' // safety numbers were compared
  | 'changed' // another identity than before: nothing is sent until the person agrees
  | 'unconfirmed' // a device that its owner's identity has not signed
  | 'held' // likewise, and nothing is sent before it is confirmed or agreed to: `holdNewDevices`

export interface Conversation {
  peer: string
  displayName: string
  last: {
    text: string // of a file its caption, else its name; of a timer the seconds, or nothing
    atMs: number
    mine: boolean
    state: SendState | null
    kind?: MessageView['kind']
  } | null
  unread: number
  draft: string
  presence: Presence | null
  typing: boolean
  trust: Trust
  blocked: boolean
  /** A stranger's conversation that waits for acceptance. */
  request: boolean
  /** Seconds after which new messages disappear. */
  timerS: number | null
}

export interface FileView {
  name: string
  type: string
  size: number
  width: number | null
  height: number | null
  /** A small picture, as a blob URL that the page made; bytes come with the message. */
  thumbnail: Uint8Array | null
}

export interface MessageView {
  id: string
  peer: string
  mine: boolean
  /** The author's device. */
  device: string
  /** When the server accepted it; until then when it was written. */
  atMs: number
  /** When its author says that it was written, if the server says quite another time. */
  writtenAtMs: number | null
  /** What it says comes from a device that its author's identity has not signed. */
  unconfirmed: boolean
  kind: 'text' | 'file' | 'timer' | 'unknown' | 'undecryptable' | 'deleted'
  text: string
  replyTo: string | null
  /** What is replied to, if it is known here. */
  quoted: { author: string; text: string } | null
  edited: boolean
  reactions: { emoji: string; users: string[] }[]
  file: FileView | null
  state: SendState | null
  /** For `failed`: a code of the registry. For `undecryptable`: the reason. For `unknown`: the kind. */
  code: string
  expiresAtMs: number | null
  seq: number | null
}

export interface Page {
  messages: MessageView[] // oldest first
  more: boolean
}

export interface DeviceView {
  id: string
  name: string
  current: boolean
  createdAtMs: number
  lastSeenMs: number | null
  fingerprint: string
  confirmed: boolean
}

export interface Profile {
  username: string
  displayName: string
  server: string
  deviceId: string
  lastSeen: 'everyone' | 'contacts' | 'nobody'
  readReceipts: boolean
  deliveryReceipts: 'everyone' | 'contacts'
  requests: boolean
  /** Of this device alone: nothing is sent to a person with a new device that is not confirmed. */
  holdNewDevices: boolean
}

/** `polling`: online, but the network blocks WebSockets: all goes by HTTP, and no one's presence is known. */
export type Connection = 'offline' | 'connecting' | 'syncing' | 'online' | 'polling'

/** What a page shows at its start, and again whenever it attaches. */
export interface Snapshot {
  profile: Profile | null // null: nobody is signed in
  connection: Connection
  conversations: Conversation[] // newest first
  /** No one is signed in, and this person's messages are still here: the session was ended from elsewhere. */
  left: { username: string; messages: number } | null
  /** The browser keeps nothing for long here: a private window, or storage that it may clear. */
  persistent: boolean
}

/** Commands, each with its argument and answer. A refused one fails with `CommandError`. */
export interface Commands {
  attach: [undefined, Snapshot]
  signUp: [{ username: string; password: string; displayName: string; forget?: string }, undefined]
  /** `forget`: whose messages may go. `instead`: the id of a device that is removed first, to make room. */
  signIn: [{ username: string; password: string; forget?: string; instead?: string }, undefined]
  signOut: [undefined, undefined]
  open: [{ peer: string }, Conversation] // looks the person up; fails with `unknown_user`
  page: [{ peer: string; before: string | null; limit: number }, Page]
  search: [{ text: string; peer: string | null }, MessageView[]]
  send: [{ peer: string; text: string; replyTo: string | null }, { id: string }]
  sendFile: [{ peer: string; file: File; caption: string; replyTo: string | null }, { id: string }]
  retry: [{ id: string }, undefined]
  edit: [{ peer: string; id: string; text: string }, undefined]
  remove: [{ peer: string; id: string; forAll: boolean }, undefined]
  react: [{ peer: string; id: string; emoji: string }, undefined]
  fetchFile: [{ peer: string; id: string }, Blob]
  read: [{ peer: string; upTo: string }, undefined]
  typing: [{ peer: string; typing: boolean }, undefined]
  draft: [{ peer: string; text: string }, undefined]
  timer: [{ peer: string; seconds: number | null }, undefined]
  accept: [{ peer: string }, undefined]
  block: [{ peer: string; blocked: boolean }, undefined]
  watch: [{ peers: string[] }, undefined] // presence of those on the screen
  safety: [{ peer: string }, { digits: string; qr: string }]
  verify: [{ peer: string; verified: boolean }, undefined]
  trust: [{ peer: string }, undefined] // go on with changed keys
  devices: [undefined, DeviceView[]]
  removeDevice: [{ id: string }, undefined]
  linkCode: [undefined, { code: string; qr: string; expiresAtMs: number }]
  link: [{ code: string }, undefined]
  profile: [Partial<Omit<Profile, 'username' | 'server' | 'deviceId'>>, Profile]
  changePassword: [{ old: string; new: string }, undefined]
  enablePush: [{ endpoint: string; p256dh: string; auth: string } | null, undefined]
  pushKey: [undefined, { applicationServerKey: string }]
  exportHistory: [{ passphrase: string }, Blob] // empty: readable by anyone; also of whoever is `left`
  importHistory: [{ file: Blob; passphrase: string }, { messages: number }] // `locked`: it takes a passphrase
}

export type Command = keyof Commands
export type Argument<C extends Command> = Commands[C][0]
export type Answer<C extends Command> = Commands[C][1]

/** What the engine tells every page. */
export type Notice =
  | { type: 'connection'; connection: Connection }
  | { type: 'profile'; profile: Profile | null } // null: signed out, by whomever
  | { type: 'conversation'; conversation: Conversation }
  | { type: 'message'; message: MessageView } // new or changed
  | { type: 'removed'; peer: string; id: string } // expired, or removed on this device
  | { type: 'progress'; id: string; done: number; total: number } // of a file
  | { type: 'alert'; kind: 'identity_changed' | 'device_added'; peer: string; device: string }
  | { type: 'linked'; messages: number; problem: string } // this device was linked, with so much history; or not
  | { type: 'trouble'; code: string; detail: string } // nothing gives up in silence

/** Why a command was refused: a code of the registry, or one of the engine's own. */
export interface CommandError {
  code: string
  detail: string
  retryAfterS: number | null
  /** The account has as many devices as it may: one of these has to go before another comes. */
  devices?: RemovableDevice[]
}

/** A device of an account that is not signed in here. */
export interface RemovableDevice {
  id: string
  name: string
  createdAtMs: number
}

/** The page's end of the engine. */
export interface Engine {
  call<C extends Command>(command: C, argument: Argument<C>): Promise<Answer<C>>
  /** Hear notices until the returned function is called. */
  listen(hear: (notice: Notice) => void): () => void
}
