/** What the operators' part of the API says: `GET /admin/v1/stream` and the calls beside it. */

export interface Hello {
  server_name: string
  release: string
  now_ms: number
  history_s: number
  step_s: number
}

export interface RoleRow {
  role: string
  name: string
  /** Its machine; null while it has none, as before it starts. */
  node: string | null
  pid: number | null
  state: string
  detail?: string
  shards?: number[] | number
  users?: number
  lag?: number
  version?: number | string
  release?: string
  started_at_ms?: number
}

export interface NodeRow {
  address: string
  name?: string
  drained: boolean
  alive?: boolean
  cpu?: number | null
  cpus?: number | null
  memory_bytes?: number | null
  memory_total_bytes?: number | null
  disk_free_bytes?: number | null
  disk_total_bytes?: number | null
}

export interface ShardRow {
  shard: number
  host: string | null
  router: string | null
  pusher?: string | null
  moving?: boolean
}

export interface Alarm {
  name: string
  since_ms: number
  text: string
  runbook: string
  level?: Level
}

export interface State {
  at_ms: number
  map_version: number
  ready?: boolean
  shards: ShardRow[]
  nodes: NodeRow[]
  roles: RoleRow[]
  alarms?: Alarm[]
}

/** Figures by name; null where there is none, as a percentile of nothing. */
export type Values = Record<string, number | null>

export interface Figures {
  at_ms: number
  values: Values
  roles: Record<string, Values>
}

export interface History {
  at_ms: number[]
  values: Record<string, (number | null)[]>
}

/** The coordinator does not answer the gateway. */
export interface Away {
  at_ms: number
  detail: string
}

/** The last of a stream. */
export interface Bye {
  code: string
  detail: string
}

export type Level = 'info' | 'warning' | 'problem'

export interface EventLine {
  n: number
  at_ms: number
  kind: string
  subject: string
  text: string
  by?: string | null
  level: Level
  /** False while the store is away and only memory has it. */
  stored?: boolean
  more?: Record<string, unknown> | null
}

export interface Operation {
  number: number
  act?: string
  what?: unknown
  by?: string
  done: boolean
  stage: string
  lines: string[]
  failure: string
}

export interface DeadLetter {
  id: string
  topic: string
  at_ms: number
  reason: string
  from?: string | null
  to?: string | null
  cause?: string | null
  bytes: number
  heading: string
  retried: boolean
  retried_at_ms?: number
  retried_by?: string
}

export interface Connection {
  id: string
  gateway: string
  username: string
  device_id: string
  since_ms: number
  address_prefix: string
  /** Null, as its age, where the user's host does not say. */
  unacknowledged: number | null
  oldest_unacknowledged_ms: number | null
  queued_bytes: number
  /** For how long the client has left unread what was written. */
  stuck_ms: number
  /** The seq of the last entry that went down. */
  sent: number
  background: boolean
  subprotocol: string
}

export interface Displaced {
  username: string
  device_id: string
  at_ms: number
  gateway: string
}

export interface Connections {
  connections: Connection[]
  recently_displaced: Displaced[]
  /** Gateways that did not answer. */
  away: string[]
}

export interface HotUser {
  username: string
  host: string
  count: number
  per_s: number
}

export interface HotUsers {
  users: HotUser[]
  since_ms: number
}

export interface UserDevice {
  device_id: string
  created_at_ms: number
  has_keys: boolean
  push: boolean
  signed_out: boolean
}

export interface UserSession {
  device_id: string
  created_at_ms: number
  used_at_ms: number
  expires_at_ms: number
  signed_refresh: boolean
}

/** A connection of a device, as the user's host knows it. */
export interface UserStream {
  device_id: string
  gateway: string
  background: boolean
  unacknowledged: number
  /** Since when it acknowledges nothing; 0 if it is up to date. */
  waiting_since_ms: number
}

export interface UserState {
  user_id: string
  username: string
  created_at_ms: number
  last_seen_ms: number
  scopes: string[]
  devices: UserDevice[]
  sessions: UserSession[]
  backlog?: Record<string, number> | null
  oldest_unacknowledged_at_ms?: number | null
  host?: string | null
  shard?: number | null
  online?: boolean | null
  streams?: UserStream[] | null
  pushes?: { at_ms: number; device_id?: string; provider: string; outcome: string }[] | null
  limits?:
    | {
        name: string
        device_id?: string
        to?: string
        left: number
        of: number
        resets_at_ms?: number | null
      }[]
    | null
}

/** A traced message was here; times have a fraction. */
export interface Hop {
  at_ms: number
  role: string
  name: string
  step: string
  cause: string
  detail: string
}

export interface Hops {
  /** 0: no role watches any more. */
  until_ms: number
  hops: Hop[]
}

/** The roles that watch a user, and those that do not. */
export interface Watching {
  until_ms: number
  roles: string[]
  away: string[]
}

export interface Setting {
  name: string
  value: unknown
  source: string
}

/** A key of the key ring by its id, or a certificate as the roles of a machine find it. */
export interface KeyRow {
  id?: string
  name?: string
  kind: 'key' | 'certificate'
  purpose: string
  state: string
  made_at_ms: number | null
  ends_at_ms: number | null
  roles?: string[]
}

export interface Ages {
  keys: KeyRow[]
  certificates: KeyRow[]
  /** Roles that did not say. */
  away: string[]
}
