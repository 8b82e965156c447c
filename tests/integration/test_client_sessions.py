"""The SDK's sessions on a real gateway: signed refreshes, and the way back without a password, or none."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from roost.cli import chat
from roost.cli.chat import lines as line_chat
from roost.cli.chat import opening
from roost.cli.terminal import BadUsage
from roost.client import Client, Disconnected, MemoryKeystore, Options
from roost.errors import RoostError
from roost.wire import MAX_DEVICES
from storage.account_rows import Device
from tests.integration.api_world import PASSWORD, Urls, World, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW = "a longer battery horse"
_names = iter(f"sdk{number}" for number in range(100))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url)) as whole:
        yield whole


@pytest_asyncio.fixture(loop_scope="module")
async def alice(world: World) -> AsyncIterator[Client]:
    client = await Client.register(world.addresses[0], next(_names), PASSWORD, keystore=MemoryKeystore())
    yield client
    await client.close()


async def second(world: World, alice: Client) -> Client:
    return await Client.login(world.addresses[0], alice.username, PASSWORD)


def family_of(client: Client) -> str:
    return client.api.tokens.refresh.split(".")[1]


async def ended(client: Client) -> str:
    """Start the client; returns the word for which it ends for good."""
    await client.start()
    async with asyncio.timeout(20):
        async for event in client.events():
            if isinstance(event, Disconnected) and event.final:
                return event.code
    raise AssertionError("it ended without a word")


@pytest.mark.attack("refresh-token-copied-from-the-sdk")
async def test_sessions_of_the_sdk_are_refreshed_with_a_signature(world: World, alice: Client) -> None:
    for _ in range(2):
        copied = alice.api.tokens.refresh
        status, problem = await world.call("POST", "/v1/sessions/refresh", {"refresh_token": copied})
        assert (status, problem["code"]) == (422, "invalid_signature")
        before = alice.api.tokens.access
        assert await alice.api.refresh(before) != before
    await alice.api.call("GET", "/v1/me")


async def test_a_device_whose_keys_are_not_uploaded_yet_can_refresh(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_short(*_args: object) -> None:
        raise RoostError("unavailable", "The app ended here.")

    monkeypatch.setattr("roost.client.account.publish_keys", cut_short)
    keystore = MemoryKeystore()
    with pytest.raises(RoostError, match="ended here"):
        await Client.register(world.addresses[0], next(_names), PASSWORD, keystore=keystore)
    client = Client.resume(keystore)
    try:
        before = client.api.tokens.access
        assert await client.api.refresh(before) != before
    finally:
        await client.close()


async def test_a_session_of_an_earlier_release_is_signed_from_its_next_refresh_on(
    world: World, alice: Client
) -> None:
    families = world.store._database["sessions"]
    await families.update({"_id": family_of(alice)}, {"$set": {"signed": False}})
    await alice.api.refresh(alice.api.tokens.access)
    session = await world.store.sessions.get(family_of(alice))
    assert session is not None
    assert session.signed


@pytest.mark.parametrize("how", ["expired", "forgotten", "lost"])
async def test_a_session_that_ended_by_itself_begins_again_without_a_password(
    world: World, alice: Client, how: str
) -> None:
    family, families = family_of(alice), world.store._database["sessions"]
    if how == "expired":
        await families.update({"_id": family}, {"$set": {"expires_at_ms": 1}})
    elif how == "forgotten":
        await families.delete({"_id": family})
    else:
        alice.api.tokens.refresh = ""
    before = alice.api.tokens.access
    assert await alice.api.refresh(before) != before
    assert family_of(alice) != family
    await alice.api.call("GET", "/v1/me")
    session = await world.store.sessions.get(family_of(alice))
    assert session is not None
    assert session.signed


@pytest.mark.attack("sdk-comes-back-after-a-revocation")
@pytest.mark.parametrize("forgotten", ["", "forgotten"])
async def test_a_session_that_someone_ended_does_not_begin_again(
    world: World, alice: Client, forgotten: str
) -> None:
    laptop = await second(world, alice)
    try:
        await laptop.account.end_other_sessions()
        if forgotten:  # its row is gone a month later, and what the device should remember may be, too
            await world.store._database["sessions"].delete({"_id": family_of(alice)})
        alice.api.tokens.expires_at_ms = 0
        assert await ended(alice) == "revoked"
        await laptop.api.call("GET", "/v1/me")
    finally:
        await laptop.close()


async def test_a_changed_password_signs_other_devices_out(world: World, alice: Client) -> None:
    laptop = await second(world, alice)
    try:
        with pytest.raises(RoostError, match="old password is wrong"):
            await alice.account.change_password("not it at all", NEW)
        await alice.account.change_password(PASSWORD, NEW)
        with pytest.raises(RoostError) as refused:
            await laptop.api.call("GET", "/v1/me")
        assert refused.value.code.word == "revoked"
        await alice.api.call("GET", "/v1/me")
    finally:
        await laptop.close()


async def test_a_device_that_was_signed_out_comes_back_with_the_password(world: World) -> None:
    keystore = MemoryKeystore()
    client = await Client.register(world.addresses[0], next(_names), PASSWORD, keystore=keystore)
    device = client.profile.device_id
    await client.logout()
    client = await Client.login(world.addresses[0], client.username, PASSWORD, keystore=keystore)
    try:
        assert client.profile.device_id == device
        before = client.api.tokens.access
        assert await client.api.refresh(before) != before
    finally:
        await client.close()


async def test_the_terminal_client_changes_the_password_and_asks_for_it_after_a_sign_out(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, name = world.addresses[0], next(_names)
    asked: list[str] = []

    def password(prompt: str) -> str:
        asked.append(prompt)
        return NEW if "signed out" in prompt or "new one" in prompt else PASSWORD

    for each in (opening, line_chat):
        monkeypatch.setattr(each.getpass, "getpass", password)
    other = await Client.register(server, name, PASSWORD)
    for lines in (["/password"], ["/sign-out-others"]):
        typed: asyncio.Queue[str | line_chat.PasswordChange | None] = asyncio.Queue()
        for line in (*lines, "/quit"):
            typed.put_nowait(line_chat._typed(line))
        monkeypatch.setattr(line_chat, "_lines", lambda queue=typed: queue)
        async with asyncio.timeout(10):
            await chat._chat(server, name, None, tmp_path, Options(), lines=True)
        with pytest.raises(RoostError, match="has ended"):
            await other.api.call("GET", "/v1/me")
        await other.close()
        other = await Client.login(server, name, NEW)
    await other.account.end_other_sessions()
    asked.clear()
    typed.put_nowait("/quit")
    async with asyncio.timeout(10):
        await chat._chat(server, name, None, tmp_path, Options(), lines=True)
    assert [prompt for prompt in asked if "was signed out" in prompt]
    await other.api.call("GET", "/v1/me")
    await other.close()


async def test_who_has_too_many_devices_and_none_at_hand_signs_in_by_removing_one(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server, name = world.addresses[0], next(_names)
    first = await Client.register(server, name, PASSWORD, options=Options(device_name="first"))
    await first.close()
    for number in range(1, MAX_DEVICES):
        window = Device(first.profile.user_id, f"WINDOW{number}", f"window {number}", number)
        await world.store.accounts.add_device(window)
    monkeypatch.setattr("getpass.getpass", lambda _: PASSWORD)
    answers = ["", "0", "21", "window", "3"]
    monkeypatch.setattr("builtins.input", lambda _: answers.pop(0))
    with pytest.raises(BadUsage, match="No device was removed"):
        await opening.signed_in(server, name, tmp_path, Options())
    client = await opening.signed_in(server, name, tmp_path, Options(device_name="terminal"))
    try:
        names = [each.name for each in await client.account.devices()]
    finally:
        await client.close()
    assert names == [
        *(f"window {number}" for number in range(1, MAX_DEVICES) if number != 3),
        "first",
        "terminal",
    ]
    assert f"{name} has 20 devices, and may have no more:\n   1  window 1, " in capsys.readouterr().err


async def test_an_account_is_looked_after_through_the_sdk(world: World, alice: Client) -> None:
    account, bob = alice.account, await Client.register(world.addresses[0], next(_names), PASSWORD)
    before = await account.profile()
    assert (before.username, before.last_seen, before.requests) == (alice.username, "everyone", False)
    changed = await account.set_profile(display_name="Alice L.", last_seen="nobody", requests=True)
    assert changed == await account.profile()
    assert (changed.display_name, changed.last_seen, changed.requests) == ("Alice L.", "nobody", True)
    assert await account.set_profile() == changed

    await account.block(bob.username)
    assert await account.blocks() == [bob.username]
    await account.unblock(bob.username)
    assert await account.blocks() == []
    await account.accept(bob.username)
    for refused in (account.block("nobody.here"), account.accept("nobody.here")):
        with pytest.raises(RoostError) as raised:
            await refused
        assert raised.value.code.word == "unknown_user"

    tablet = await second(world, alice)
    devices = {each.device_id: each for each in await account.devices()}
    assert {name for name, each in devices.items() if each.current} == {alice.profile.device_id}
    await account.remove_device(tablet.profile.device_id)
    assert [each.device_id for each in await account.devices()] == [alice.profile.device_id]
    with pytest.raises(ValueError, match="letters and digits"):
        await account.remove_device("../me")
    await tablet.close()
    await bob.close()
