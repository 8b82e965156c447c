"""``roost sim --echo NAME``: everyone writes to one bot, and each text must come back once and in order.

The bot is a peer like any other here: what it did is judged by what people got back. People have one phone
each, the real SDK, and write to no one else.
"""

import asyncio
import secrets
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Final

import aiohttp
from msgspec import Struct, structs

from roost.bot import Bot, Message, Settings
from roost.client import Client, Event, MessageReceived, Options, connections
from roost.clock import elapsed_ms
from sim.checker.verdict import percentiles
from sim.faults.system import system

_AT_ONCE: Final = 8


class Plan(Struct, frozen=True):
    """What is played.

    Attributes:
        bot: Username of the bot.
        server: Where the bot runs; None: a system and a bot are started for the run.
        users: How many people.
        rate: Messages a second of all people together.
        duration_s: How long they write.
        settle_s: How long the last answers may take.
        seed: Who writes when.
        ca: PEM file of the authorities to believe.
    """

    bot: str
    server: str | None
    users: int
    rate: float
    duration_s: float
    settle_s: float
    seed: int
    ca: Path | None = None


class Found(Struct):
    """What came of it."""

    bot: str
    users: int
    sent: int
    echoed: int
    lost: int
    duplicated: int
    reordered: int
    unknown: int
    latency_ms: dict[str, float | None]
    messages_per_s: float

    @property
    def holds(self) -> bool:
        """Whether every text came back once, in order, and there were some."""
        return self.sent > 0 and not self.lost + self.duplicated + self.reordered + self.unknown


class _Person:
    """Someone who writes to the bot, and remembers what came back.

    Attributes:
        sent: When each text was sent, in order.
        heard: What came back, in order, with the time that it took.
    """

    def __init__(self, number: int, news: asyncio.Event) -> None:
        self.number, self._news = number, news
        self.sent: dict[str, int] = {}
        self.heard: list[tuple[str, int]] = []
        self.client: Client

    async def join(self, server: str, http: aiohttp.ClientSession, run: str) -> None:
        """Sign up and connect."""
        name, options = f"{run}_{self.number}", Options(on_event=self._hear)
        self.client = await Client.register(server, name, secrets.token_hex(12), http=http, options=options)
        await self.client.start()

    async def write(self, bot: str) -> None:
        """Write something that was not written before."""
        text = f"{self.number} {len(self.sent)}"
        self.sent[text] = elapsed_ms()
        await self.client.send(bot, text)

    @property
    def waits(self) -> bool:
        """Whether something has not come back."""
        return bool(self.sent.keys() - {text for text, _ in self.heard})

    def _hear(self, event: Event) -> None:
        if isinstance(event, MessageReceived) and not event.silent:
            self.heard.append((event.text, elapsed_ms() - self.sent.get(event.text, elapsed_ms())))
            self._news.set()


async def play(plan: Plan) -> Found:
    """Play it.

    Raises:
        RoostError: For example ``unavailable``.
    """
    async with AsyncExitStack() as stack:
        server = plan.server or await _started(stack, plan)
        http = await stack.enter_async_context(connections(plan.ca))
        news = asyncio.Event()
        people = [_Person(number, news) for number in range(plan.users)]
        places, run = asyncio.Semaphore(_AT_ONCE), f"e{secrets.token_hex(4)}"

        async def join(person: _Person) -> None:
            async with places:
                await person.join(server, http, run)
                stack.push_async_callback(person.client.close)

        await asyncio.gather(*map(join, people))
        took_s = await _write(plan, people)
        await _settle(people, news, plan.settle_s)
        return _judged(plan, people, took_s)


async def _started(stack: AsyncExitStack, plan: Plan) -> str:
    server = (await stack.enter_async_context(system(ca=plan.ca))).http
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="roost-echo-"))
    await stack.enter_async_context(_bot(Settings(server, plan.bot, data=Path(folder)), Options(ca=plan.ca)))
    return server


@asynccontextmanager
async def _bot(settings: Settings, options: Options) -> AsyncIterator[None]:
    bot = Bot(settings, options=options)

    @bot.text
    async def echo(message: Message) -> None:
        await message.reply(message.text)

    await bot.start()
    try:
        yield
    finally:
        await bot.stop()


async def _write(plan: Plan, people: list[_Person]) -> float:
    """Let people write, by chance and at the rate; returns the seconds that it took."""
    chance, loop = Random(plan.seed), asyncio.get_running_loop()  # noqa: S311 -- a run is to be repeated
    began_s = due_s = loop.time()
    while (due_s := due_s + chance.expovariate(plan.rate)) < began_s + plan.duration_s:
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        await chance.choice(people).write(plan.bot)
    return loop.time() - began_s


async def _settle(people: list[_Person], news: asyncio.Event, within_s: float) -> None:
    with suppress(TimeoutError):  # what has not come by then is lost
        async with asyncio.timeout(within_s):
            while any(person.waits for person in people):
                news.clear()
                await news.wait()


def _judged(plan: Plan, people: list[_Person], took_s: float) -> Found:
    sent = sum(len(person.sent) for person in people)
    lost = duplicated = reordered = unknown = 0
    for person in people:
        times = Counter(text for text, _ in person.heard)
        unknown += sum(count for text, count in times.items() if text not in person.sent)
        lost += sum(text not in times for text in person.sent)
        duplicated += sum(count - 1 for text, count in times.items() if text in person.sent)
        first = [text for text in dict.fromkeys(text for text, _ in person.heard) if text in person.sent]
        wanted = [text for text in person.sent if text in times]
        reordered += sum(here != there for here, there in zip(first, wanted, strict=True))
    took = percentiles(took_ms * 1000 for person in people for _, took_ms in person.heard)
    return Found(
        plan.bot,
        plan.users,
        sent,
        sent - lost,
        lost,
        duplicated,
        reordered,
        unknown,
        structs.asdict(took),
        round(sent / took_s, 1),
    )
