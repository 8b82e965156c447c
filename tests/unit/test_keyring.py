import base64
import json
import os
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from msgspec import structs
from nacl.signing import SigningKey, VerifyKey

from roost.wire import from_base64
from storage.keyring import (
    DataKey,
    KeyRing,
    KeyRingError,
    RingFile,
    SealBroken,
    first_refresh,
    fresh_secrets,
    master_from,
)
from storage.keyring.data_key import new_data_key

NOW = 1_700_000_000_000
PLACE = ("users", "u1", "phone")


class Time:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def make(path: Path) -> KeyRing:
    return KeyRing.load_or_create(path, lambda: NOW)


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(fresh_secrets(NOW), lambda: NOW)


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
    assert len({ring.secrets.installation for ring in rings}) == 1


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


@pytest.mark.attack("truncated key ring")
def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    make(path)
    content = path.read_bytes()
    for end in range(0, len(content) - 2, 37):
        path.write_bytes(content[:end])
        with pytest.raises(KeyRingError):
            KeyRing.load(path)


def test_short_missing_or_repeated_key_is_refused(tmp_path: Path, ring: KeyRing) -> None:
    path = tmp_path / "keyring.json"
    keys = ring.secrets.keys
    for damaged in ((structs.replace(keys[0], secret=b"short"), *keys[1:]), keys[1:], (*keys, keys[0])):
        RingFile(path).write(structs.replace(ring.secrets, keys=damaged))
        with pytest.raises(KeyRingError, match="damaged"):
            KeyRing.load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match="cannot be read"):
        KeyRing.load(tmp_path / "none.json")


# --- a ring of an earlier release -----------------------------------------------------------------


def first_layout() -> dict[str, object]:
    def key() -> str:
        return base64.b64encode(secrets.token_bytes(32)).decode()

    storage = [{"id": f"s{n}", "key": key(), "created_at_ms": NOW + n} for n in (1, 2)]
    tokens = [{"kid": f"t{n}", "seed": key(), "created_at_ms": NOW} for n in (1, 2)]
    made: dict[str, object] = {"storage": storage, "current": "s1", "tokens": tokens, "version": 1}
    return made | {"index": key(), "refresh": key(), "cluster": key()}


