"""Whatever is sealed in the store is known to the re-encryption: else a key is retired that is needed."""

import re
from pathlib import Path

import storage.mongo
from storage.mongo.accounts import INDEXED, SEALED
from storage.mongo.reencryption import BY_RING

SOURCES = {path: path.read_text() for path in Path(storage.mongo.__file__).parent.glob("*.py")}


def found(pattern: str) -> set[str]:
    return {name for text in SOURCES.values() for name in re.findall(pattern, text)}


def test_what_the_ring_seals_is_sealed_again_after_a_rotation() -> None:
    assert found(r'ring\.(?:un)?seal(?:_bytes)?\(\s*"(\w+)"') <= BY_RING.keys()


def test_what_has_a_blind_index_is_indexed_again_after_a_rotation() -> None:
    indexed = {field for fields in INDEXED.values() for field in fields}
    assert found(r'\.blinds?\(\s*"(\w+)"') <= indexed
    assert all(field in SEALED[name] for name, fields in INDEXED.items() for field in fields)


def test_the_search_finds_what_is_written() -> None:
    """The names are written as texts, or come from the tables themselves."""
    assert len(SOURCES) > 10
    sample = 'self._ring.seal("blobs", name, "key", text) + self._ring.blind("push_token", token)'
    assert re.findall(r'ring\.(?:un)?seal(?:_bytes)?\(\s*"(\w+)"', sample) == ["blobs"]
    assert re.findall(r'\.blinds?\(\s*"(\w+)"', sample) == ["push_token"]
