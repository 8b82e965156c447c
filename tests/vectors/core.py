"""Random histories of the client's core: what is done to it, and what it does and has become after each step.

    python -m tests.vectors.core --seed 1 --count 200 > core.json

Each history drives a `Session`, a `Directory` and an `Inbox` together, as the shell does: frames as they come
over the wire, answers to what the core asked for, time, restarts from what is kept. ``digest`` is the start
of a digest of the whole state, in canonical JSON; the last step has it in full. Texts for people are left
out.
"""

import argparse
import hashlib
import sys
from random import Random
from typing import Any, Final

import msgspec

from roost.client import effects as do
from roost.client import events
from roost.client.content import Delete, Edit, Reaction, encode
from roost.client.core import Session
from roost.client.core.directory import Directory
from roost.client.shell.inbox import Inbox
from roost.client.state import OutboxItem, PinnedIdentity, State
from roost.client.transport.port import decode_entries
from roost.cross_signing import PublishedIdentity
from roost.crypto import DeviceSecrets, Heading
from roost.crypto.identity import IdentitySecrets
from roost.crypto.keys import device_keys
from roost.ids import address_of, uuid7
from roost.signing import canonical_json
from roost.wire import CODECS, JSON, Entries, Typing, from_base64, unpadded
from tests.vectors.sealed import sealed_by_hand

SERVER: Final = "example.org"
ME: Final = "alice"
PEERS: Final = ("bob", "carol")
DEVICES: Final = {ME: ("A1", "A2", "A3"), "bob": ("B1", "B2"), "carol": ("C1",)}
START_MS: Final = 1_795_000_000_000
_CODEC: Final = CODECS[JSON]
_KINDS: Final = {
    events.MessageReceived: "message",
    events.Undecryptable: "undecryptable",
    events.Accepted: "accepted",
    events.Expired: "expired",
    events.Delivered: "delivered",
    events.Read: "read",
    events.Failed: "failed",
    events.IdChanged: "id_changed",
    events.SentElsewhere: "sent_elsewhere",
    events.KeyChanged: "key_changed",
    events.Typing: "typing",
    events.Presence: "presence",
    events.Connected: "connected",
    events.Synced: "synced",
    events.Missed: "missed",
    events.Unsupported: "unsupported",
    events.Refused: "refused",
}
_LEFT_OUT: Final = {"body", "file", "detail"}
_REFUSALS: Final = (
    *("device_mismatch",) * 4,
    *("id_expired",) * 8,
    *("id_reused", "rate_limited", "unavailable", "mailbox_full"),
    *("too_large", "unknown_user", "unauthenticated", "a_later_word"),
)

_UNUSED: Final = {"unused_fallback_key_types": ["signed_curve25519"]}