def test_ring_of_an_earlier_release_is_read_everywhere_alike(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    path.touch(0o600)
    old = first_layout()
    path.write_text(json.dumps(old))
    ring = KeyRing.load(path)
    assert ring.secrets == KeyRing.load(path).secrets
    assert ring.sealing_key == "s1", "the current one, though it is not the newest"
    assert ring.signing_key().id == "t2", "the last one"
    assert {key["kid"] for key in ring.public_jwks()["keys"]} == {"t1", "t2"}
    assert [base64.b64encode(each).decode() for each in ring.cluster_secret()] == [old["cluster"]]
    assert ring.secrets.lenient, "it has values that are not sealed"
    ring.save(path)
    assert KeyRing.load(path).secrets == ring.secrets


def test_ring_of_before_web_push_gets_the_same_key_everywhere(tmp_path: Path, ring: KeyRing) -> None:
    path = tmp_path / "keyring.json"
    without = tuple(key for key in ring.secrets.keys if key.purpose != "vapid")
    RingFile(path).write(structs.replace(ring.secrets, keys=without))
    found = [KeyRing.load(path) for _ in range(2)]
    assert found[0].vapid_key().public == found[1].vapid_key().public != ring.vapid_key().public
    RingFile(path).change(lambda content: content.rotated(["storage"], NOW))
    [storage] = [key.id for key in without if key.purpose == "storage"]
    RingFile(path).change(lambda content: content.retired(storage, NOW + 1))
    found[0].reload()
    assert found[0].vapid_key().public == found[1].vapid_key().public, "what it was derived from may go"


def test_keys_of_web_push_are_of_a_pair_each(ring: KeyRing) -> None:
    ring = KeyRing(ring.secrets.rotated(["vapid"], NOW), lambda: NOW)
    [old] = [key for key in ring.secrets.keys if key.purpose == "vapid" and key.id != ring.vapid_key().id]
    assert ring.state_of(old) == "old-subscriptions"
    new = ring.vapid_key()
    assert [key.id for key in ring.vapid_keys(old.id)] == [old.id, new.id]
    assert [key.id for key in ring.vapid_keys(new.id)] == [new.id, old.id]
    assert ring.vapid_keys(old.id)[0].public != new.public
    assert len(from_base64(new.public.replace("-", "+").replace("_", "/"))) == 65
    assert KeyRing(ring.secrets.retired(old.id, NOW), lambda: NOW).vapid_keys(old.id) == []


def test_ring_of_an_earlier_release_without_its_current_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    path.touch(0o600)
    for damage in ({"current": "s3"}, {"tokens": []}, {"storage": []}):
        path.write_text(json.dumps(first_layout() | damage))
        with pytest.raises(KeyRingError, match="damaged"):
            KeyRing.load(path)


# --- the master key -------------------------------------------------------------------------------


def test_master_key_seals_the_file(tmp_path: Path, ring: KeyRing) -> None:
    path, master = tmp_path / "keyring.json", lambda: b"m" * 32
    ring.save(path, master)
    content = path.read_bytes()
    for key in ring.secrets.keys:
        assert base64.b64encode(key.secret) not in content
        assert key.id.encode() not in content
    assert KeyRing.load(path, master).secrets == ring.secrets
    with pytest.raises(KeyRingError, match="sealed by a master key"):
        KeyRing.load(path)


@pytest.mark.attack("key ring of another master key")
def test_other_master_key_is_refused(tmp_path: Path, ring: KeyRing) -> None:
    path = tmp_path / "keyring.json"
    ring.save(path, lambda: b"m" * 32)
    with pytest.raises(KeyRingError, match="another master key"):
        KeyRing.load(path, lambda: b"n" * 32)


@pytest.mark.attack("unsealed key ring put in place of a sealed one")
def test_unsealed_ring_is_refused_where_there_is_a_master_key(tmp_path: Path, ring: KeyRing) -> None:
    path = tmp_path / "keyring.json"
    ring.save(path)
    with pytest.raises(KeyRingError, match="not sealed"):
        KeyRing.load(path, lambda: b"m" * 32)


@pytest.mark.attack("altered sealed key ring")
def test_altered_sealed_ring_is_refused(tmp_path: Path, ring: KeyRing) -> None:
    path, master = tmp_path / "keyring.json", lambda: b"m" * 32
    ring.save(path, master)
    envelope = json.loads(path.read_bytes())
    sealed = base64.b64decode(envelope["sealed"])
    for at in (0, 30, len(sealed) - 1):
        altered = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        path.write_text(json.dumps(envelope | {"sealed": base64.b64encode(altered).decode()}))
        with pytest.raises(KeyRingError, match="altered"):
            KeyRing.load(path, master)


@pytest.mark.parametrize("text", ["", "short", "x" * 44, "ab" * 31, "é" * 32])
def test_master_key_has_32_bytes(text: str) -> None:
    key = secrets.token_bytes(32)
    for good in (
        key.hex(),
        base64.b64encode(key).decode() + "\n",
        base64.b64encode(key).decode().rstrip("="),
    ):
        assert master_from(good, "a test") == key
    with pytest.raises(KeyRingError, match="openssl rand"):
        master_from(text, "a test")


# --- the file changes -----------------------------------------------------------------------------


def test_change_is_taken_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    ring = make(path)
    assert not ring.changed
    RingFile(path).change(lambda content: content.rotated(["storage"], NOW))
    assert ring.changed
    ring.reload()
    assert not ring.changed
    assert ring.secrets.serial == 2


@pytest.mark.attack("rollback of the key ring to an older copy")
def test_older_ring_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    make(path)
    older = path.read_bytes()
    RingFile(path).change(lambda content: content.rotated(["token"], NOW))
    ring = KeyRing.load(path)
    path.write_bytes(older)
    with pytest.raises(KeyRingError, match="older one"):
        ring.reload()
    assert ring.secrets.serial == 2, "it stays as it was"


@pytest.mark.attack("key ring of another installation")
def test_ring_of_another_installation_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    ring = make(path)
    KeyRing(fresh_secrets(NOW)).save(path)
    with pytest.raises(KeyRingError, match="another installation"):
        ring.reload()


@pytest.mark.attack("retired key brought back by an old copy of the key ring")
def test_retired_key_does_not_come_back(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    first = make(path).sealing_key
    file = RingFile(path)
    file.change(lambda content: content.rotated(["storage"], NOW))
    older = file.read()
    file.change(lambda content: content.retired(first, NOW))
    ring = KeyRing.load(path)
    file.write(structs.replace(older, serial=9))
    with pytest.raises(KeyRingError, match="older one"):
        ring.reload()


def test_changes_of_many_processes_at_once_lose_no_key(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    make(path)
    with ThreadPoolExecutor(8) as pool:
        changes = [
            pool.submit(RingFile(path).change, lambda ring: ring.rotated(["token"], NOW)) for _ in range(8)
        ]
        assert len([change.result() for change in changes]) == 8
    ring = KeyRing.load(path).secrets
    assert (ring.serial, len(ring.keys)) == (9, 6 + 8)


def test_change_that_would_lose_a_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    make(path)
    content = path.read_bytes()
    with pytest.raises(KeyRingError, match="would lack"):
        RingFile(path).change(lambda ring: structs.replace(ring, keys=ring.keys[1:]))
    assert path.read_bytes() == content


def test_failed_write_leaves_the_old_file(ring: KeyRing, tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    ring.save(path)
    content = path.read_bytes()
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="denied"):
        KeyRing(fresh_secrets(NOW)).save(path)
    tmp_path.chmod(0o700)
    assert path.read_bytes() == content


# --- sealed values --------------------------------------------------------------------------------


def data_key(ring: KeyRing, user: str = "u1") -> DataKey:
    return DataKey.open(ring, user, new_data_key(ring, user))


def test_seal_and_unseal(ring: KeyRing) -> None:
    key = data_key(ring)
    sealed = key.seal(*PLACE, "+46 70 é")
    assert key.unseal(*PLACE, sealed) == "+46 70 é"
    assert b"+46" not in sealed
    assert key.seal(*PLACE, "+46 70 é") != sealed


@pytest.mark.attack(
    "move a sealed value to another row or field of the store",
    "its place is authenticated along",
)
@pytest.mark.parametrize(
    "place", [("devices", "u1", "phone"), ("users", "u2", "phone"), ("users", "u1", "email")]
)
def test_moved_value_does_not_open(ring: KeyRing, place: tuple[str, str, str]) -> None:
    key = data_key(ring)
    with pytest.raises(SealBroken, match="altered or moved"):
        key.unseal(*place, key.seal(*PLACE, "x"))
    with pytest.raises(SealBroken, match="altered or moved"):
        ring.unseal(*place, ring.seal(*PLACE, "x"))


@pytest.mark.attack("sealed value moved to another user")
def test_value_of_another_user_does_not_open(ring: KeyRing) -> None:
    with pytest.raises(SealBroken, match="altered or moved"):
        data_key(ring).unseal(*PLACE, data_key(ring).seal(*PLACE, "x"))


@pytest.mark.attack("data keys of two users swapped")
def test_swapped_data_key_does_not_open(ring: KeyRing) -> None:
    with pytest.raises(SealBroken, match="altered or moved"):
        DataKey.open(ring, "u2", new_data_key(ring, "u1"))


@pytest.mark.attack("change a sealed value in the store", "XChaCha20-Poly1305's tag")
def test_every_altered_byte_is_noticed(ring: KeyRing) -> None:
    key = data_key(ring)
    for sealed in (key.seal(*PLACE, "x"), ring.seal(*PLACE, "x")):
        for at in range(len(sealed)):
            with pytest.raises(SealBroken):
                key.unseal(*PLACE, sealed[:at] + bytes([sealed[at] ^ 0x80]) + sealed[at + 1 :])
        for end in range(len(sealed)):
            with pytest.raises(SealBroken):
                key.unseal(*PLACE, sealed[:end])


@pytest.mark.attack("unsealed value put in place of a sealed one")
def test_unsealed_value_is_read_only_until_everything_is_sealed(ring: KeyRing) -> None:
    with pytest.raises(SealBroken, match="not a sealed one"):
        data_key(ring).unseal(*PLACE, "in the clear")
    lenient = KeyRing(structs.replace(ring.secrets, lenient=True))
    assert data_key(lenient).unseal(*PLACE, "in the clear") == "in the clear"


def test_value_of_an_erased_user_does_not_open(ring: KeyRing) -> None:
    sealed = data_key(ring).seal(*PLACE, "x")
    gone = DataKey(ring, None)
    assert gone.is_lost(sealed)
    with pytest.raises(SealBroken, match="erased"):
        gone.unseal(*PLACE, sealed)
    with pytest.raises(SealBroken, match="no data key"):
        gone.seal(*PLACE, "x")
    assert gone.unseal(*PLACE, ring.seal(*PLACE, "of an earlier release")) == "of an earlier release"


def test_rotation_keeps_old_values_readable(ring: KeyRing) -> None:
    row = new_data_key(ring, "u1")
    sealed = DataKey.open(ring, "u1", row).seal(*PLACE, "x")
    rotated = KeyRing(ring.secrets.rotated(["storage"], NOW), lambda: NOW)
    assert DataKey.open(rotated, "u1", row).unseal(*PLACE, sealed) == "x"
    assert rotated.sealing_key != ring.sealing_key
    with pytest.raises(SealBroken, match="not in the key ring"):
        DataKey.open(ring, "u1", new_data_key(rotated, "u1"))


@pytest.mark.attack("data key sealed by a retired storage key put back")
def test_retired_key_opens_nothing(ring: KeyRing) -> None:
    row = new_data_key(ring, "u1")
    rotated = ring.secrets.rotated(["storage"], NOW)
    retired = KeyRing(rotated.retired(ring.sealing_key, NOW), lambda: NOW)
    with pytest.raises(SealBroken, match="not in the key ring"):
        DataKey.open(retired, "u1", row)


def test_blind_index(ring: KeyRing) -> None:
    assert ring.blind("phone", "x") == ring.blind("phone", "x")
    assert ring.blind("phone", "x") != ring.blind("email", "x")
    assert ring.blind("phone", "x") != ring.blind("phone", "y")
    assert ring.blind("phone", "x") != KeyRing(fresh_secrets(NOW)).blind("phone", "x")


def test_both_indexes_are_looked_up_while_the_key_changes(ring: KeyRing) -> None:
    time = Time()
    changing = KeyRing(ring.secrets.rotated(["index"], NOW, in_ms=10), time)
    before = changing.blind("phone", "x")
    time.now += 10
    after = changing.blind("phone", "x")
    assert before == ring.blind("phone", "x") != after
    assert set(changing.blinds("phone", "x")) == {before, after}
    assert changing.blinded_by("phone", "x", after) == [changing.indexing_key]
    assert changing.blinded_by("phone", "x", b"of no key of ours") == []


def test_public_key_verifies_what_the_signing_key_signs(ring: KeyRing) -> None:
    [jwk] = ring.public_jwks()["keys"]
    signed = SigningKey(ring.signing_key().secret).sign(b"token")
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
    shown = repr((ring, ring.secrets, ring.secrets.keys))
    assert ring.secrets.installation in shown
    for key in ring.secrets.keys:
        assert str(key.secret)[2:-1] not in shown
    assert msgspec.json.encode(ring.secrets).count(b"secret") == 6, "the file does have them"
