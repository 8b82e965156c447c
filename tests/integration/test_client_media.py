"""Files from person to person: through breaking connections, a lying server, and into a folder."""

import asyncio
import io
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from rich.console import Console

from roost.cli.chat.lines import Chat
from roost.client import Client, Event, FileBroken, MessageReceived, Options
from roost.client.content import Attachment, File, encode
from roost.errors import RoostError
from sim.faults.proxy import Proxy
from tests.integration.api_world import PASSWORD, Urls, World, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
SIZE = 5_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url)) as whole:
        yield whole


class Pair:
    """Alice and Bob, each behind a network that can break."""

    def __init__(self) -> None:
        self.alice: Client
        self.bob: Client
        self.network: Proxy
        self.arrived: asyncio.Queue[Event] = asyncio.Queue()

    def breaking(self, *places: int) -> "Breaks":
        return Breaks(self.network, places)

    async def received(self) -> MessageReceived:
        async with asyncio.timeout(20):
            while not isinstance(event := await self.arrived.get(), MessageReceived):
                pass
        return event

    async def file(self, path: Path) -> File:
        await self.alice.send_file(self.bob.username, path)
        event = await self.received()
        assert event.file is not None
        return event.file


class Breaks:
    """Told of progress, cuts every connection as each of the places is passed."""

    def __init__(self, network: Proxy, places: tuple[int, ...]) -> None:
        self.network, self.places, self.seen = network, list(places), [0]

    def __call__(self, done: int, total: int) -> None:
        assert 0 < done <= total
        self.seen.append(done)
        if self.places and done >= self.places[0]:
            self.places.pop(0)
            self.network.cut()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(world: World) -> AsyncIterator[Pair]:
    pair = Pair()
    async with Proxy(world.addresses[0].removeprefix("http://")) as pair.network:
        url = f"http://{pair.network.address}"
        pair.alice = await Client.register(url, f"a{secrets.token_hex(6)}", PASSWORD)
        pair.bob = await Client.register(
            url, f"b{secrets.token_hex(6)}", PASSWORD, options=Options(on_event=pair.arrived.put_nowait)
        )
        await pair.alice.start()
        await pair.bob.start()
        yield pair
        await pair.alice.close()
        await pair.bob.close()


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_a_file_arrives_through_breaking_connections(pair: Pair, tmp_path: Path) -> None:
    data = secrets.token_bytes(SIZE)
    sent, saved = tmp_path / "päper.pdf", tmp_path / "saved"
    sent.write_bytes(data)
    saved.mkdir()
    up, down = pair.breaking(500_000, 3_000_000, 4_900_000), pair.breaking(1, 2_000_000, 5_000_000)
    await pair.alice.send_file(pair.bob.username, sent, progress=up)
    event = await pair.received()
    assert event.file is not None
    assert (event.file.name, event.file.size, event.file.type) == ("päper.pdf", SIZE, "application/pdf")
    assert await event.file.save(saved, progress=down) == saved / "päper.pdf"
    assert (saved / "päper.pdf").read_bytes() == data
    assert (saved / "päper.pdf").stat().st_mode & 0o077 == 0
    for breaks in (up, down):
        assert breaks.places == [], "every break happened"
        assert breaks.seen[-1] == max(breaks.seen)
    assert await event.file.save(saved) == saved / "päper (2).pdf"
    assert await event.file.save(saved / "other.pdf") == saved / "other.pdf"
    assert await event.file.save(saved / "other.pdf") == saved / "other.pdf"
    assert names(saved) == ["other.pdf", "päper (2).pdf", "päper.pdf"]


