/** A made system of three machines, to look at the pages with. Never part of the build. */
import type {
  Ages,
  Connection,
  DeadLetter,
  EventLine,
  Figures,
  History,
  KeyRow,
  NodeRow,
  RoleRow,
  Setting,
  ShardRow,
  State,
  UserState,
} from '../wire'

const GIB = 2 ** 30
export const NODES: NodeRow[] = ['10.0.0.11', '10.0.0.12', '10.0.0.13'].map((address, index) => ({
  address,
  name: `eu-${index + 1}`,
  drained: false,
  alive: true,
  cpu: 1.2 + index * 0.4,
  cpus: 8,
  memory_bytes: (3.1 + index) * GIB,
  memory_total_bytes: 16 * GIB,
  disk_free_bytes: 180 * GIB,
  disk_total_bytes: 256 * GIB,
}))

const at = (index: number) => NODES[index % NODES.length]?.address ?? ''

function many(
  role: string,
  count: number,
  more: (index: number) => Partial<RoleRow> = () => ({}),
): RoleRow[] {
  return Array.from({ length: count }, (_, index) => ({
    role,
    name: `${role}-${index + 1}`,
    node: at(index),
    pid: 4_000 + index + role.length * 100,
    state: 'running',
    release: '0.1.0',
    version: 42,
    started_at_ms: Date.now() - 86_400_000,
    ...more(index),
  }))
}

export const SHARDS = 32

export function roles(): RoleRow[] {
  return [
    { role: 'coordinator', name: 'coordinator', node: at(0), pid: 3_900, state: 'running', release: '0.1.0' },
    ...many('gateway', 3, index => ({ users: 400 + index })),
    ...many('router', 3, index => ({ shards: index < 2 ? 11 : 10, lag: index * 4 })),
    ...many('host', 6, index => ({ shards: index < 2 ? 6 : 5, users: 212 + index * 3 })),
    ...many('pusher', 2, () => ({ shards: 16 })),
    ...many('spare', 2),
    { role: 'kafka', name: 'kafka', node: at(0), pid: 700, state: 'running', version: '4.1' },
    { role: 'mongo', name: 'mongo', node: at(0), pid: 701, state: 'running' },
    { role: 'redis', name: 'redis', node: at(0), pid: 702, state: 'running' },
  ]
}

export function shards(): ShardRow[] {
  return Array.from({ length: SHARDS }, (_, shard) => ({
    shard,
    host: `host-${(shard % 6) + 1}`,
    router: `router-${(shard % 3) + 1}`,
  }))
}

export function state(): State {
  return { at_ms: Date.now(), map_version: 42, nodes: NODES, roles: roles(), shards: shards(), alarms: [] }
}

const wave = (at_ms: number, period: number, phase = 0) =>
  Math.sin((at_ms / 1_000 / period) * 2 * Math.PI + phase)

export function valuesAt(at_ms: number): Record<string, number | null> {
  const accepted = 310 + 90 * wave(at_ms, 400) + 20 * wave(at_ms, 17)
  const burst = Math.max(0, wave(at_ms, 700) - 0.8) * 60
  return {
    accepted_per_s: accepted,
    delivered_per_s: accepted * 0.94,
    refused_per_s: burst / 3,
    limited_per_s: burst,
    pushes_per_s: 14 + 5 * wave(at_ms, 90),
    pushes_failed_per_s: burst / 20,
    accept_p50_ms: 5.5 + wave(at_ms, 60),
    accept_p99_ms: 28 + 9 * wave(at_ms, 45),
    deliver_p50_ms: 14 + 2 * wave(at_ms, 50),
    deliver_p99_ms: 71 + 22 * wave(at_ms, 65),
    stored_per_s: accepted,
    store_commit_p99_ms: 40,
    lag_records: Math.round(30 + 25 * wave(at_ms, 30)),
    streams: 1_204,
    users_active: 1_318,
    dead_letters: 2,
    cpu_cores: 3.4 + 0.5 * wave(at_ms, 120),
    memory_bytes: (2.1 + 0.05 * wave(at_ms, 300)) * GIB,
    'limited.sends_by_device': burst,
    'limited.logins_by_address': 0.2,
    'push.sent': 13.2,
    'push.unregistered': 0.1,
  }
}

export function figures(at_ms: number): Figures {
  const each = roles().map(role => [
    role.name,
    {
      cpu: 0.21 + (role.name.length % 4) * 0.05,
      memory_bytes: 91e6,
      fds: 64,
      ...(role.role === 'gateway' ? { streams: 401 } : {}),
      ...(role.users === undefined ? {} : { users: role.users }),
    },
  ])
  return { at_ms, values: valuesAt(at_ms), roles: Object.fromEntries(each) }
}

export function history(now_ms: number): History {
  const times = Array.from({ length: 450 }, (_, index) => now_ms - 900_000 + index * 2_000)
  const columns = times.map(valuesAt)
  const names = Object.keys(columns[0] ?? {})
  return {
    at_ms: times,
    values: Object.fromEntries(names.map(name => [name, columns.map(each => each[name] ?? null)])),
  }
}

