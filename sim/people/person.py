"""A virtual user: one phone or several, which come and go together."""

import asyncio
from typing import Final

from sim.people.phone import Phone
from sim.workload import Break, Leave, Return, Say

_READ_EVERY_S: Final = 1.0
_SECOND: Final = b"\x40"
"""Content that begins below this, a quarter of it, is written with the second phone."""


class Person:
    """A user.

    Attributes:
        name: Username.
        phones: The first one is what the user writes with as a rule.
        wakes: The user is away, and comes back when a push arrives.
    """

    def __init__(self, name: str, phones: list[Phone]) -> None:
        self.name, self.phones = name, phones
        self.wakes = False
        self._moving = asyncio.Lock()

    @property
    def away(self) -> bool:
        """Whether the apps are closed."""
        return all(phone.away for phone in self.phones)

    @property
    def connected(self) -> bool:
        """Whether every phone has a session."""
        return all(phone.connected for phone in self.phones)

    @property
    def waiting(self) -> int:
        """Messages in the outboxes."""
        return sum(phone.waiting for phone in self.phones)

    async def join(self, *, pushes: bool) -> None:
        """Register the user and its devices, and open the apps."""
        for number, phone in enumerate(self.phones):
            await phone.register(first=number == 0)
        await self.come()
        if pushes:
            for number, phone in enumerate(self.phones):
                await phone.expect_pushes(self.push_token(number))

    def push_token(self, number: int) -> str:
        """Return the push token of a phone."""
        return f"phone-{number}-of-{self.name}"

    async def come(self) -> None:
        """Open the apps."""
        async with self._moving:
            self.wakes = False
            for phone in self.phones:
                if phone.away:
                    await phone.open()

    async def go(self, *, wakes: bool) -> None:
        """Close the apps."""
        async with self._moving:
            self.wakes = wakes
            await asyncio.gather(*(phone.close() for phone in self.phones if not phone.away))

    async def do(self, act: Say | Leave | Return | Break, to: str, content: bytes) -> None:
        """Do what the plan says; who is away writes nothing, and breaks nothing."""
        match act:
            case Say() if not self.phones[0].away:
                await self._writing(content).say(to, content)
            case Leave():
                await self.go(wakes=act.wakes)
            case Return():
                await self.come()
            case Break() if not self.phones[0].away:
                self.phones[0].break_(act.how)

    def _writing(self, content: bytes) -> Phone:
        """Return the phone that the user writes this with: now and then it is not the first one."""
        second = len(self.phones) > 1 and content[:1] < _SECOND
        return self.phones[1 if second else 0]

    async def keep_reading(self) -> None:
        """Mark as read what came, now and then, until cancelled."""
        while True:
            await asyncio.sleep(_READ_EVERY_S)
            await self.read_all()

    async def read_all(self) -> None:
        """Mark as read what came."""
        for phone in self.phones:
            if phone.unread and not phone.away:
                await phone.read_all()

    def end(self) -> None:
        """Write into the ledger how the run ends for the devices."""
        for phone in self.phones:
            phone.end()
