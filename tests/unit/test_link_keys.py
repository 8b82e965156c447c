"""The secret of links while it is replaced: a role proves the active one, and accepts others."""

import msgspec
import pytest

from actors.rpc.handshake import Greeting, Handshake, HandshakeFailed
from storage.keyring import KeyRing, fresh_secrets

NOW = 1_795_000_000_000
KEPT_MS = 1_000


def shake(connecting: KeyRing, accepting: KeyRing) -> str:
    """Return the role that the accepting side believes in."""
    here = Handshake(accepting.cluster_secret, None)
    there = Handshake(connecting.cluster_secret, ("router", "router-1"))
    answer = there.take(_encoded(here.opening()))
    assert isinstance(answer, Greeting)
    here.take(_encoded(answer))
    return here.role


def _encoded(message: object) -> bytes:
    return msgspec.msgpack.encode(message)


def rings(now_ms: int) -> tuple[KeyRing, KeyRing]:
    """Return a ring before and after a rotation, by the same clock."""
    before = fresh_secrets(NOW)
    after = before.rotated(["link"], NOW, in_ms=100, kept_ms={"link": KEPT_MS})
    return KeyRing(before, lambda: now_ms), KeyRing(after, lambda: now_ms)


@pytest.mark.parametrize("now_ms", [NOW, NOW + 99, NOW + 100, NOW + 100 + KEPT_MS - 1])
def test_roles_that_know_of_a_rotation_and_those_that_do_not_understand_each_other(now_ms: int) -> None:
    before, after = rings(now_ms)
    assert shake(before, after) == shake(after, after) == "router"
    if now_ms < NOW + 100:
        assert shake(after, before) == "router", "the new key is not proved before its time"


@pytest.mark.attack("link proved with a retired key")
def test_retired_key_proves_nothing() -> None:
    before, after = rings(NOW + 100 + KEPT_MS)
    with pytest.raises(HandshakeFailed, match="wrong proof"):
        shake(before, after)


@pytest.mark.attack("link proved with a key of another purpose")
def test_key_of_another_purpose_proves_nothing() -> None:
    ring = KeyRing(fresh_secrets(NOW), lambda: NOW)
    for key in ring.secrets.keys:
        if key.purpose != "link":
            here, there = Handshake(ring.cluster_secret, None), Handshake(key.secret, ("host", "host-1"))
            with pytest.raises(HandshakeFailed, match="wrong proof"):
                here.take(_encoded(there.take(_encoded(here.opening()))))
