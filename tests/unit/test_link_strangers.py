"""What a link takes from a side that has proved nothing, and what from one that has."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import pytest
from structlog.testing import capture_logs

from actors.host import ActorHost, Stores
from actors.rpc import link
from actors.rpc import messages as msg
from actors.rpc import questions as q
from actors.rpc.handshake import Welcome
from actors.rpc.link import MAX_GREETING, Link, connect, serve
from tests.link_by_hand import framed, greeting, is_cut_off, welcomed
from tests.unit.link_ends import Silent

SECRET = b"secret"
pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def listening(handler: Any = None) -> AsyncIterator[tuple[str, int]]:
    server, address = await serve("127.0.0.1", 0, handler or Silent(), msg.decode_to_host, secret=SECRET)
    yield address
    server.close()


@pytest.mark.attack(
    "fill a role's memory over a link before proving anything",
    "a greeting has 4 KiB at most",
)
@pytest.mark.parametrize("length", [MAX_GREETING + 1, 64 * 1024, 256 * 1024 * 1024, 2**32 - 1])
async def test_a_stranger_cannot_make_us_hold_a_long_frame(length: int) -> None:
    async with listening() as address:
        side, _ = await welcomed(address)
        side[1].write(struct.pack(">I", length))
        assert await is_cut_off(side, within_s=1)


@pytest.mark.attack("hold links open without a greeting", "the greeting has to come within 5 s")
@pytest.mark.parametrize("said", [b"", b"\x00", b"\x00\x00\x00\x20half a greeting"])
async def test_who_does_not_greet_is_cut_off(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "GREETING_S", 0.1)
    async with listening() as address:
        side, _ = await welcomed(address)
        side[1].write(said)
        assert await is_cut_off(side, within_s=1)


async def test_who_greeted_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "GREETING_S", 0.1)
    async with listening() as address:
        side, nonce = await welcomed(address)
        side[1].write(greeting(nonce, SECRET))
        assert not await is_cut_off(side, within_s=1)


async def test_a_link_takes_long_frames_once_the_other_side_has_proved_itself() -> None:
    class Hearing(Silent):
        heard = asyncio.Event()

        def received(self, link: Any, messages: list[Any]) -> None:  # noqa: ARG002 -- the port's
            self.heard.set()

    hearing = Hearing()
    async with listening(hearing) as address:
        made = await connect(address, Silent(), msg.decode_from_host, secret=SECRET, me=("router", "r"))
        made.send(msg.Batch([msg.Part(0, [1], [bytes(100 * MAX_GREETING)])]))
        async with asyncio.timeout(5):
            await hearing.heard.wait()
        made.close()


@pytest.mark.attack(
    "connect to a role without the cluster's secret",
    "the proof over a nonce of this connection; the refusal is logged",
)
@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (lambda nonce: greeting(nonce, b"guessed"), "wrong proof"),
        (lambda nonce: greeting(nonce[::-1], SECRET), "wrong proof"),
        (lambda _: framed(b"\xc1"), "cannot be decoded"),
        (lambda nonce: framed(msg.encode(Welcome(1, 1, nonce))), "not its turn"),
        (lambda _: struct.pack(">I", 2**31), "a frame of 2147483648 bytes"),
    ],
)
async def test_a_failed_proof_is_logged(sent: Callable[[bytes], bytes], why: str) -> None:
    with capture_logs() as lines:
        async with listening() as address:
            side, nonce = await welcomed(address)
            side[1].write(sent(nonce))
            assert await is_cut_off(side, within_s=1)
    (line,) = [each for each in lines if each["event"] == "link_refused"]
    assert why in line["sent"]
    assert line["address"][0] == "127.0.0.1"
    assert SECRET.decode() not in str(line)


class Peer:
    """The other end of a link of a host, as the host sees it."""

    def __init__(self, role: str) -> None:
        self.role, self.name, self.refused = role, "me", ""

    def send(self, _message: Any) -> None: ...

    def refuse(self, why: str) -> None:
        self.refused = why


BY_ROLE = {
    "router": [msg.Open(0, 1, 0, 0), msg.Batch([]), msg.Shut([0])],
    "gateway": [
        msg.Since({}),
        msg.Attach(1, "u", "u", "D", None, 0, False, False),  # noqa: FBT003 -- as on the wire
        msg.Detach(1),
        msg.Ack(1, 1),
        msg.Typing("u", "v", "v", "typing"),
        msg.Watch("u", []),
        msg.Unwatch("u", []),
        q.Gone(1, "u"),
        q.Sync(1, "u", "D", None, 1, 0),
        q.AckUpTo(1, "u", "D", 1),
        q.ReadUpTo(1, "u", "u", "v", "v", 1),
        q.SetBlock(1, "u", "v", "v", True),  # noqa: FBT003 -- as on the wire
        q.AddContact(1, "u", "v", "v"),
        q.PresenceOf(1, "v", "u"),
        q.Watermarks(1, "u", "v"),
        q.Refresh(1, "u"),
        q.Unstored(1, "u"),
        q.RoomFor(1, "u", "v"),
    ],
}


def host() -> ActorHost:
    stores = Stores(cast("Any", None), cast("Any", None), cast("Any", None))
    return ActorHost("host-0", stores, SECRET, lambda: 0)


@pytest.mark.attack(
    "send what another role sends, over a link of one's own",
    "each role has its kinds of messages",
)
@pytest.mark.parametrize(
    ("sender", "message"), [(role, each) for role, some in BY_ROLE.items() for each in some]
)
async def test_a_role_may_send_what_is_its_own(sender: str, message: Any) -> None:
    (other,) = BY_ROLE.keys() - {sender}
    right, wrong = Peer(sender), Peer(other)
    host().received(cast("Link", right), [message])
    assert right.refused == ""
    host().received(cast("Link", wrong), [message, message])
    assert wrong.refused == f"a {type(message).__name__}, which is not for a {other} to send"


async def test_every_message_to_a_host_belongs_to_one_role() -> None:
    kinds = {type(each) for some in BY_ROLE.values() for each in some}
    decoder = msgspec.inspect.type_info(list[msg.ToHost])
    known = {each.cls for each in decoder.item_type.types}  # type: ignore[attr-defined]
    assert kinds == known


@pytest.mark.attack(
    "reach hosts as a role that has no business there",
    "hosts take links of routers and gateways only",
)
@pytest.mark.parametrize("role", ["pusher", "coordinator", "host", ""])
async def test_other_roles_have_no_business_with_a_host(role: str) -> None:
    peer = Peer(role)
    host().opened(cast("Link", peer))
    assert "no business" in peer.refused