async def test_an_empty_file_arrives(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    file = await pair.file(tmp_path / "empty")
    assert (await file.save(tmp_path / "copy")).read_bytes() == b""


@pytest.mark.attack("the server gives another file, or an altered one, in place of the one that was sent")
async def test_what_the_server_alters_never_appears(pair: Pair, world: World, tmp_path: Path) -> None:
    source, saved = tmp_path / "a.txt", tmp_path / "saved"
    source.write_bytes(b"a secret " * 50_000)
    saved.mkdir()
    file = await pair.file(source)
    blobs = world.gateways[0].collaborators.media.blobs
    blob = await blobs.find(file._reference.media_id)
    ciphertext = b"".join([bytes(part) async for part in blobs.read(blob, 0, blob.size)])
    assert b"secret" not in ciphertext
    lies = (
        ciphertext[:-1] + b"\0",
        ciphertext[65_552:] + ciphertext[:65_552],
        ciphertext[:65_552],
        ciphertext + b"\0",
        secrets.token_bytes(len(ciphertext)),
    )
    for lie in lies:
        media_id, made = await blobs.reserve(blob.user, len(lie))
        writer = await blobs.begin(made)
        await writer.write(lie)
        await blobs.finish(writer)
        given = File(msgspec.structs.replace(file._reference, media_id=media_id), file._fetch)
        with pytest.raises((FileBroken, RoostError)):
            await given.save(saved)
        assert names(saved) == []
    await file.save(saved)
    assert names(saved) == ["a.txt"]


@pytest.mark.attack("a file's name, or size, is chosen to overwrite or to fill the recipient's disk")
async def test_a_name_or_size_that_lies_does_no_harm(pair: Pair, tmp_path: Path) -> None:
    source, saved = tmp_path / "a.txt", tmp_path / "in" / "saved"
    source.write_bytes(b"x" * 1000)
    saved.mkdir(parents=True)
    reference = (await pair.file(source))._reference
    for name in ("../outside", "/etc/roost-outside", "a/../../../outside", "..\\outside"):
        content = encode(Attachment(msgspec.structs.replace(reference, name=name)))
        await pair.alice.send(pair.bob.username, content)
        file = (await pair.received()).file
        assert file is not None
        assert (await file.save(saved)).parent == saved
    assert names(tmp_path) == ["a.txt", "in"]
    with pytest.raises(FileBroken, match="not the one"):
        await File(msgspec.structs.replace(reference, sha256=b"x" * 32), file._fetch).save(saved / "other")
    assert "other" not in names(saved)
    huge = msgspec.structs.replace(reference, size=2**52)
    with pytest.raises((FileBroken, RoostError)):
        await File(huge, file._fetch).save(saved / "huge")
    assert "huge" not in names(saved)


async def test_the_terminal_sends_and_saves(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"for you")
    out = io.StringIO()
    writing = Chat(pair.alice, Console(file=out, width=200), pair.bob.username)
    reading = Chat(pair.bob, Console(file=out, width=200), None)
    await writing._line(f"/send {tmp_path / 'a.txt'}")
    reading.show(await pair.received())
    (tmp_path / "saved").mkdir()
    for typed in ("/save", "/save 2", "/save x", f"/save 1 {tmp_path / 'saved'}"):
        await reading._line(typed)
    shown = out.getvalue()
    assert "[file: a.txt, 7 bytes]" in shown
    assert shown.count("/save NUMBER") == 3
    assert f"saved as {tmp_path / 'saved' / 'a.txt'}" in shown
    assert (tmp_path / "saved" / "a.txt").read_bytes() == b"for you"


async def test_a_file_that_is_gone_says_so(pair: Pair, world: World, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x")
    file = await pair.file(tmp_path / "a.txt")
    blobs = world.gateways[0].collaborators.media.blobs
    await blobs.remove(await blobs.find(file._reference.media_id))
    with pytest.raises(RoostError, match="no such file") as gone:
        await file.save(tmp_path)
    assert gone.value.code.word == "unknown_media"
    assert names(tmp_path) == ["a.txt"]


async def test_what_cannot_be_sent_says_so(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await pair.alice.send_file(pair.bob.username, tmp_path / "none")
    (tmp_path / "large").write_bytes(b"")
    with (tmp_path / "large").open("r+b") as file:
        file.truncate(25_000_000)
    with pytest.raises(RoostError) as refused:
        await pair.alice.send_file(pair.bob.username, tmp_path / "large")
    assert refused.value.code.word == "too_large"
