"""Push that does not wake: whom a message wakes, by which token, whatever the user's other devices do."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import aiohttp
import pytest

from roost import wire
from roost.client import connections
from roost.clock import now_ms
from roost.ids import uuid7
from tests.browser_push import Browser, decoded, signed_claims
from tests.field.test_rules import Person
from tests.live.running import System
from tests.live.waiting import until, until_found

_WOKEN_S: Final = 25
"""Longer than a device whose sync was answered has to acknowledge."""

_ON_ITS_WAY_S: Final = 0.2


class People:
    """A user with a phone, which has a push token, and a laptop; and a friend who writes to them."""

    def __init__(self, system: System, http: aiohttp.ClientSession, stack: AsyncExitStack) -> None:
        self.system, self.http, self.stack = system, http, stack
        self.phone, self.laptop, self.friend = [Person(system, http) for _ in range(3)]
        self.token = fresh_token()

    async def join(self) -> "People":
        await self.phone.join()
        await self.friend.join()
        self.laptop = await self.phone.add_device()
        await until_found(lambda: self.phone.entries("keys"))  # the laptop's: no test is to meet them
        await register(self.phone, self.token)
        return self

    async def write(self, *devices: Person) -> int:
        """Send a message to devices of one user; returns its number."""
        to = devices or (self.phone, self.laptop)
        content = wire.unpadded(b"hello")
        body = {"id": uuid7(now_ms(), secrets.token_bytes(10)), "to": to[0].name, "sent_at_ms": now_ms()}
        body |= {"suite": "s", "payloads": {each.device: content for each in to}}
        return int((await self.friend.ok("POST", "/v1/messages", body))["seq"])

    async def stream(self, person: Person, **hello: Any) -> aiohttp.ClientWebSocketResponse:
        """Open a stream that acknowledges nothing, and wait until it is served."""
        url = f"{self.system.http}/v1/stream"
        socket = await self.stack.enter_async_context(self.http.ws_connect(url, protocols=[wire.JSON]))
        await socket.send_json({"type": "hello", "token": person.tokens["access_token"], **hello})
        while (await socket.receive_json(timeout=_WOKEN_S))["type"] != "drained":
            continue
        return socket

    async def poll(self, person: Person) -> "asyncio.Task[Any]":
        """Open a long poll that has to wait; to cancel it is to break its connection."""
        while True:
            polling = asyncio.create_task(person.call("GET", "/v1/sync?wait_s=50"))
            self.stack.push_async_callback(_ended, polling)
            done, _ = await asyncio.wait((polling,), timeout=_ON_ITS_WAY_S)
            if not done:
                return polling
            _, page = polling.result()  # of the other device's keys
            await person.ok("POST", "/v1/acks", {"seq": page["entries"][-1]["seq"]})

    async def behave(self, mode: str) -> None:
        async with self.http.post(f"{self.system.fcm}/behaviour", json={"mode": mode}) as answer:
            assert answer.status == 200

    async def pushed(self, *tokens: str) -> None:
        """Wait until each of the tokens was pushed, as often as it is named."""
        await until(lambda: self._lacking(Counter(tokens)), within=_WOKEN_S)

    async def _lacking(self, wanted: Counter[str]) -> str:
        pushes = Counter(each["token"] for each in await self.system.pushes())
        found = Counter({token: pushes[token] for token in wanted})
        return "" if found == wanted else f"pushed were {dict(found)}, and not {dict(wanted)}"

    async def not_pushed(self, *tokens: str) -> None:
        """Expect that none of the tokens was, once a wake-up has come through that was asked for later."""
        other = await Person(self.system, self.http).join()
        mark = fresh_token()
        await register(other, mark)
        await self.write(other)
        await self.pushed(mark)
        pushes = [each["token"] for each in await self.system.pushes()]
        assert not [token for token in tokens if token in pushes]


async def _ended(polling: "asyncio.Task[Any]") -> None:
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)


def fresh_token() -> str:
    return f"token-{secrets.token_hex(8)}"


async def register(person: Person, token: str) -> None:
    await person.ok("PUT", "/v1/devices/current/push", {"provider": "fcm", "token": token})


@asynccontextmanager
async def joined(system: System) -> AsyncIterator[People]:
    async with connections() as http, AsyncExitStack() as stack:
        people = await People(system, http, stack).join()
        yield people
        await people.behave("ok")


@pytest.fixture
async def people(system: System) -> AsyncIterator[People]:
    async with joined(system) as found:
        yield found


Case = Callable[[People], Awaitable[Any]]

# --- the user's other device, and the phone itself -------------------------------------------------


async def _laptop_is_connected(people: People) -> None:
    await people.stream(people.laptop)


async def _laptop_is_connected_in_the_background(people: People) -> None:
    await people.stream(people.laptop, background=True)


async def _laptop_polls(people: People) -> None:
    await people.poll(people.laptop)


async def _laptop_syncs(people: People) -> None:
    await people.laptop.ok("GET", "/v1/sync")


async def _phone_polled_and_went_without_a_word(people: People) -> None:
    (await people.poll(people.phone)).cancel()
    await asyncio.sleep(_ON_ITS_WAY_S)


async def _phone_polled_often_and_went_without_a_word(people: People) -> None:
    for polling in [await people.poll(people.phone) for _ in range(3)]:
        polling.cancel()
    await asyncio.sleep(_ON_ITS_WAY_S)


async def _phone_was_connected_and_broke_off(people: People) -> None:
    abort(await people.stream(people.phone))
    await asyncio.sleep(_ON_ITS_WAY_S)


async def _phone_is_connected_in_the_background(people: People) -> None:
    await people.stream(people.phone, background=True)


async def _phone_registered_its_token_again(people: People) -> None:
    await register(people.phone, people.token)


AWAY: Final[list[Case]] = [
    _laptop_is_connected,
    _laptop_is_connected_in_the_background,
    _laptop_polls,
    _laptop_syncs,
    _phone_polled_and_went_without_a_word,
    _phone_polled_often_and_went_without_a_word,
    _phone_was_connected_and_broke_off,
    _phone_is_connected_in_the_background,
    _phone_registered_its_token_again,
]


def abort(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Break the connection, as a phone does that loses its network for good."""
    transport = socket.get_extra_info("socket") and socket._response.connection.transport  # type: ignore[union-attr]
    assert transport is not None
    transport.abort()