export function events(now_ms: number): EventLine[] {
  const lines: [number, string, string, string, EventLine['level'], string?][] = [
    [3_500, 'admin_act', 'router', 'scale router=3', 'info', 'user:ann'],
    [3_480, 'role_started', 'router-3', 'runs on eu-3', 'info'],
    [3_479, 'map_drawn', '', 'version 41: 10 shards have another router', 'info'],
    [800, 'server_away', 'redis', 'does not respond', 'problem'],
    [792, 'alarm_raised', 'RoostServerAway', 'redis does not respond', 'problem'],
    [770, 'server_back', 'redis', 'responds again after 30 s', 'info'],
    [765, 'alarm_cleared', 'RoostServerAway', 'after 27 s', 'info'],
    [130, 'role_ended', 'host-4', 'was killed by signal 9', 'warning'],
    [129, 'spare_taken', 'host-4', 'spare-1 is host-4 from now on', 'info'],
    [128, 'shards_moved', 'host-4', '5 shards again served after 1.1 s', 'info'],
  ]
  return lines.map(([ago, kind, subject, text, level, by], index) => ({
    n: (now_ms - ago * 1_000) * 1_000,
    at_ms: now_ms - ago * 1_000,
    kind,
    subject,
    text,
    level,
    ...(by ? { by } : {}),
    ...(index === 2 ? { more: { moved: [1, 4, 7], version: 41 } } : {}),
  }))
}

export const LETTERS: DeadLetter[] = [3, 9].map(index => ({
  id: `mailbox:${index}:18${index}44`,
  topic: 'mailbox',
  at_ms: Date.now() - index * 3_600_000,
  reason: index === 3 ? 'ValueError: the cursor is behind the head' : 'KeyError: to',
  from: 'alice',
  to: 'bob',
  cause: '0197f3a2-71c4-7b1e-9a6e-3f1d5c0a9b21',
  bytes: 812,
  heading: 'a message',
  retried: index === 9,
  retried_by: index === 9 ? 'user:ann' : '',
  retried_at_ms: index === 9 ? Date.now() - 60_000 : 0,
}))

export const CONNECTIONS: Connection[] = ['alice', 'bob', 'carol', 'dave'].map((username, index) => ({
  id: `gateway-${(index % 3) + 1}:${index}`,
  gateway: `gateway-${(index % 3) + 1}`,
  username,
  device_id: `K${index}XQ7ADM2P`,
  since_ms: Date.now() - (index + 1) * 4_000_000,
  address_prefix: `203.0.${index}.0/24`,
  unacknowledged: 200 - index * 60,
  queued_bytes: 480_000 >> (index * 2),
  sent: 12_000 + index,
  oldest_unacknowledged_ms: 40_000 >> index,
  stuck_ms: index ? 0 : 12_000,
  background: index === 3,
  subprotocol: 'roost.v1.msgpack',
}))

export function user(username: string): UserState {
  const now = Date.now()
  const devices = ['K0XQ7ADM2P', 'PHONE7ADM2'].map((device_id, index) => ({
    device_id,
    created_at_ms: now - 40 * 86_400_000,
    has_keys: true,
    push: index === 1,
    signed_out: false,
  }))
  return {
    user_id: '6f1c9d34-5c1b-4a52-a0f0-0d9f2f1f3c55',
    username,
    created_at_ms: now - 90 * 86_400_000,
    last_seen_ms: now - 42_000,
    scopes: [],
    devices,
    sessions: devices.map(({ device_id }) => ({
      device_id,
      created_at_ms: now - 9 * 86_400_000,
      used_at_ms: now - 300_000,
      expires_at_ms: now + 20 * 86_400_000,
      signed_refresh: true,
    })),
    backlog: { K0XQ7ADM2P: 0, PHONE7ADM2: 37 },
    oldest_unacknowledged_at_ms: now - 5 * 3_600_000,
    host: 'host-3',
    shard: 14,
    online: true,
    streams: [
      {
        device_id: 'K0XQ7ADM2P',
        gateway: 'gateway-2',
        background: false,
        unacknowledged: 0,
        waiting_since_ms: 0,
      },
    ],
    pushes: [
      { at_ms: now - 60_000, device_id: 'PHONE7ADM2', provider: 'fcm', outcome: 'sent' },
      { at_ms: now - 3_600_000, device_id: 'PHONE7ADM2', provider: 'fcm', outcome: 'pending' },
    ],
    limits: [
      { name: 'sends', device_id: 'PHONE7ADM2', left: 4_212, of: 5_000, resets_at_ms: now + 9_000 },
      { name: 'bytes_by_pair', to: 'bob', left: 3_145_728, of: 16_777_216, resets_at_ms: now + 26_000 },
    ],
  }
}

export const SETTINGS: Setting[] = [
  { name: 'server_name', value: 'chat.example.org', source: 'file' },
  { name: 'kafka.url', value: 'kafka.internal:9092', source: 'environment' },
  { name: 'mongo.url', value: 'mongodb://***@mongo.internal', source: 'environment' },
  { name: 'shards', value: 32, source: 'default' },
  { name: 'push.hold_back_s', value: 2, source: 'default' },
]

const key = (id: string, purpose: string, days: number): KeyRow => ({
  id,
  kind: 'key',
  purpose,
  state: 'active',
  made_at_ms: Date.now() - days * 86_400_000,
  ends_at_ms: null,
})

export const AGES: Ages = {
  keys: [key('k7f3', 'token', 30), key('k02a', 'field', 200)],
  certificates: [
    {
      name: 'eu-1.crt',
      kind: 'certificate',
      purpose: 'node',
      state: 'valid',
      made_at_ms: Date.now() - 80 * 86_400_000,
      ends_at_ms: Date.now() + 10 * 86_400_000,
      roles: ['gateway-1', 'host-1'],
    },
  ],
  away: [],
}
