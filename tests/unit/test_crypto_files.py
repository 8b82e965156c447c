"""Sealed files: they come back, and whatever is done to them shows."""

import hashlib
import io
import secrets
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.crypto.files import CHUNK, FileBroken, FileOpener, seal_file, sealed_size
from roost.crypto.padding import padded_length

KEY = bytes(range(32))
SEALED = CHUNK + 16


def sealed(data: bytes, key: bytes = KEY) -> bytes:
    return b"".join(seal_file(io.BytesIO(data), len(data), key))


def opened(
    blob: bytes, size: int, key: bytes = KEY, *, sha256: bytes | None = None, piece: int = 50_000
) -> bytes:
    """Open what came, by default with its own digest: the chunks alone have to show what was done."""
    opener = FileOpener(key, size, sha256 or hashlib.sha256(blob).digest())
    data = b"".join(opener.feed(blob[at : at + piece]) for at in range(0, len(blob), piece))
    opener.finish()
    return data


@pytest.mark.parametrize("size", [0, 1, 255, 256, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 200_000])
def test_a_file_comes_back(size: int) -> None:
    data = secrets.token_bytes(size)
    blob = sealed(data)
    assert len(blob) == sealed_size(size)
    for piece in (7_001, CHUNK, len(blob)):
        assert opened(blob, size, piece=piece) == data


def test_its_length_tells_little() -> None:
    assert sealed_size(0) == sealed_size(1) == sealed_size(256)
    assert all(
        sealed_size(size) <= 1.125 * max(size, 256) + 16 * (size // CHUNK + 2)
        for size in range(0, 10**7, 9_973)
    )
    assert len({sealed_size(size) for size in range(1_000_000, 1_050_000)}) <= 4


@pytest.mark.attack("a file's chunks are swapped, dropped, repeated, cut, altered or added to")
@pytest.mark.parametrize(
    "tampered",
    [
        lambda blob: blob[SEALED : 2 * SEALED] + blob[:SEALED] + blob[2 * SEALED :],  # swapped
        lambda blob: blob[SEALED:],  # the first dropped
        lambda blob: blob[:SEALED] + blob[2 * SEALED :],  # one dropped
        lambda blob: blob[:SEALED] + blob[:SEALED] + blob[2 * SEALED :],  # one repeated
        lambda blob: blob[: 2 * SEALED],  # cut where a chunk ends
        lambda blob: blob[:-1],
        lambda blob: blob + b"\0",
        lambda blob: blob + blob[:SEALED],
        lambda blob: blob[:0],
        lambda blob: blob[:5] + bytes((blob[5] ^ 1,)) + blob[6:],
        lambda blob: blob[:-1] + bytes((blob[-1] ^ 1,)),
    ],
)
def test_a_tampered_file_is_refused(tampered: Callable[[bytes], bytes]) -> None:
    data = secrets.token_bytes(3 * CHUNK)
    blob = tampered(sealed(data))
    with pytest.raises(FileBroken):
        opened(blob, len(data))


@pytest.mark.attack("a file is cut at a chunk's end and announced as shorter")
def test_a_file_cut_at_a_chunk_is_no_shorter_file() -> None:
    size = padded_length(2 * CHUNK)
    blob = sealed(secrets.token_bytes(3 * CHUNK))
    with pytest.raises(FileBroken, match="chunk 1"):
        opened(blob[: 2 * SEALED], size)


@pytest.mark.attack("a file is opened with another one's key, or another file is put in its place")
def test_another_key_or_another_file_is_refused() -> None:
    data = secrets.token_bytes(CHUNK)
    blob = sealed(data)
    with pytest.raises(FileBroken, match="another key"):
        opened(blob, len(data), secrets.token_bytes(32))
    other = sealed(secrets.token_bytes(CHUNK))  # sealed with the same key, which no client does
    with pytest.raises(FileBroken, match="not the one"):
        opened(other, len(data), sha256=hashlib.sha256(blob).digest())


def test_nothing_of_an_altered_chunk_is_given_out() -> None:
    blob = bytearray(sealed(b"secret" * 100))
    blob[0] ^= 1
    opener = FileOpener(KEY, 600, b"")
    with pytest.raises(FileBroken):
        opener.feed(bytes(blob))


@pytest.mark.attack("a download that never ends fills the disk")
def test_what_comes_after_the_end_is_not_taken() -> None:
    blob = sealed(b"x")
    opener = FileOpener(KEY, 1, hashlib.sha256(blob).digest())
    assert opener.feed(blob) == b"x"
    with pytest.raises(FileBroken, match="after its end"):
        opener.feed(b"\0")


def test_a_file_that_shrinks_is_not_sealed_as_another() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(seal_file(io.BytesIO(b"x" * 10), 11, KEY))
    assert len(b"".join(seal_file(io.BytesIO(b"x" * 12), 11, KEY))) == sealed_size(11)


@settings(max_examples=30)
@given(st.binary(max_size=600), st.integers(0, 700))
def test_whatever_comes_it_is_the_file_or_refused(blob: bytes, size: int) -> None:
    with pytest.raises(FileBroken):
        opened(blob, size)
