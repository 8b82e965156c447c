"""What operators do through their page, looked for where it shows: in roles, store, other people's apps."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import expect

from roost import client as sdk
from roost.clock import now_ms
from roost.errors import RoostError
from roost.ids import shard_of, uuid7
from storage.kafka_log import KafkaLogWriter
from storage.records import MessageRecord, encode_record
from storage.topics import MAILBOX
from tests.browser.accounts import account, acts_of
from tests.browser.operators import Operator
from tests.browser.people import Profiles
from tests.live.app import App
from tests.live.running import System
from tests.live.waiting import until, until_found


@pytest_asyncio.fixture(loop_scope="session")
async def http(system: System) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(system.http) as session:
        yield session


@asynccontextmanager
async def apps(server: str) -> AsyncIterator[tuple[App, App]]:
    """Ann and Ben, each connected with an app."""
    word = secrets.token_hex(4)
    async with sdk.connections() as connections:
        ann, ben = (App(server, f"{name}.{word}", connections) for name in ("ann", "ben"))
        await asyncio.gather(ann.join(), ben.join())
        yield ann, ben
        await asyncio.gather(ann.leave(), ben.leave())


async def test_scaling_and_draining_do_what_they_say(
    system: System, http: aiohttp.ClientSession, profiles: Profiles
) -> None:
    admin = await account(system, http, "admin")
    tab = await Operator.opened(await profiles(system.http), admin.username)
    await tab.page.get_by_role("button", name="Scale").click()
    await tab.page.get_by_role("button", name="One router more").click()
    await tab.agree("Scale", "3 routers instead of 2")
    assert "router-3" in await tab.done("scale router=3")
    assert {row["name"] for row in await system.roles("router")} == {"router-1", "router-2", "router-3"}
    await tab.role("router-3").click()
    await tab.page.get_by_role("button", name="Drain").click()
    await tab.agree("Drain", "one router fewer")
    assert "router-3" in await tab.done("drain router-3")
    assert {row["name"] for row in await system.roles("router")} == {"router-1", "router-2"}
    await tab.view("Events")
    line = tab.page.get_by_role("listitem").filter(has_text="router-3").filter(has_text=admin.username)
    await expect(line.first).to_be_visible()


async def test_a_dead_letter_is_tried_again_once(
    system: System, http: aiohttp.ClientSession, profiles: Profiles
) -> None:
    admin, bob = await account(system, http, "admin"), await account(system, http)
    shards = (await system.status())["shards"]
    now = now_ms()
    cause = uuid7(now, secrets.token_bytes(10))
    sender = (admin.user_id, admin.username, admin.device)
    record = MessageRecord(bob.user_id, cause, *sender, now, now, "sealed.v1", {bob.device: b"sealed"})
    writer = KafkaLogWriter(system.kafka, access=system.log_access)
    await writer.start()
    wrong = (shard_of(record.to, shards) + 1) % shards
    await writer.append(MAILBOX, [(wrong, encode_record(record))])
    await writer.close()
    tab = await Operator.opened(await profiles(system.http), admin.username)
    await tab.view("Dead letters")
    letter = tab.page.get_by_role("article").filter(has_text=cause)
    await tab.asks("Refresh", letter)
    await letter.get_by_role("button", name="Retry").click()
    await tab.agree("Retry", "written to mailbox again")
    await expect(letter.get_by_text(f"retried by user:{admin.username}")).to_be_visible()
    assert await until_found(bob.received) == [cause]


async def test_a_connection_is_closed_and_its_client_comes_back(
    system: System, http: aiohttp.ClientSession, profiles: Profiles
) -> None:
    admin = await account(system, http, "admin")
    tab = await Operator.opened(await profiles(system.http), admin.username)
    async with apps(system.http) as (ann, ben):
        await tab.view("Connections")
        await tab.page.get_by_role("button", name="Close the connection of " + ben.name).click()
        await tab.agree("Close the connection", f"{ben.name}'s device {ben.device} at gateway-")
        await expect(tab.page.get_by_text(f"Closed {ben.name}'s connection.")).to_be_visible()
        await ben.gets(lambda: len(ben.all(sdk.Connected)) > 1, "a second connection")
        assert [each.final for each in ben.all(sdk.Disconnected)] == [False]
        await ann.client.send(ben.name, "still there?")
        await ben.gets(lambda: ben.texts(ann.name) == ["still there?"], "the message")
    assert {("connection.close", "requested"), ("connection.close", "done")} <= await acts_of(system, admin)


async def test_a_session_is_ended_and_its_messages_wait(
    system: System, http: aiohttp.ClientSession, profiles: Profiles
) -> None:
    admin = await account(system, http, "admin")
    tab = await Operator.opened(await profiles(system.http), admin.username)
    async with apps(system.http) as (ann, ben):
        await tab.user(ben.name)
        device = tab.page.get_by_role("row").filter(has_text=ben.device)
        await expect(device.get_by_text("living")).to_be_visible()
        await device.get_by_role("button", name="End the session").click()
        await tab.agree("End the session", "has to sign in again")
        await expect(device.get_by_text("signed out")).to_be_visible()
        await ben.gets(
            lambda: any(each.final for each in ben.all(sdk.Disconnected)), "the end of the session"
        )
        with pytest.raises(RoostError):
            await ben.call("GET", "/v1/me")
        await ann.client.send(ben.name, "for when you are back")
        await ann.gets(lambda: ann.all(sdk.Accepted), "that it is accepted")
        assert ben.texts() == []
        await tab.asks("Look again", device.get_by_role("cell", name="1", exact=True))
    assert {("session.end", "requested"), ("session.end", "done")} <= await acts_of(system, admin)


async def test_a_message_is_followed_through_all_roles(
    system: System, http: aiohttp.ClientSession, profiles: Profiles
) -> None:
    admin = await account(system, http, "admin")
    tab = await Operator.opened(await profiles(system.http), admin.username)
    async with apps(system.http) as (ann, ben):
        await tab.user(ann.name)
        await tab.page.get_by_role("button", name="Trace for two minutes").click()
        await expect(tab.page.get_by_text("armed")).to_be_visible()
        await ann.client.send(ben.name, "who sees this on its way?")
        await ben.gets(lambda: ben.texts(ann.name), "the message")
        [accepted] = ann.all(sdk.Accepted)
        message = tab.page.get_by_role("article", name=f"Message {accepted.id}")
        for step, role in (
            ("received", "gateway"),
            ("accepted", "gateway"),
            ("read", "router"),
            ("handled", "host"),
            ("stored", "host"),
            ("delivered", "gateway"),
            ("acknowledged", "gateway"),
        ):
            shown = message.get_by_role("listitem").filter(has_text=step).filter(has_text=f"{role}-")
            await expect(shown.first).to_be_visible()
        await expect(tab.page.get_by_text("who sees this")).to_have_count(0)
    assert ("user.trace", "requested") in await acts_of(system, admin)


@pytest.mark.slow
async def test_a_role_that_is_replaced_watches_on(
    system: System, http: aiohttp.ClientSession, profiles: Profiles
) -> None:
    admin = await account(system, http, "admin")
    tab = await Operator.opened(await profiles(system.http), admin.username)
    async with apps(system.http) as (ann, ben):
        await tab.user(ann.name)
        await tab.page.get_by_role("button", name="Trace for two minutes").click()
        await expect(tab.page.get_by_text("armed")).to_be_visible()
        for router in await system.roles("router"):
            os.kill(router["pid"], signal.SIGKILL)
        read = tab.page.get_by_role("listitem").filter(has_text="read").filter(has_text="router-")

        async def unseen() -> str:  # the next look may be a second away
            await ann.client.send(ben.name, "seen again?")
            await tab.page.wait_for_timeout(500)
            return "" if await read.count() else "no router saw a message"

        await until(unseen, within=30)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_every_process_is_replaced_the_coordinators_too(
    own_system: Callable[..., System], profiles: Profiles
) -> None:
    system = await own_system("--hosts", "2", "--gateways", "2").started()
    before = await processes(system)
    async with aiohttp.ClientSession(system.http) as http, apps(system.http) as (ann, ben):
        admin = await account(system, http, "admin")
        profile = await profiles(system.http)
        tab = await Operator.opened(profile, admin.username)
        profile.bear_no_network()  # each gateway ends once
        profile.bear("50[0-9]")
        await tab.page.get_by_role("button", name="Upgrade").click()
        await tab.agree("Upgrade", "The coordinator comes last")
        await ann.client.send(ben.name, "while it goes on")
        await tab.done("upgrade")

        async def left() -> str:
            now = await processes(system)
            same = before & now
            return f"not replaced: {same} of {now}" if same or len(now) != len(before) else ""

        await until(left, within=60)
        await expect(tab.page.get_by_text("Live", exact=True)).to_be_visible()
        await ann.client.send(ben.name, "afterwards")
        await ben.gets(lambda: len(ben.texts(ann.name)) == 2, "both messages")
        await tab.view("Events")
        events = tab.page.get_by_role("listitem")
        await expect(events.filter(has_text="coordinator started").first).to_be_visible()
        await expect(events.filter(has_text="upgrade").filter(has_text=admin.username).first).to_be_visible()
        assert {("upgrade", "requested"), ("upgrade", "done")} <= await acts_of(system, admin)


async def processes(system: System) -> set[int]:
    """Return the process ids of the roles that an upgrade replaces, once all run."""

    async def rows() -> list[dict[str, Any]]:
        kinds = {"coordinator", "gateway", "host", "router", "pusher"}
        return [row for row in await system.roles() if row["role"] in kinds]

    found = await until_found(rows, lambda rows: rows and all(row["state"] == "running" for row in rows))
    return {row["pid"] for row in found}