@pytest.mark.parametrize("case", AWAY)
async def test_a_phone_that_is_away_is_woken_once(people: People, case: Case) -> None:
    await case(people)
    await people.write()
    await people.pushed(people.token)
    await people.write()
    await people.pushed(people.token)


async def test_a_phone_that_is_here_is_not_woken(people: People) -> None:
    await people.stream(people.phone)
    await people.write()
    await people.not_pushed(people.token)


async def test_a_phone_that_polls_and_acknowledges_is_not_woken(people: People) -> None:
    polling = await people.poll(people.phone)
    seq = await people.write()
    _, page = await polling
    assert [entry["seq"] for entry in page["entries"]] == [seq]
    await people.phone.ok("POST", "/v1/acks", {"seq": seq})
    await people.not_pushed(people.token)


async def test_what_went_down_a_socket_that_broke_is_not_delivered(people: People) -> None:
    """The laptop is woken when its socket is found dead, and the phone was woken before."""
    other = fresh_token()
    await register(people.laptop, other)
    socket = await people.stream(people.laptop)
    await people.write()
    while json.loads((await socket.receive(timeout=_WOKEN_S)).data)["type"] != "entries":
        continue
    await people.not_pushed(other)
    abort(socket)
    await people.pushed(other, people.token)


async def test_a_browser_is_woken_by_web_push(people: People) -> None:
    key = (await people.laptop.ok("GET", "/v1/push/webpush"))["application_server_key"]
    browser = Browser(f"{people.system.fcm}/webpush/{secrets.token_hex(8)}")
    await people.laptop.ok("PUT", "/v1/devices/current/push", browser.registration)
    await people.write()
    await people.pushed(browser.endpoint, people.token)
    [push] = [each for each in await people.system.pushes() if each["token"] == browser.endpoint]
    assert browser.opened(decoded(push["message"]["body"])) == b'{"roost":"sync"}'
    claims = signed_claims(push["message"]["headers"]["Authorization"], key)
    assert claims["aud"] == people.system.fcm
    await people.laptop.ok("GET", "/v1/sync")
    await people.behave("unregistered")
    await people.write()
    await until(lambda: _without_token(people.laptop), within=_WOKEN_S)


