"""A made-up messaging system that keeps its promise, and writes down what its users see."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from sim.checker import AUDITED
from sim.ledger import Event, Kind, Ledger, Ledgers, digest_of


class Entry(NamedTuple):
    seq: int
    sender: str
    id: str
    digest: int
    sent: int


class Phone:
    """What a device remembers: where it is, and what its app lost in a crash stays lost."""

    def __init__(self, user: str, name: str, created: int, cursor: int) -> None:
        self.user = user
        self.name = name
        self.created = created
        self.cursor = cursor  # told to the app up to here
        self.taken = cursor
        self.told: dict[tuple[str, Kind], int] = {}


class World:
    """Users with mailboxes; each act records what a real one would."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.phones: list[Phone] = []
        self.mailboxes: dict[str, list[Entry]] = {}
        self.now = 1_000_000
        self._numbers = 0
        self._ids = 0
        self._delivered: dict[tuple[str, str], int] = {}
        self._read: dict[tuple[str, str], int] = {}

    def record(self, kind: Kind, phone: Phone, **values: str | int) -> None:
        self.events.append(Event(self.now, kind, phone.user, phone.name, **values))  # type: ignore[arg-type]

    def later(self, us: int = 100) -> None:
        self.now += us

    def join(self, user: str) -> Phone:
        self.later()
        mailbox = self.mailboxes.setdefault(user, [])
        name = f"{user}-phone{sum(phone.user == user for phone in self.phones)}"
        phone = Phone(user, name, self.now, mailbox[-1].seq if mailbox else 0)
        self.phones.append(phone)
        self.record(Kind.DEVICE, phone)
        return phone

    def send(self, phone: Phone, to: str, *, reply: str = "", took_us: int = 100, expires_s: int = 0) -> str:
        """Send a message.

        Args:
            phone: Who sends.
            to: Who gets it.
            reply: ``lost``: it is sent again and gets a second number; ``never``: nobody knows;
                ``refused``: it was given up; ``full``: there is no room in the mailbox.
            took_us: Until the reply.
            expires_s: It disappears after so many seconds, if any.
        """
        self._ids += 1
        id_ = f"m{self._ids:06d}"
        digest = digest_of(id_.encode())
        self.later()
        note = str(expires_s) if expires_s else ""
        self.record(Kind.INTENT, phone, peer=to, id=id_, digest=digest, note=note)
        if reply == "full":
            self.later(took_us)
            self.record(Kind.REFUSED, phone, peer=to, id=id_)
            return id_
        if reply == "refused":
            self.later(took_us)
            self.record(Kind.FAILED, phone, peer=to, id=id_, note="blocked")
            return id_
        number = self._number()
        self.mailboxes[to].append(Entry(number, phone.user, id_, digest, self.now))
        self.later(took_us)
        if reply == "lost":
            number = self._number()
        if reply != "never":
            self.record(Kind.ACCEPTED, phone, peer=to, id=id_, seq=number)
        return id_

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def waiting(self, phone: Phone) -> list[Entry]:
        return [entry for entry in self.mailboxes[phone.user] if entry.seq > phone.cursor]

    def receive(self, phone: Phone, count: int = 1, *, told: bool = True) -> None:
        """Let entries arrive; without ``told``, the connection ends before the app hears of them."""
        for entry in self.waiting(phone)[:count]:
            self.later()
            where = {"peer": entry.sender, "id": entry.id, "seq": entry.seq}
            self.record(Kind.ARRIVED, phone, **where)
            if told:
                self.record(Kind.RECEIVED, phone, **where, digest=entry.digest)
                phone.cursor = entry.seq

    def take(self, phone: Phone) -> None:
        self.later()
        self.record(Kind.TAKEN, phone, seq=phone.cursor)
        for entry in self.mailboxes[phone.user]:
            if phone.taken < entry.seq <= phone.cursor:
                self._delivered[entry.sender, phone.user] = max(
                    entry.seq, self._delivered.get((entry.sender, phone.user), 0)
                )
        phone.taken = max(phone.taken, phone.cursor)

    def read(self, phone: Phone, sender: str) -> None:
        seen = [e.seq for e in self.mailboxes[phone.user] if e.sender == sender and e.seq <= phone.taken]
        if seen:
            self.later()
            self.record(Kind.READ, phone, peer=sender, seq=seen[-1])
            self._read[sender, phone.user] = max(seen[-1], self._read.get((sender, phone.user), 0))

    def tell(self, phone: Phone, peer: str) -> None:
        """Tell a sender how far its messages came."""
        for kind, marks in ((Kind.DELIVERED_TOLD, self._delivered), (Kind.READ_TOLD, self._read)):
            seq = marks.get((phone.user, peer), 0)
            if seq:
                self.later()
                self.record(kind, phone, peer=peer, seq=seq)

    def crash(self, phone: Phone) -> None:
        self.later()
        self.record(Kind.CRASHED, phone)
        phone.cursor = phone.taken

    def use(self, phone: Phone, after_s: float = 0) -> None:
        """Let time pass, and a phone renew its session."""
        self.later(round(after_s * 1_000_000))
        self.record(Kind.USED, phone)

    def sweep(self, user: str, count: int) -> None:
        """Delete the oldest entries; who comes back to them is told."""
        gone, self.mailboxes[user] = self.mailboxes[user][:count], self.mailboxes[user][count:]
        for phone in self.phones:
            if phone.user == user and phone.cursor < gone[-1].seq:
                self.later()
                self.record(Kind.MISSED, phone, seq=gone[-1].seq)
                phone.cursor = gone[-1].seq

    def fault(self, name: str, took_us: int) -> None:
        self.events.append(Event(self.now, Kind.FAULT, "", note=f"{name}: begins"))
        self.later(took_us)
        self.events.append(Event(self.now, Kind.FAULT, "", note=f"{name}: ends"))

    def end(self, *, audited: bool = True) -> None:
        for phone in self.phones:
            self.later()
            settled = not self.waiting(phone)
            self.record(Kind.CUT, phone, note="settled" if settled else "open")
            if not audited:
                continue
            for entry in self.mailboxes[phone.user]:
                if entry.sent > phone.created:
                    self.record(Kind.STORED, phone, peer=entry.sender, id=entry.id, seq=entry.seq)
            self.record(Kind.CUT, phone, note=AUDITED)


def ledgers(folder: Path, events: Iterable[Event], files: int = 2) -> Ledgers:
    """Write events as some worker processes would: each user's in one file."""
    paths = [folder / f"worker{n}.ledger" for n in range(files)]
    open_ones = [Ledger(path) for path in paths]
    for event in events:
        open_ones[sum(event.user.encode()) % files].record(
            event.kind,
            at_us=event.at_us,
            user=event.user,
            device=event.device,
            peer=event.peer,
            id=event.id,
            seq=event.seq,
            digest=event.digest,
            note=event.note,
        )
    for ledger in open_ones:
        ledger.close()
    return Ledgers(paths)
