"""Both sides of a link prove the secret, each for this conversation and on this connection alone."""

from typing import Any

import pytest

from actors.rpc import handshake
from actors.rpc.handshake import Greeting, Handshake, HandshakeFailed, Proof, Welcome
from actors.rpc.messages import PROTOCOL, encode

SECRET = b"s" * 32
ME = ("router", "router-1")


def pair(
    listening: bytes = SECRET, connecting: bytes = SECRET, *, on: tuple[bytes, bytes] = (b"", b"")
) -> Any:
    """Return both sides: the one that listens, and the one that connects."""
    return Handshake(listening, None, on[0]), Handshake(connecting, ME, on[1])


def said(side: Handshake, message: Any) -> Any:
    """Let a side hear a message; returns what it answers."""
    return side.take(encode(message))


def test_both_sides_are_done_once_each_has_proved_itself() -> None:
    listening, connecting = pair()
    greeting = said(connecting, listening.opening())
    assert not connecting.done
    proof = said(listening, greeting)
    assert listening.done
    assert (listening.role, listening.name, listening.protocol) == (*ME, PROTOCOL)
    assert said(connecting, proof) is None
    assert connecting.done


@pytest.mark.attack("a listener on a link without the cluster's secret")
def test_a_listener_that_knows_no_secret_is_not_believed() -> None:
    listening, connecting = pair(listening=b"guessed" * 4)
    greeting = said(connecting, listening.opening())
    forged = listening._prove(b"guessed" * 4, handshake._LISTENING, listening.opening(), greeting)
    with pytest.raises(HandshakeFailed, match="wrong proof"):
        said(connecting, Proof(forged))
    assert not connecting.done


@pytest.mark.attack("a caller on a link without the cluster's secret")
def test_a_caller_that_knows_no_secret_is_not_believed() -> None:
    listening, connecting = pair(connecting=b"guessed" * 4)
    with pytest.raises(HandshakeFailed, match="wrong proof"):
        said(listening, said(connecting, listening.opening()))
    assert not listening.done


@pytest.mark.attack("a caller's proof replayed on another link")
def test_a_proof_of_another_link_is_worth_nothing() -> None:
    first, connecting = pair()
    heard = said(connecting, first.opening())
    said(first, heard)
    second, _ = pair()
    with pytest.raises(HandshakeFailed, match="wrong proof"):
        said(second, heard)


@pytest.mark.attack("a listener's conversation replayed to a caller")
def test_a_listeners_proof_of_another_link_is_worth_nothing() -> None:
    listening, connecting = pair()
    welcome = listening.opening()
    proof = said(listening, said(connecting, welcome))
    _, victim = pair()
    said(victim, welcome)  # the same nonce again: that alone does not help
    with pytest.raises(HandshakeFailed, match="wrong proof"):
        said(victim, proof)


@pytest.mark.attack("a caller's own proof reflected to it")
def test_ones_own_proof_sent_back_is_worth_nothing() -> None:
    listening, connecting = pair()
    greeting = said(connecting, listening.opening())
    with pytest.raises(HandshakeFailed, match="wrong proof"):
        said(connecting, Proof(greeting.proof))


@pytest.mark.attack("a listener's challenge answered by another listener")
def test_a_listener_is_no_oracle_for_a_callers_proof() -> None:
    """What a listener proves to a stranger who knows no secret: nothing at all."""
    victim, oracle = Handshake(SECRET, None), Handshake(SECRET, None)
    welcome = victim.opening()
    assert welcome is not None
    for proof in (b"", welcome.nonce, bytes(32)):
        with pytest.raises(HandshakeFailed, match="wrong proof"):
            said(oracle, Greeting(PROTOCOL, PROTOCOL, *ME, welcome.nonce, proof))


@pytest.mark.attack("a man in the middle who passes a link's handshake on")
def test_a_proof_counts_on_the_connection_that_it_was_made_on() -> None:
    listening, connecting = pair(on=(b"between the middle and me", b"between you and the middle"))
    with pytest.raises(HandshakeFailed, match="wrong proof"):
        said(listening, said(connecting, listening.opening()))


@pytest.mark.attack("a link's encryption taken off on the way")
def test_a_caller_without_encryption_proves_nothing_to_an_encrypted_listener() -> None:
    listening, connecting = pair(on=(b"encrypted", b""))
    with pytest.raises(HandshakeFailed, match="wrong proof"):
        said(listening, said(connecting, listening.opening()))


@pytest.mark.attack("a link's versions changed on the way: a greeting that was changed proves nothing")
@pytest.mark.parametrize("field", ["protocol", "oldest", "role", "name", "nonce"])
def test_a_greeting_that_was_changed_proves_nothing(field: str) -> None:
    listening, connecting = pair()
    greeting = said(connecting, listening.opening())
    kind = type(getattr(greeting, field))
    setattr(greeting, field, {int: PROTOCOL + 1, str: "gateway", bytes: b"x" * 16}[kind])
    with pytest.raises(HandshakeFailed, match="wrong proof"):
        said(listening, greeting)


@pytest.mark.attack("a link's versions changed on the way")
def test_a_welcome_that_was_changed_makes_no_link() -> None:
    listening, connecting = pair()
    welcome = listening.opening()
    welcome.protocol += 1
    with pytest.raises(HandshakeFailed, match="wrong proof"):
        said(listening, said(connecting, welcome))


@pytest.mark.attack("a listener of a release that proves nothing")
def test_a_release_whose_listeners_prove_nothing_is_not_spoken_to() -> None:
    _, connecting = pair()
    with pytest.raises(HandshakeFailed, match="upgrade"):
        said(connecting, Welcome(4, 1, b"n" * 16))


@pytest.mark.attack("parts of a link's greeting moved into each other")
def test_role_and_name_do_not_run_into_each_other() -> None:
    listening, connecting = pair()
    welcome = listening.opening()
    one = Greeting(PROTOCOL, PROTOCOL, "gate", "way-1", b"n" * 16, b"")
    other = Greeting(PROTOCOL, PROTOCOL, "gateway", "-1", b"n" * 16, b"")
    proofs = {connecting._prove(SECRET, handshake._CONNECTING, welcome, each) for each in (one, other)}
    assert len(proofs) == 2


@pytest.mark.parametrize(
    ("me", "steps"),
    [
        (None, ["proof"]),
        (None, ["welcome"]),
        (ME, ["proof"]),
        (ME, ["greeting"]),
        (ME, ["welcome", "welcome"]),
    ],
)
@pytest.mark.attack("steps of a link's handshake left out or doubled")
def test_no_step_is_left_out_or_doubled(me: Any, steps: list[str]) -> None:
    listening, connecting = pair()
    welcome = listening.opening()
    greeting = said(connecting, welcome)
    messages = {"welcome": welcome, "greeting": greeting, "proof": said(listening, greeting)}
    side, (*before, last) = Handshake(SECRET, me), steps
    for each in before:
        said(side, messages[each])
    with pytest.raises(HandshakeFailed, match="not its turn"):
        said(side, messages[last])