class History:
    """Draws one history.

    Args:
        seed: Of the draws.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._now = START_MS
        self._secrets = {
            device: DeviceSecrets.from_random(self._random.randbytes(64))
            for devices in DEVICES.values()
            for device in devices
        }
        self._identities = {user: IdentitySecrets(self._random.randbytes(32)) for user in DEVICES}
        self._state = State()
        self._pins: dict[str, Any] = {}
        self._known: dict[str, PinnedIdentity] = {}
        self._hold_new = self._random.random() < 0.5
        self._restart()
        self._mailbox: list[dict[str, Any]] = []
        self._seq = 0
        self._peer_seq = dict.fromkeys(DEVICES, 0)
        self._seals: list[str] = []
        self._checks: list[str] = []
        self._reissues: list[OutboxItem] = []
        self._delivered: list[int] = []
        self._sent: list[str] = []
        self.steps: list[dict[str, Any]] = []

    def draw(self, count: int) -> dict[str, Any]:
        """Draw so many steps; return the history."""
        for _ in range(count):
            self._now += self._random.choice((1, 50, 300, 2_000, 20_000))
            self._step(self._choose())
        self.steps[-1]["full"] = self._full()
        secrets = self._secrets["A1"]
        return {
            "me": ME, "device": "A1", "server": SERVER, "hold_new": self._hold_new,
            "curve25519": unpadded(secrets.curve25519), "ed25519": unpadded(secrets.ed25519),
            "steps": self.steps,
        }  # fmt: skip

    # --- what may happen ---

    def _choose(self) -> dict[str, Any]:
        choices = {
            "submit": 8, "entries": 12, "answer": 14, "taken": 8, "tick": 6, "learn": 8, "read": 2,
            "frame": 3, "closed": 1.5, "restart": 1, "hold": 1, "trust": 1, "typing": 1, "subscribe": 0.5,
            "release": 2, "refuse_largest": 0.3, "lose_cursor": 0.3, "ack_due": 5,
        }  # fmt: skip
        if not self._session.open and self._random.random() < 0.5:
            return self._frame_ready()
        kind = self._random.choices(list(choices), list(choices.values()))[0]
        made: dict[str, Any] = getattr(self, f"_draw_{kind}")()
        return made

    def _draw_submit(self) -> dict[str, Any]:
        random = self._random
        at_ms = self._now - random.choice((0, 0, 0, 7 * 24 * 3600 * 1000))
        to, content = random.choice((*PEERS, "bob", ME)), random.randbytes(4)
        unsent = [each for each in self._state.outbox.values() if each.to == to and each.seq is None]
        if unsent and random.random() < 0.2:
            return self._remark_on(random.choice(unsent))
        return {
            "op": "submit", "id": uuid7(at_ms, random.randbytes(10)), "to": to, "content": unpadded(content),
            "urgent": random.random() < 0.9, "expires_in_s": random.choice((None, None, None, 5, 3600)),
            "silent": random.random() < 0.2,
        }  # fmt: skip

    def _remark_on(self, item: OutboxItem) -> dict[str, Any]:
        remarks = Edit(item.id, "ß"), Delete(item.id), Reaction(item.id, "👍")
        return {
            "op": "submit", "id": uuid7(self._now, self._random.randbytes(10)), "to": item.to,
            "content": unpadded(encode(self._random.choice(remarks))), "urgent": True, "expires_in_s": None,
            "silent": True,
        }  # fmt: skip

    def _draw_entries(self) -> dict[str, Any]:
        random = self._random
        if self._mailbox and random.random() < 0.25:
            fresh = self._mailbox[random.randrange(len(self._mailbox)) :][:4]  # again, or as a backlog
        else:
            fresh = [self._entry() for _ in range(random.randrange(1, 4))]
            self._mailbox += fresh
            if random.random() < 0.08:
                fresh = fresh[1:] or fresh
        return self._frame({"type": "entries", "entries": fresh})

    def _entry(self) -> dict[str, Any]:
        random, prev = self._random, self._seq
        self._seq += random.randrange(1, 4) + (2**32 if random.random() < 0.02 else 0)
        place = {"seq": self._seq, "prev": prev, "at_ms": self._now}
        kind = random.choices(("message", "receipt", "keys", "sent", "odd"), (8, 6, 2, 5, 1))[0]
        if kind == "receipt":
            peer = random.choice(PEERS)
            upto = max(0, self._peer_seq[peer] - random.randrange(0, 4))
            read = random.randrange(0, upto + 1) if upto < 2**31 else upto
            return {**place, "type": kind, "peer": peer, "delivered_seq": upto, "read_seq": read}
        if kind == "keys":
            user = random.choice(tuple(DEVICES))
            return {**place, "type": kind, "user": user, "device": DEVICES[user][0], "change": "added"}
        if kind == "odd":
            return random.choice(({**place, "type": "poll"}, {"seq": self._seq, "type": "message"}))
        return {**place, "type": kind, **self._sealed(kind)}

    def _sealed(self, kind: str) -> dict[str, Any]:
        random = self._random
        user = ME if kind == "sent" else random.choice((*PEERS, "bob"))
        device = random.choice(DEVICES[user][1:] if kind == "sent" else DEVICES[user])
        message_id = uuid7(self._now, random.randbytes(10))
        recipient = random.choice(PEERS) if kind == "sent" else ME
        heading = Heading(
            address_of(user, SERVER), device, address_of(recipient, SERVER), message_id, self._now
        )
        payload = sealed_by_hand(
            random.randbytes(5), heading, self._secrets[device], self._secrets["A1"], random.randbytes(32)
        )
        fault = random.choices(("", "altered", "time", "id", "suite", "none"), (12, 1, 1, 1, 1, 6))[0]
        if fault == "altered":
            payload = payload[:-1] + bytes([payload[-1] ^ 1])
        members: dict[str, Any] = {
            "id": "not an id" if fault == "id" else message_id, "from_device": device,
            "sent_at_ms": self._now + (fault == "time"), "accepted_at_ms": self._now,
            "suite": "later.v9" if fault == "suite" else "sealed.v1", "payload": unpadded(payload),
        }  # fmt: skip
        if random.random() < 0.1:
            members["expires_at_ms"] = self._now + 60_000
        if random.random() < 0.1:
            members["silent"] = True
        if kind == "message":
            return {**members, "from": user}
        if fault == "none":
            del members["payload"]
        return {**members, "to": recipient, "to_seq": self._seq + 5}

    def _draw_answer(self) -> dict[str, Any]:
        """Answer something that the core has asked for, or that is in flight."""
        random, now = self._random, self._now
        if self._reissues:
            return self._reissued()
        if self._checks and random.random() < 0.7:
            return self._checked(self._checks.pop(0))
        if self._seals and random.random() < 0.8:
            return self._sealed_now(self._seals.pop(0))
        flying = [lane.current for lane in self._session.outbox.lanes.values() if lane.current is not None]
        if not flying:
            return self._draw_tick()
        item = random.choice(flying)
        if random.random() < 0.65:
            self._peer_seq[item.to] += random.randrange(1, 3) + (2**32 if random.random() < 0.15 else 0)
            seq = self._peer_seq[item.to]
            self._sent.append(item.id)
            return self._frame({"type": "accepted", "id": item.id, "seq": seq, "accepted_at_ms": now})
        return self._frame(self._refusal(item.id))

    def _reissued(self) -> dict[str, Any]:
        random, now = self._random, self._now
        if random.random() < 0.6:
            return self._remark_on(self._reissues[-1])
        item = self._reissues.pop()
        return {"op": "reissued", "id": item.id, "new_id": uuid7(now, random.randbytes(10)), "now": now}

    def _refusal(self, message_id: str) -> dict[str, Any]:
        random = self._random
        frame: dict[str, Any] = {
            "type": "rejected",
            "id": message_id,
            "code": random.choice(_REFUSALS),
            "detail": "",
        }
        if random.random() < 0.4:
            frame["retry_after_s"] = random.choice((0.5, 3, 7200))
        for name in ("missing", "own_extra"):
            if frame["code"] == "device_mismatch" and random.random() < 0.6:
                frame[name] = ["X"]
        return frame

    def _checked(self, message_id: str) -> dict[str, Any]:
        random, now = self._random, self._now
        if random.random() < 0.2:
            return {"op": "unchecked", "id": message_id, "now": now}
        answer = None
        item = self._state.outbox.get(message_id)
        if random.random() < (0.7 if item is None or item.seq is not None else 0.3):
            seq = (item.seq if item is not None else None) or random.randrange(1, 50)
            state = random.choice(("accepted", "stored", "delivered", "read"))
            answer = {"seq": seq + (random.random() < 0.1), "state": state}
        return {"op": "checked", "id": message_id, "answer": answer, "now": now}

    def _sealed_now(self, message_id: str) -> dict[str, Any]:
        random, now = self._random, self._now
        if random.random() < 0.15:
            code = random.choice((None, "too_large"))
            return {"op": "unsealable", "id": message_id, "code": code, "now": now}
        payloads = {"D1": unpadded(random.randbytes(6))} if random.random() < 0.9 else {}
        own = {"A2": unpadded(random.randbytes(6))} if random.random() < 0.5 else None
        return {"op": "sealed", "id": message_id, "payloads": payloads, "own": own, "now": now}

    def _draw_taken(self) -> dict[str, Any]:
        seq = self._delivered.pop(0) if self._delivered else self._random.randrange(0, self._seq + 2)
        return {"op": "taken", "seq": seq, "now": self._now}

    def _draw_tick(self) -> dict[str, Any]:
        if self._random.random() < 0.05:
            self._now += 6 * 24 * 3600 * 1000
        return {"op": "tick", "now": self._now}

    def _draw_learn(self) -> dict[str, Any]:
        random = self._random
        user = random.choice((*DEVICES, "bob"))
        devices = [device for device in DEVICES[user] if random.random() < 0.8]
        identity = self._identities[user]
        if random.random() < 0.1:
            identity = self._identities[random.choice(tuple(DEVICES))]
        if random.random() < 0.1:
            identity = IdentitySecrets(identity.master, 2)
        address = address_of(user, SERVER)
        bundles = {}
        for device in devices:
            by = device if random.random() < 0.93 else random.choice(tuple(self._secrets))
            bundle = device_keys(address, device, self._secrets[by])
            if random.random() < 0.5:
                bundle = identity.sign_device(bundle, address)
            if random.random() < 0.04:
                bundle = bundle | {"algorithms": ["changed"]}
            bundles[device] = bundle
        published = None
        if random.random() < 0.5:
            voucher = random.choice(DEVICES[user])
            published = {
                "master_key": identity.master_key(address, voucher, self._secrets[voucher]),
                "self_signing_key": identity.self_signing_key(
                    address if random.random() < 0.95 else "@x:example.org"
                ),
            }
        return {"op": "learn", "peer": user, "bundles": bundles, "identity": published, "now": self._now}

    def _draw_release(self) -> dict[str, Any]:
        random = self._random
        kind = random.choice(("asked", "release", "release", "give_up"))
        return {"op": kind, "peer": random.choice((*DEVICES, "bob"))}

    def _draw_read(self) -> dict[str, Any]:
        seq = self._random.randrange(0, min(self._seq, 2**40) + 2)
        return {"op": "read", "peer": self._random.choice(PEERS), "seq": seq, "now": self._now}

    def _draw_hold(self) -> dict[str, Any]:
        held = self._random.random() < 0.4
        return {"op": "hold", "peer": self._random.choice(PEERS), "held": held, "now": self._now}

    def _draw_trust(self) -> dict[str, Any]:
        return {"op": "trust", "peer": self._random.choice(tuple(DEVICES))}

    def _draw_typing(self) -> dict[str, Any]:
        return {"op": "typing", "peer": "bob", "state": self._random.choice(("typing", "paused"))}

    def _draw_subscribe(self) -> dict[str, Any]:
        return {"op": "subscribe", "users": list(PEERS)[: self._random.randrange(0, 3)]}

    def _draw_closed(self) -> dict[str, Any]:
        return {"op": "closed", "now": self._now}

    def _draw_restart(self) -> dict[str, Any]:
        return {"op": "restart"}

    def _draw_refuse_largest(self) -> dict[str, Any]:
        return {"op": "refuse_largest", "now": self._now}

    def _draw_lose_cursor(self) -> dict[str, Any]:
        return {"op": "lose_cursor"}

    def _draw_ack_due(self) -> dict[str, Any]:
        return {"op": "ack_due"}

    def _draw_frame(self) -> dict[str, Any]:
        random = self._random
        ready = [self._frame_ready()["frame"]] if random.random() < 0.3 else []
        return self._frame(random.choice((*_frames(self._now, self._seq), *ready)))

    def _frame_ready(self) -> dict[str, Any]:
        cursor = self._session.cursor
        begins = self._random.randrange(0, 3) if cursor is None else cursor
        frame = {"type": "ready", "device_id": "A1", "cursor": begins, "server_time_ms": self._now}
        unused = self._random.choice(((), {"unused_fallback_key_types": []}, _UNUSED))
        return self._frame(frame | dict(unused))

    def _frame(self, frame: dict[str, Any]) -> dict[str, Any]:
        return {"op": "received", "frame": frame, "now": self._now}

    # --- how it is done ---

    def _step(self, step: dict[str, Any]) -> None:
        told: list[do.Effect] = getattr(self, f"_do_{step['op']}")(step)
        handed: list[list[Any]] = []
        self._handed = handed
        wanted: set[str] = set()
        for effect in told:
            self._note(effect)
        wanted = self._inbox.process(self._deliver)
        step["effects"] = [plain_effect(effect) for effect in told]
        step["delivered"] = handed
        step["wanted"] = sorted(wanted)
        step["digest"] = hashlib.sha256(canonical_json(self._full())).hexdigest()[:12]
        self.steps.append(step)

    def _note(self, effect: do.Effect) -> None:
        match effect:
            case do.Seal(item=item):
                self._seals.append(item.id)
            case do.Check(id=message_id):
                self._checks.append(message_id)
            case do.Reissue(item=item):
                self._reissues.append(item)
            case do.Take():
                self._inbox.add(effect)

    def _deliver(self, event: events.Event | None, seq: int) -> None:
        self._handed.append([None if event is None else plain_event(event), seq])
        if seq:
            self._delivered.append(seq)

    def _restart(self) -> None:
        self._session = Session(self._state, "sealed.v1")
        self._directory = Directory(SERVER, self._pins, self._known, hold_new=self._hold_new)
        self._inbox = Inbox(self._session, self._directory, self._secrets["A1"], ME, SERVER)
        self._seals, self._checks, self._reissues, self._delivered = [], [], [], []

    def _do_submit(self, step: dict[str, Any]) -> list[do.Effect]:
        item = OutboxItem(
            0, step["id"], step["to"], self._now, from_base64(step["content"]), step["urgent"],
            step["expires_in_s"], silent=step["silent"],
        )  # fmt: skip
        step["now"] = self._now
        return self._session.submit(item, self._now)

    def _do_received(self, step: dict[str, Any]) -> list[do.Effect]:
        frame = _decoded(step["frame"])
        return [] if frame is None else self._session.received(frame, self._now)

    def _do_sealed(self, step: dict[str, Any]) -> list[do.Effect]:
        payloads = {device: from_base64(text) for device, text in step["payloads"].items()}
        own = None if step["own"] is None else {name: from_base64(text) for name, text in step["own"].items()}
        return self._session.outbox.sealed(step["id"], payloads, self._now, own)

    def _do_unsealable(self, step: dict[str, Any]) -> list[do.Effect]:
        return self._session.outbox.unsealable(step["id"], self._now, step["code"])

    def _do_reissued(self, step: dict[str, Any]) -> list[do.Effect]:
        item = self._state.outbox.get(step["id"])
        return [] if item is None else self._session.outbox.reissued(item, step["new_id"], self._now)

    def _do_checked(self, step: dict[str, Any]) -> list[do.Effect]:
        return self._session.outbox.checked(step["id"], step["answer"], self._now)

    def _do_unchecked(self, step: dict[str, Any]) -> list[do.Effect]:
        self._session.outbox.unchecked(step["id"], self._now)
        return []

    def _do_taken(self, step: dict[str, Any]) -> list[do.Effect]:
        self._session.taken(step["seq"], self._now)
        return []

    def _do_tick(self, _: dict[str, Any]) -> list[do.Effect]:
        return self._session.tick(self._now)

    def _do_learn(self, step: dict[str, Any]) -> list[do.Effect]:
        given = step["identity"]
        published = (
            None if given is None else PublishedIdentity(given["master_key"], given["self_signing_key"])
        )
        changes = self._directory.learn(step["peer"], step["bundles"], published)
        step["recipients"] = {
            name: unpadded(key) for name, key in self._directory.recipients(step["peer"]).items()
        }
        step["in_doubt"] = self._directory.in_doubt(step["peer"])
        return [do.Tell(change) for change in changes]

    def _do_asked(self, step: dict[str, Any]) -> list[do.Effect]:
        step["times"] = self._inbox.asked(step["peer"])
        return []

    def _do_release(self, step: dict[str, Any]) -> list[do.Effect]:
        released: list[list[Any]] = []
        self._handed = released
        self._inbox.release(step["peer"], self._deliver)
        step["released"] = released
        return []

    def _do_give_up(self, step: dict[str, Any]) -> list[do.Effect]:
        self._inbox.give_up(step["peer"])
        return []

    def _do_read(self, step: dict[str, Any]) -> list[do.Effect]:
        return self._session.read(step["peer"], step["seq"], self._now)

    def _do_hold(self, step: dict[str, Any]) -> list[do.Effect]:
        return self._session.outbox.hold(step["peer"], self._now, held=step["held"])

    def _do_trust(self, step: dict[str, Any]) -> list[do.Effect]:
        self._directory.trust(step["peer"])
        return []

    def _do_typing(self, step: dict[str, Any]) -> list[do.Effect]:
        return self._session.typing(Typing(step["peer"], step["state"]))

    def _do_subscribe(self, step: dict[str, Any]) -> list[do.Effect]:
        return self._session.subscribe(step["users"])

    def _do_closed(self, _: dict[str, Any]) -> list[do.Effect]:
        self._session.closed(self._now)
        return []

    def _do_restart(self, _: dict[str, Any]) -> list[do.Effect]:
        self._restart()
        return []

    def _do_refuse_largest(self, _: dict[str, Any]) -> list[do.Effect]:
        return self._session.outbox.refuse_largest(self._now)

    def _do_lose_cursor(self, _: dict[str, Any]) -> list[do.Effect]:
        self._session.lose_cursor()
        return []

    def _do_ack_due(self, _: dict[str, Any]) -> list[do.Effect]:
        ack = self._session.ack_due()
        return [] if ack is None else [do.Write(ack)]

    def _full(self) -> dict[str, Any]:
        state = _builtins(self._state)
        del state["clock_offset_ms"]
        return {
            **state,
            "pins": _builtins(self._pins),
            "identities": _builtins(self._known),
            "session_cursor": self._session.cursor,
            "open": self._session.open,
            "busy": self._session.outbox.busy,
        }


def _frames(now: int, seq: int) -> list[dict[str, Any]]:
    refused = {"type": "problem", "frame": "read", "detail": ""}
    return [
        {"type": "drained", "cursor": seq, "prev": 0},
        {"type": "drained", "cursor": seq + 1, "prev": seq + 1},
        {"type": "typing", "peer": "bob", "state": "typing"},
        {"type": "presence", "user": "carol", "state": "offline", "last_seen_ms": now},
        {"type": "presence", "user": "carol", "state": "online"},
        {"type": "missed"},
        {"type": "token_expiring", "in_s": 60},
        {"type": "pong", "server_time_ms": now},
        {**refused, "code": "rate_limited", "retry_after_s": 2},
        {**refused, "code": "invalid"},
        {"type": "later", "x": 1},
        {"type": "accepted", "id": 7},
    ]


def plain_effect(effect: do.Effect) -> dict[str, Any]:
    """Return an effect as JSON has it."""
    kind = {"do": type(effect).__name__.lower()}
    match effect:
        case do.Write(frame=frame):
            return {**kind, "frame": _builtins(frame)}
        case do.Tell(event=event):
            return {**kind, "event": plain_event(event)}
        case do.Seal(item=item, refresh=refresh, own=own):
            return {**kind, "id": item.id, "refresh": refresh, "own": own}
        case do.Reissue(item=item):
            return {**kind, "id": item.id}
        case do.Take(seq=seq, entry=entry, events=told):
            entry_id = None if entry is None else entry.id
            return {**kind, "seq": seq, "entry": entry_id, "events": [plain_event(event) for event in told]}
        case _:
            return {**kind, **_builtins(effect)}


def plain_event(event: events.Event) -> dict[str, Any]:
    """Return an event as JSON has it, without what is only for people or for apps in Python."""
    members = {name: value for name, value in msgspec.structs.asdict(event).items() if name not in _LEFT_OUT}
    return {"type": _KINDS[type(event)], **_builtins(members)}


def _decoded(frame: dict[str, Any]) -> do.Incoming | None:
    try:
        decoded = _CODEC.decode_server(msgspec.json.encode(frame))
    except msgspec.ValidationError:
        return None
    return decode_entries(_CODEC, decoded.entries) if isinstance(decoded, Entries) else decoded


def _builtins(value: Any) -> Any:
    found = msgspec.to_builtins(value, builtin_types=(bytes,))
    return _texts(found)


def _texts(value: Any) -> Any:
    if isinstance(value, bytes):
        return unpadded(value)
    if isinstance(value, dict):
        return {name: _texts(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_texts(each) for each in value]
    return value


def histories(seed: int, count: int, steps: int = 50) -> list[dict[str, Any]]:
    """Return so many histories, from this seed on."""
    return [History(seed + number).draw(steps) for number in range(count)]


def main() -> None:
    """Write histories to the standard output."""
    parser = argparse.ArgumentParser(prog="python -m tests.vectors.core")
    parser.add_argument("--seed", type=int, default=1, help="of the first one")
    parser.add_argument("--count", type=int, default=200, help="how many")
    arguments = parser.parse_args()
    sys.stdout.write(msgspec.json.encode(histories(arguments.seed, arguments.count)).decode() + "\n")


if __name__ == "__main__":
    main()
