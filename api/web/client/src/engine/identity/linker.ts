/** The linking of devices: a new one shows a code, an old one signs it and hands over what it knows. */

import { fromBase64, fromUtf8, type Random, unpadded, utf8 } from '../../core/bytes'
import type { Directory } from '../../core/client/directory'
import type { KeyChanged } from '../../core/client/events'
import type { Content, FileReference } from '../../core/content'
import { knownBundle, readKey, verifyDeviceKeys, verifyKey } from '../../core/crypto/keys'
import {
  formatLinkCode,
  isGood,
  LIFE_S,
  type LinkCode,
  openAnswer,
  parseLinkCode,
  SECRET_BYTES,
  sealAnswer,
} from '../../core/crypto/linkcode'
import { addressOf } from '../../core/ids'
import { type Members, members, optional, text, whole } from '../../core/shapes'
import type { Account } from '../account'
import { RoostError } from '../errors'
import type { Transfers } from '../files/transfers'
import { type Archive, type HistoryLine, type Person, packed, read, unpacked, written } from './archive'
import type { KeyCalls } from './calls'
import type { OwnIdentityKeeper } from './own'

type Linked = Extract<Content, { kind: 'linked' }>

/** What linking reports to. */
export interface LinkOwner {
  nowMs(): number
  /** What this device knows, for the archive. */
  known(): Promise<Archive>
  /** Keeps the history of an archive, as far as it is not here yet; returns how many messages that is. */
  keepHistory(lines: HistoryLine[]): Promise<number>
  /** Tells what differs in what is known of a peer, and looks again whether it is in doubt. */
  peerChanged(peer: string, changes: KeyChanged[]): void
  /** This device is linked now; or it is not, for this reason. */
  linked(messages: number, problem: string): void
}

export class Linker {
  private shown: LinkCode | null = null
  private readonly address: string

  constructor(
    private readonly account: Account,
    private readonly directory: Directory,
    private readonly identity: OwnIdentityKeeper,
    private readonly calls: KeyCalls,
    private readonly transfers: Transfers,
    private readonly owner: LinkOwner,
    private readonly random: Random,
  ) {
    this.address = addressOf(account.username, account.serverName)
  }

  /** A code that links this device, once and for ten minutes; one that was shown before ends. */
  code(): { code: string; endsMs: number } {
    const { username, deviceId, secrets } = this.account
    const endsS = Math.floor(this.owner.nowMs() / 1000) + LIFE_S
    const secret = this.random(SECRET_BYTES)
    this.shown = { username, deviceId, ed25519: verifyKey(secrets.ed25519), secret, endsS }
    return { code: formatLinkCode(this.shown), endsMs: endsS * 1000 }
  }

  /** Reads the code of a new device, signs the device, and returns the message to oneself that it awaits. */
  async answer(written_: string): Promise<Linked> {
    const code = parsed(written_)
    const me = this.account.username
    const secrets = this.identity.secrets
    if (secrets === null) {
      throw refused('this device is not linked itself: use the one that you had first')
    }
    if (code.username !== me) {
      throw refused(`the code is of a device of ${code.username}, not of ${me}`)
    }
    if (!isGood(code, this.owner.nowMs())) {
      throw refused('the code has ended: have the new device show another one')
    }
    const bundle = (await this.calls.query([me])).get(me)?.bundles[code.deviceId]
    if (bundle === undefined) {
      throw refused('the server knows no such device of yours')
    }
    const device = verifyDeviceKeys(bundle, this.address, code.deviceId)
    if (unpadded(device.ed25519) !== unpadded(code.ed25519)) {
      throw refused('the server gives other keys for the device than it shows itself: it is not linked')
    }
    await this.identity.sign(code.deviceId, knownBundle(bundle))
    this.owner.peerChanged(me, [])
    const archive = await this.sentArchive()
    const told = { master: unpadded(secrets.master), generation: secrets.generation, archive }
    const answer = sealAnswer(utf8(JSON.stringify(told)), code, device, this.account.secrets, this.random(32))
    const [sealed, proof] = [unpadded(answer.sealed), unpadded(answer.proof)]
    return { kind: 'linked', device: code.deviceId, sealed, proof }
  }

  /** Takes the answer of another own device, if it is for this one. */
  async received(answer: Linked, by: string): Promise<void> {
    if (answer.device !== this.account.deviceId) {
      return
    }
    try {
      await this.accept(answer, by)
    } catch (error) {
      this.owner.linked(0, error instanceof Error ? error.message : String(error))
    }
  }

  private async accept(answer: Linked, by: string): Promise<void> {
    const { username, secrets } = this.account
    const [code, sender] = [this.shown, this.directory.device(username, by)]
    if (code === null || sender === null) {
      throw new Error('this device shows no code, or does not know the other one')
    }
    const [sealed, proof] = [fromBase64(answer.sealed), fromBase64(answer.proof)]
    const told = members(JSON.parse(fromUtf8(openAnswer(sealed, proof, code, sender, secrets))))
    if (!isGood(code, this.owner.nowMs())) {
      throw new Error('the answer came after the code had ended')
    }
    await this.identity.adopt({ master: readKey(told.master), generation: whole(told.generation) })
    this.shown = null
    this.owner.peerChanged(username, [])
    const archive = optional(told.archive, value => members(value))
    const messages = archive === null ? 0 : await this.taken(archive)
    this.owner.linked(messages, '')
  }

  private async sentArchive(): Promise<Members> {
    const known = await this.owner.known()
    const blob = await packed(written(this.address, this.owner.nowMs(), known))
    const key = this.random(32)
    const sent = await this.transfers.upload(
      { blob, key, mediaId: null },
      () => {},
      async () => {},
    )
    return {
      media_id: sent.mediaId,
      key: unpadded(key),
      sha256: unpadded(sent.sha256),
      size: blob.size,
    }
  }

  private async taken(found: Members): Promise<number> {
    const file: FileReference = {
      mediaId: text(found.media_id),
      key: readKey(found.key),
      sha256: readKey(found.sha256),
      size: whole(found.size),
      ...{ name: '', type: '', width: null, height: null, thumbnail: null },
    }
    const blob = await this.transfers.download(file, () => {})
    const archive = read(await unpacked(blob), this.address)
    for (const person of archive.people) {
      this.know(person)
    }
    return this.owner.keepHistory(archive.lines)
  }

  private know({ peer, devices, identity }: Person): void {
    if (peer !== this.account.username) {
      this.owner.peerChanged(peer, this.directory.adopt(peer, devices, identity))
    }
  }
}

function parsed(written_: string): LinkCode {
  try {
    return parseLinkCode(written_)
  } catch (error) {
    throw refused(error instanceof Error ? error.message : String(error))
  }
}

const refused = (why: string): RoostError =>
  new RoostError('invalid', `${why[0]?.toUpperCase()}${why.slice(1)}.`)
