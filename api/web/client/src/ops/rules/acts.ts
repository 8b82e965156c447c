/** What is asked before an act, and what it then does. */
import type { Calls } from '../net/calls'
import type { Asked } from '../state/ops.svelte'
import type { Connection, DeadLetter, State } from '../wire'
import { bytes, plural } from './format'
import { EFFECT } from './scaling'

export function askDrain(calls: Calls, target: string, drained: boolean, state: State | null): Asked {
  const node = state?.nodes.find(each => each.address === target)
  const name = node?.name || target
  if (drained) {
    return {
      title: `Undrain ${name}?`,
      sentences: [
        'Roles may run on this machine again. They move there one by one, each after ten calm seconds.',
      ],
      action: 'Undrain',
      run: () => calls.undrain(target),
    }
  }
  return {
    title: `Drain ${name}?`,
    sentences: [
      node ? machineEmptied(target, state) : roleGone(target, state),
      'No message is lost; in the end it is proved that nothing is left there.',
    ],
    action: 'Drain',
    bad: true,
    run: () => calls.drain(target),
  }
}

function machineEmptied(address: string, state: State | null): string {
  const roles = state?.roles.filter(each => each.node === address && each.role !== 'coordinator') ?? []
  const shards = state?.shards.filter(each => roles.some(role => role.name === each.host)).length ?? 0
  return (
    `Its ${plural(roles.length, 'process', 'processes')} end one by one and start on other machines; ` +
    `${plural(shards, 'shard')} move first.`
  )
}

function roleGone(name: string, state: State | null): string {
  const role = state?.roles.find(each => each.name === name)?.role ?? 'role'
  return `There is one ${role} fewer then. ${EFFECT[role]?.fewer ?? ''}`.trim()
}

export function askUpgrade(calls: Calls): Asked {
  return {
    title: 'Upgrade every role?',
    sentences: [
      'Each process is replaced, one by one, by one of the release that is installed on its machine.',
      'Messages go on meanwhile. The coordinator comes last: it restarts some seconds after the others are done.',
    ],
    action: 'Upgrade',
    run: () => calls.upgrade(),
  }
}

export function askRetry(calls: Calls, letter: DeadLetter, done: () => void): Asked {
  const way = letter.from || letter.to ? ` from ${letter.from ?? 'someone'} to ${letter.to ?? 'someone'}` : ''
  return {
    title: 'Try this record again?',
    sentences: [
      `The record${way} (${bytes(letter.bytes)}) is written to ${letter.topic} again and handled like a new one.`,
      'A record that was handled already is dropped as a repeat. It can be tried again only once.',
    ],
    action: 'Retry',
    run: async () => {
      await calls.retry(letter.id)
      done()
      return 'Written back. If it fails again, it comes here as another dead letter.'
    },
  }
}

export function askClose(calls: Calls, connection: Connection, done: () => void): Asked {
  return {
    title: 'Close this connection?',
    sentences: [
      `${connection.username}'s device ${connection.device_id} at ${connection.gateway} is disconnected.`,
      'It may connect again at once, and gets what it has not acknowledged. Its session goes on.',
    ],
    action: 'Close the connection', // "Close" alone is what closes the question
    bad: true,
    run: async () => {
      await calls.close(connection.id)
      done()
      return `Closed ${connection.username}'s connection.`
    },
  }
}

export function askEnd(calls: Calls, username: string, device: string, done: () => void): Asked {
  return {
    title: 'End this session?',
    sentences: [
      `${username}'s device ${device} is signed out: its connections close everywhere and its tokens end.`,
      'The person has to sign in again there. Messages wait for the device meanwhile.',
    ],
    action: 'End the session',
    bad: true,
    run: async () => {
      await calls.endSession(username, device)
      done()
      return `Ended the session of ${username}'s device.`
    },
  }
}
