"""Access tokens: what is issued verifies, everything else is refused with one word."""

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.identity.tokens import Principal, Tokens
from roost.errors import RoostError
from storage.keyring import PURPOSES, Key, KeyRing, Purpose, fresh_secrets

NOW = 1_795_000_000_000
ALICE = Principal("u-alice", "alice", "ALICEPHONE", "family-1", NOW + 600_000, ("admin",))


class Time:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def keyring(time: Time) -> KeyRing:
    return KeyRing(fresh_secrets(NOW), time)


@pytest.fixture
def tokens(keyring: KeyRing, time: Time) -> Tokens:
    return Tokens(keyring, "example.org", 600, time)


def claims(**changes: Any) -> dict[str, Any]:
    whole = {
        "iss": "example.org", "aud": "roost", "sub": "u", "usr": "alice", "did": "D", "sid": "F",
        "iat": NOW // 1000, "exp": NOW // 1000 + 600, "jti": "j",
    }  # fmt: skip
    return {name: value for name, value in (whole | changes).items() if value is not None}


def signed(keyring: KeyRing, body: dict[str, Any], key: Key | None = None, **header: Any) -> str:
    key = key or keyring.signing_key()
    private = Ed25519PrivateKey.from_private_bytes(key.secret)
    headers = {name: value for name, value in ({"kid": key.id} | header).items() if value is not None}
    return jwt.encode(body, private, algorithm="EdDSA", headers=headers)


def refusal(tokens: Tokens, token: str) -> str:
    with pytest.raises(RoostError) as caught:
        tokens.verify(token)
    return caught.value.code.word


def test_round_trip(tokens: Tokens) -> None:
    assert tokens.verify(tokens.issue(ALICE)) == ALICE


def test_the_helper_makes_good_tokens(tokens: Tokens, keyring: KeyRing) -> None:
    assert tokens.verify(signed(keyring, claims())).user == "u"


@pytest.mark.attack(
    "use an access token after its end",
    "its expiry, also while a gateway remembers the token",
)
def test_expiry_holds_for_remembered_tokens_too(tokens: Tokens, time: Time) -> None:
    token = tokens.issue(ALICE)
    time.now += 599_000
    tokens.verify(token)
    time.now += 1_000
    assert refusal(tokens, token) == "unauthenticated"


@pytest.mark.attack(
    "an access token without a claim, for another server, or with a claim of another type",
    "every claim is required and checked",
)
@pytest.mark.parametrize(
    "changes",
    [
        *({name: None} for name in ("iss", "aud", "sub", "usr", "did", "sid", "iat", "exp", "jti")),
        {"aud": "other"},
        {"iss": "evil.example"},
        {"exp": NOW // 1000 - 1},
        {"exp": str(NOW)},
        {"sub": 7},
        {"sid": ["F"]},
        {"scope": 7},
    ],
    ids=str,
)
def test_claims(tokens: Tokens, keyring: KeyRing, changes: dict[str, Any]) -> None:
    assert refusal(tokens, signed(keyring, claims(**changes))) == "unauthenticated"


@pytest.mark.attack(
    "name a signing key that is not the server's",
    "key ids are looked up in the ring, and nowhere else",
)
@pytest.mark.parametrize("header", [{"kid": "another"}, {"kid": None}, {"kid": ""}], ids=str)
def test_key_ids(tokens: Tokens, keyring: KeyRing, header: dict[str, Any]) -> None:
    assert refusal(tokens, signed(keyring, claims(), **header)) == "unauthenticated"


@pytest.mark.attack(
    "sign an access token with a key of one's own under the server's key id",
    "the Ed25519 signature",
)
def test_forged_with_another_key_under_our_kid(tokens: Tokens, keyring: KeyRing) -> None:
    kid = keyring.signing_key().id
    forged = jwt.encode(claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": kid})
    assert refusal(tokens, forged) == "unauthenticated"


@pytest.mark.attack("an access token of the algorithm {row}", "EdDSA is the only algorithm that is accepted")
@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_other_algorithms(tokens: Tokens, keyring: KeyRing, algorithm: str) -> None:
    key = keyring.signing_key()
    public = Ed25519PrivateKey.from_private_bytes(key.secret).public_key().public_bytes_raw()
    secret: Any = public if algorithm == "HS256" else None
    token = jwt.encode(claims(), secret, algorithm=algorithm, headers={"kid": key.id})
    assert refusal(tokens, token) == "unauthenticated"


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.attack(
    "break the parser of access tokens",
    "a bound on the length, and one refusal for whatever cannot be read",
)
@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "a.b.c", "x" * 10_000, "é.ü.ä", "\ud800",
        f"{part([1])}.{part({})}.", f"{part({'alg': 'EdDSA', 'kid': ['t']})}.{part({})}.AA",
        f"{part({'alg': 'EdDSA', 'kid': {}})}.{part({})}.AA",
    ],
    ids=range(10),
)  # fmt: skip
def test_not_a_token(tokens: Tokens, token: str) -> None:
    assert refusal(tokens, token) == "unauthenticated"