# --- whose the token is ----------------------------------------------------------------------------


async def _another_account_took_it_over(people: People) -> list[str]:
    other = await Person(people.system, people.http).join()
    await register(other, people.token)
    await people.write()
    await people.not_pushed(people.token)
    await people.write(other)
    return [people.token]


async def _the_first_account_gives_up_what_it_has_no_longer(people: People) -> list[str]:
    other = await Person(people.system, people.http).join()
    await register(other, people.token)
    await people.phone.ok("DELETE", "/v1/devices/current/push")
    await people.write(other)
    return [people.token]


async def _it_came_back_to_the_first_account(people: People) -> list[str]:
    other = await Person(people.system, people.http).join()
    await register(other, people.token)
    await register(people.phone, people.token)
    await people.write(other)
    await people.not_pushed(people.token)
    await people.write()
    return [people.token]


async def _the_phone_signed_in_as_a_new_device(people: People) -> list[str]:
    again = await people.phone.add_device()
    await register(again, people.token)
    await people.write(people.phone, people.laptop, again)
    return [people.token]


async def _the_phone_signed_in_again_as_the_same_device(people: People) -> list[str]:
    status, tokens = await people.phone.log_in(device_id=people.phone.device)
    assert status == 201, tokens
    await people.write()
    await people.not_pushed(people.token)
    people.phone.tokens = tokens
    await register(people.phone, people.token)
    return [people.token]


async def _it_was_not_registered_any_longer(people: People) -> list[str]:
    """A fresh token is pushed at once, for what waits and for what comes."""
    await people.behave("unregistered")
    await people.write()
    await until(lambda: _without_token(people.phone), within=_WOKEN_S)
    await people.behave("ok")
    fresh = fresh_token()
    await register(people.phone, fresh)
    await people.pushed(fresh)
    await people.phone.ok("GET", "/v1/sync")
    await people.write()
    return [fresh, fresh]


async def _it_was_not_registered_and_is_again(people: People) -> list[str]:
    await people.behave("unregistered")
    await people.write()
    await until(lambda: _without_token(people.phone), within=_WOKEN_S)
    await people.behave("ok")
    await register(people.phone, people.token)
    return [people.token]


async def _without_token(person: Person) -> str:
    devices = (await person.ok("GET", "/v1/devices"))["devices"]
    [mine] = [each for each in devices if each["current"]]
    return "the token is still there" if mine["push"] else ""


HELD: Final[list[Callable[[People], Awaitable[list[str]]]]] = [
    _another_account_took_it_over,
    _the_first_account_gives_up_what_it_has_no_longer,
    _it_came_back_to_the_first_account,
    _the_phone_signed_in_as_a_new_device,
    _the_phone_signed_in_again_as_the_same_device,
    _it_was_not_registered_any_longer,
    _it_was_not_registered_and_is_again,
]


@pytest.mark.parametrize("case", HELD)
async def test_a_token_belongs_to_who_registered_it_last(
    people: People, case: Callable[[People], Awaitable[list[str]]]
) -> None:
    await people.pushed(*await case(people))


# --- how it ends -----------------------------------------------------------------------------------


async def _log_out(people: People) -> None:
    await people.phone.ok("DELETE", "/v1/sessions/current")


async def _refresh_reuse(people: People) -> None:
    path, nobody = "/v1/sessions/refresh", Person(people.system, people.http)
    spent = {"refresh_token": people.phone.tokens["refresh_token"]}
    following = await nobody.ok("POST", path, spent)
    await nobody.ok("POST", path, {"refresh_token": following["refresh_token"]})
    assert await nobody.code("POST", path, spent) == "token_reused"


async def _another_log_in(people: People) -> None:
    assert (await people.phone.log_in(device_id=people.phone.device))[0] == 201


async def _given_up(people: People) -> None:
    await people.phone.ok("DELETE", "/v1/devices/current/push")


@pytest.mark.parametrize("end", [_log_out, _refresh_reuse, _another_log_in, _given_up])
async def test_it_ends_with_its_session(people: People, end: Case) -> None:
    await end(people)
    await people.write()
    await people.not_pushed(people.token)


async def test_it_ends_with_its_device(people: People) -> None:
    await people.laptop.ok("DELETE", f"/v1/devices/{people.phone.device}")
    await people.write(people.laptop)
    await people.not_pushed(people.token)
