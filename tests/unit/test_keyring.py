import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from nacl.signing import SigningKey, VerifyKey

from roost.wire import from_base64
from storage.keyring import KeyRing, KeyRingError, SealBroken, first_refresh, fresh_secrets

NOW = 1_700_000_000_000


def make(path: Path) -> KeyRing:
    return KeyRing.load_or_create(path, lambda: NOW)


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(fresh_secrets(NOW))


def test_first_start_makes_it_and_the_next_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keyring.json"
    made = make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert make(path).secrets == made.secrets == KeyRing.load(path).secrets
    assert [each.name for each in path.parent.iterdir()] == ["keyring.json"]


def test_of_many_first_starts_one_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    with ThreadPoolExecutor(16) as pool:
        rings = list(pool.map(make, [path] * 16))
    assert len({ring.secrets.cluster for ring in rings}) == 1


@pytest.mark.attack(
    "read the key ring as another user of the machine",
    "it is made with mode 0600, and a file that others can read is not used",
)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_readable_by_others_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keyring.json"
    make(path)
    path.chmod(mode)
    with pytest.raises(KeyRingError, match=f"chmod 600 {path}"):
        make(path)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"storage": 1}', b'{"current": "\x80"}'])
def test_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keyring.json"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(KeyRingError, match="not a key ring"):
        KeyRing.load(path)


def test_short_or_missing_key_is_refused(tmp_path: Path, ring: KeyRing) -> None:
    path = tmp_path / "keyring.json"
    for damage in ({"index": b"short"}, {"current": "none"}, {"tokens": ()}):
        KeyRing(msgspec.structs.replace(ring.secrets, **damage)).save(path)
        with pytest.raises(KeyRingError, match="damaged"):
            KeyRing.load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match="cannot be read"):
        KeyRing.load(tmp_path / "none.json")


def test_seal_and_unseal(ring: KeyRing) -> None:
    sealed = ring.seal("users", "u1", "phone", "+46 70 é")
    assert ring.unseal("users", "u1", "phone", sealed) == "+46 70 é"
    assert b"+46" not in sealed
    assert ring.seal("users", "u1", "phone", "+46 70 é") != sealed


@pytest.mark.attack(
    "move a sealed value to another row or field of the store",
    "its place is authenticated along",
)
@pytest.mark.parametrize(
    "place", [("devices", "u1", "phone"), ("users", "u2", "phone"), ("users", "u1", "email")]
)
def test_moved_value_does_not_open(ring: KeyRing, place: tuple[str, str, str]) -> None:
    with pytest.raises(SealBroken, match="altered or moved"):
        ring.unseal(*place, ring.seal("users", "u1", "phone", "x"))


@pytest.mark.attack("change a sealed value in the store", "XChaCha20-Poly1305's tag")
def test_every_altered_byte_is_noticed(ring: KeyRing) -> None:
    sealed = ring.seal("users", "u1", "phone", "x")
    for at in range(len(sealed)):
        altered = sealed[:at] + bytes([sealed[at] ^ 0x80]) + sealed[at + 1 :]
        with pytest.raises(SealBroken):
            ring.unseal("users", "u1", "phone", altered)
    for end in range(len(sealed)):
        with pytest.raises(SealBroken):
            ring.unseal("users", "u1", "phone", sealed[:end])


def test_rotation_keeps_old_values_readable(ring: KeyRing, tmp_path: Path) -> None:
    sealed = ring.seal("users", "u1", "phone", "x")
    ring.rotated(NOW + 1).save(tmp_path / "keyring.json")
    rotated = KeyRing.load(tmp_path / "keyring.json")
    assert rotated.unseal("users", "u1", "phone", sealed) == "x"
    assert rotated.secrets.current != ring.secrets.current
    assert rotated.signing_key() != ring.signing_key()
    assert rotated.blind("phone", "x") == ring.blind("phone", "x")
    with pytest.raises(SealBroken, match="not in the key ring"):
        ring.unseal("users", "u1", "phone", rotated.seal("users", "u1", "phone", "x"))
    assert [key["kid"] for key in rotated.public_jwks()["keys"]] == [
        key.kid for key in rotated.secrets.tokens
    ]


def test_blind_index(ring: KeyRing) -> None:
    assert ring.blind("phone", "x") == ring.blind("phone", "x")
    assert ring.blind("phone", "x") != ring.blind("email", "x")
    assert ring.blind("phone", "x") != ring.blind("phone", "y")
    assert ring.blind("phone", "x") != KeyRing(fresh_secrets(NOW)).blind("phone", "x")


def test_public_key_verifies_what_the_signing_key_signs(ring: KeyRing) -> None:
    [jwk] = ring.public_jwks()["keys"]
    signed = SigningKey(ring.signing_key().seed).sign(b"token")
    public = from_base64(jwk["x"].replace("-", "+").replace("_", "/"))
    assert VerifyKey(public).verify(signed) == b"token"
    assert (jwk["kty"], jwk["crv"], jwk["alg"]) == ("OKP", "Ed25519", "EdDSA")
    assert "d" not in jwk


def test_derived_refresh_token(ring: KeyRing) -> None:
    first = first_refresh("family")
    second = ring.derive_refresh(first)
    assert ring.derive_refresh(first) == second != first
    assert second.startswith("rr1.family.")
    assert KeyRing(fresh_secrets(NOW)).derive_refresh(first) != second
    for bad in ("", "rr1.family", "rr2.family.x", "rr1..x", "rr1.family.", "rr1.a.b.c"):
        with pytest.raises(ValueError, match=r"rr1|unpack"):
            ring.derive_refresh(bad)


@pytest.mark.attack("find keys in a log line or traceback", "the ring does not show what it holds")
def test_secrets_are_not_shown(ring: KeyRing) -> None:
    shown = repr(ring)
    assert ring.secrets.current in shown
    assert str(ring.secrets.index) not in shown


def test_failed_write_leaves_the_old_file(ring: KeyRing, tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    ring.save(path)
    content = path.read_bytes()
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="denied"):
        ring.rotated(NOW).save(path)
    tmp_path.chmod(0o700)
    assert path.read_bytes() == content
