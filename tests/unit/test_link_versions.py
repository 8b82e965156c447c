"""Two releases open a link in the newest version that both speak, or say why they cannot."""

import asyncio
import contextlib

import pytest

from actors.rpc import handshake
from actors.rpc import messages as msg
from actors.rpc.handshake import Greeting, Handshake, Proof, Welcome
from actors.rpc.link import connect, serve
from actors.rpc.messages import PROTOCOL, encode
from tests.link_by_hand import framed, heard
from tests.unit.link_ends import Silent

SECRET = b"secret"


async def dial(newest: int, oldest: int) -> int:
    """Connect to a side that speaks these versions; returns the version agreed on."""
    done = asyncio.Event()

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = Welcome(newest, oldest, b"n" * 16)
        writer.write(framed(encode(said)))
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError
        ):  # it hangs up, in whatever way
            greeting = await heard(reader)
            assert isinstance(greeting, Greeting)
            proof = Handshake(SECRET, None)._prove(SECRET, handshake._LISTENING, said, greeting)
            writer.write(framed(encode(Proof(proof))))
            await reader.read()
        writer.close()
        done.set()

    server = await asyncio.start_server(welcome, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    try:
        link = await connect(address, Silent(), msg.decode_to_host, secret=SECRET, me=("router", "router-1"))
        link.close()
        return link.protocol
    finally:
        await done.wait()
        server.close()


@pytest.mark.asyncio
async def test_a_newer_release_is_addressed_in_our_version() -> None:
    assert await dial(PROTOCOL + 1, PROTOCOL) == PROTOCOL


@pytest.mark.asyncio
async def test_a_release_too_new_to_talk_to_is_refused_with_the_reason() -> None:
    with pytest.raises(ConnectionError, match="upgrade one release at a time"):
        await dial(PROTOCOL + 2, PROTOCOL + 1)


@pytest.mark.asyncio
async def test_the_listening_side_checks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    server, address = await serve("127.0.0.1", 0, Silent(), msg.decode_to_host, secret=SECRET)
    monkeypatch.setattr(handshake, "OLDEST_PROTOCOL", PROTOCOL)
    reader, writer = await asyncio.open_connection(*address)
    welcome = await heard(reader)
    assert isinstance(welcome, Welcome)
    greeting = Greeting(PROTOCOL - 1, PROTOCOL - 1, "router", "old", b"n" * 16, b"")
    greeting.proof = Handshake(SECRET, None)._prove(SECRET, handshake._CONNECTING, welcome, greeting)
    writer.write(framed(encode(greeting)))
    assert await reader.read() == b"", "it lets in a release that is too old"
    writer.close()
    await writer.wait_closed()
    server.close()