def test_old_keys_verify_and_the_new_one_signs(keyring: KeyRing, time: Time) -> None:
    before = Tokens(keyring, "example.org", 600, time).issue(ALICE)
    after = Tokens(rotated(keyring, time), "example.org", 600, time)
    assert after.verify(before) == ALICE
    assert jwt.get_unverified_header(after.issue(ALICE))["kid"] != keyring.signing_key().id


def rotated(keyring: KeyRing, time: Time, in_ms: int = 0) -> KeyRing:
    """Return a ring whose old token key is accepted for 600 s after the new one is used."""
    return KeyRing(keyring.secrets.rotated(["token"], NOW, in_ms=in_ms, kept_ms={"token": 600_000}), time)


@pytest.mark.attack("token signed with a retired key")
def test_retired_key_verifies_nothing(keyring: KeyRing, time: Time) -> None:
    old, ring = keyring.signing_key(), rotated(keyring, time)
    tokens = Tokens(ring, "example.org", 600, time)
    token = signed(ring, claims(exp=NOW // 1000 + 10_000), old)
    assert tokens.verify(token).user == "u"
    time.now += 600_000
    assert refusal(tokens, token) == "unauthenticated"
    time.now = NOW
    by_hand = KeyRing(ring.secrets.retired(old.id, NOW), time)
    assert refusal(Tokens(by_hand, "example.org", 600, time), token) == "unauthenticated"


@pytest.mark.attack("token signed with a key before its time")
def test_key_before_its_time_verifies_nothing(keyring: KeyRing, time: Time) -> None:
    ring = rotated(keyring, time, in_ms=60_000)
    tokens, coming = Tokens(ring, "example.org", 600, time), ring.secrets.usable("token", NOW)[-1]
    assert refusal(tokens, signed(ring, claims(), coming)) == "unauthenticated"
    assert coming.id in {key["kid"] for key in ring.public_jwks()["keys"]}, "though others know it already"
    time.now += 60_000
    assert tokens.verify(signed(ring, claims(), coming)).user == "u"


@pytest.mark.attack("token with the kid of a key of another purpose")
@pytest.mark.parametrize("purpose", [purpose for purpose in PURPOSES if purpose != "token"])
def test_key_of_another_purpose_verifies_nothing(keyring: KeyRing, tokens: Tokens, purpose: Purpose) -> None:
    key = keyring.secrets.active(purpose, NOW)
    assert refusal(tokens, signed(keyring, claims(), key)) == "unauthenticated"


def test_rotation_while_it_runs(keyring: KeyRing, time: Time, tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    keyring.save(path)
    ring = KeyRing.load(path, None, time)
    tokens = Tokens(ring, "example.org", 600, time)
    before = tokens.issue(ALICE)
    rotated(keyring, time).save(path)
    ring.reload()
    assert jwt.get_unverified_header(tokens.issue(ALICE))["kid"] == ring.signing_key().id
    assert ring.signing_key().id != keyring.signing_key().id
    assert tokens.verify(before) == tokens.verify(tokens.issue(ALICE)) == ALICE
