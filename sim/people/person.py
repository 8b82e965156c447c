"""A virtual user: one phone or several, which come and go together."""

import asyncio
from typing import Final

from sim.people import holdings
from sim.people.phone import Phone
from sim.workload import Act, Break, Erase, Export, Leave, Return, Say

_READ_EVERY_S: Final = 1.0
_SECOND: Final = b"\x40"
"""Content that begins below this, a quarter of it, is written with the second phone."""


class Person:
    """A user.

    Attributes:
        name: Username.
        phones: The first one is what the user writes with as a rule.
        wakes: The user is away, and comes back when a push arrives.
        erased: The user deleted the account, and does nothing more.
    """

    def __init__(self, name: str, phones: list[Phone]) -> None:
        self.name, self.phones = name, phones
        self.wakes = self.erased = False
        self._moving = asyncio.Lock()

    @property
    def away(self) -> bool:
        """Whether the apps are closed."""
        return all(phone.away for phone in self.phones)

    @property
    def connected(self) -> bool:
        """Whether every phone has a session; who has left for good is as much online as it will be."""
        return self.erased or all(phone.connected for phone in self.phones)

    def waiting(self, *, accepted: bool) -> int:
        """Return how many messages are not known to be delivered: all of them, or those not accepted."""
        return sum(phone.waiting if accepted else phone.unsent for phone in self.phones)

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
                if phone.away and not self.erased:
                    await phone.open()

    async def go(self, *, wakes: bool) -> None:
        """Close the apps."""
        async with self._moving:
            self.wakes = wakes
            await asyncio.gather(*(phone.close() for phone in self.phones if not phone.away))

    async def do(self, act: Act, to: str, content: bytes) -> None:
        """Do what the plan says; who is away writes nothing, and breaks nothing."""
        if self.erased:
            return
        match act:
            case Say() if not self.phones[0].away:
                await self._writing(content).say(to, content, act.expires_s)
            case Export():
                await holdings.export(self.phones[0])
            case Erase():
                await self._leave_for_good()
            case Leave():
                await self.go(wakes=act.wakes)
            case Return():
                await self.come()
            case Break() if not self.phones[0].away:
                self.phones[0].break_(act.how)

    async def _leave_for_good(self) -> None:
        """Delete the account, wherever from; what its apps are told of it then is no news."""
        async with self._moving:
            self.erased = True
            for phone in self.phones:
                phone.erased = True
            await holdings.erase(self.phones[0])
            await asyncio.gather(*(phone.close() for phone in self.phones if not phone.away))

    async def audit(self) -> None:
        """Write into the ledger what the server has stored for each phone; who has left cannot ask."""
        for phone in () if self.erased else self.phones:
            await holdings.audit(phone)

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
