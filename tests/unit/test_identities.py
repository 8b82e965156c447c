"""Pinned identities: whatever a server says of people and their devices is shown or refused."""

import copy
from typing import Any

import pytest

from roost.client.core.directory import Directory
from roost.client.events import KeyChanged
from roost.client.state import Pin, PinnedIdentity
from roost.cross_signing import PublishedIdentity, is_cross_signed, verify_identity, with_signature
from roost.crypto.identity import IdentitySecrets
from roost.crypto.keys import DeviceSecrets, device_keys
from roost.signing import MAX_BUNDLE
from roost.wire import unpadded

BOB, MALLORY = IdentitySecrets(b"b" * 32), IdentitySecrets(b"m" * 32)
PHONE, TABLET, GHOST = (DeviceSecrets.from_random(bytes([n]) * 64) for n in (1, 2, 3))
ADDRESS = "@bob:here"


def published(
    by: IdentitySecrets = BOB, device: str = "PHONE", of: DeviceSecrets = PHONE
) -> PublishedIdentity:
    return PublishedIdentity(by.master_key(ADDRESS, device, of), by.self_signing_key(ADDRESS))


def bundle(name: str, secrets: DeviceSecrets, by: IdentitySecrets | None = BOB) -> dict[str, Any]:
    made = device_keys(ADDRESS, name, secrets)
    return made if by is None else by.sign_device(made, ADDRESS)


class World:
    """Alice's view of Bob."""

    def __init__(self, *, hold: bool = True) -> None:
        self.pins: dict[str, dict[str, Pin]] = {}
        self.kept: dict[str, PinnedIdentity] = {}
        self.known = Directory("here", self.pins, self.kept, hold_new=hold)

    def learn(
        self, identity: PublishedIdentity | None = None, **bundles: dict[str, Any]
    ) -> list[tuple[str, str, bool, bool]]:
        """Learn, and return what is told: device, change, confirmed, held."""
        told = self.known.learn("bob", bundles, identity)
        assert all(isinstance(each, KeyChanged) and each.peer == "bob" for each in told)
        return [(each.device, each.change, each.confirmed, each.held) for each in told]

    @property
    def doubt(self) -> bool:
        return self.known.in_doubt("bob")

    def met(self) -> "World":
        """Bob was seen with his phone, and his safety number was compared."""
        assert self.learn(published(), PHONE=bundle("PHONE", PHONE)) == []
        self.known.identities.verify("bob")
        return self


def test_a_device_that_the_pinned_identity_signed_is_confirmed() -> None:
    world = World().met()
    assert world.known.is_confirmed("bob", "PHONE")
    both = {"PHONE": bundle("PHONE", PHONE), "TABLET": bundle("TABLET", TABLET)}
    assert world.learn(published(), **both) == [("TABLET", "added", True, False)]
    assert not world.doubt
    assert world.learn(published(), **both) == []
    assert world.known.identities.is_verified("bob")


@pytest.mark.attack(
    "add a device to a person who has an identity", "it is not signed by it: told so, and held by setting"
)
@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize("by", [None, MALLORY], ids=["unsigned", "signed-by-another"])
def test_a_device_of_the_servers_is_told_as_not_confirmed(hold: bool, by: IdentitySecrets | None) -> None:  # noqa: FBT001
    world = World(hold=hold).met()
    ghost = {"PHONE": bundle("PHONE", PHONE), "GHOST": bundle("GHOST", GHOST, by)}
    assert world.learn(published(), **ghost) == [("GHOST", "added", False, hold)]
    assert world.doubt == hold
    assert not world.known.is_confirmed("bob", "GHOST")
    assert world.learn(published(), **ghost) == []
    ghost["GHOST"] = bundle("GHOST", GHOST)  # Bob has linked it
    assert world.learn(published(), **ghost) == [("GHOST", "confirmed", True, False)]
    assert not world.doubt


@pytest.mark.attack(
    "have a device of one's own there from the first sight on", "the identity has not signed it"
)
def test_a_device_that_is_not_signed_is_told_at_first_sight() -> None:
    world = World()
    both = {"PHONE": bundle("PHONE", PHONE), "GHOST": bundle("GHOST", GHOST, None)}
    assert world.learn(published(), **both) == [("GHOST", "added", False, True)]
    assert world.doubt
    world.known.trust("bob")
    assert not world.doubt
    assert world.learn(published(), **both) == []
    assert not world.known.is_confirmed("bob", "GHOST")


@pytest.mark.attack(
    "replace a person's identity", "told loudly, nothing is sent, and the verified mark is gone"
)
def test_another_identity_is_told_once_and_never_used_unasked() -> None:
    world = World(hold=False).met()
    other = published(MALLORY, "GHOST", GHOST)
    ghost = {"PHONE": bundle("PHONE", PHONE), "GHOST": bundle("GHOST", GHOST, MALLORY)}
    told = world.known.learn("bob", ghost, other)
    assert [(each.device, each.change, each.held) for each in told] == [
        ("", "identity", True),
        ("GHOST", "added", False),
    ]
    assert told[0].fingerprint == unpadded(MALLORY.public.master)
    assert world.doubt
    assert not world.known.identities.is_verified("bob")
    assert world.learn(other, **ghost) == []
    assert world.learn(published(), **ghost) == []
    assert not world.doubt, "the pinned one is back"
    assert not world.known.identities.is_verified("bob"), "and the mark stays away"
    world.learn(other, **ghost)
    with pytest.raises(ValueError, match="changed"):
        world.known.identities.verify("bob")
    world.known.trust("bob")
    assert not world.doubt
    assert world.learn(other, **ghost) == [
        ("PHONE", "unconfirmed", False, False),
        ("GHOST", "confirmed", True, False),
    ]
    world.known.identities.verify("bob")
    assert world.known.identities.is_verified("bob")


def test_an_identity_that_a_known_device_vouches_for_is_pinned_silently() -> None:
    world = World()
    assert world.learn(PHONE=bundle("PHONE", PHONE, None), TABLET=bundle("TABLET", TABLET, None)) == []
    both = {"PHONE": bundle("PHONE", PHONE), "TABLET": bundle("TABLET", TABLET, None)}
    assert world.learn(published(), **both) == [("PHONE", "confirmed", True, False)]
    assert not world.doubt, "devices of before are as they were"


@pytest.mark.attack(
    "give an identity to a person who is known without one", "a known device has to have signed it"
)
def test_an_identity_that_no_known_device_vouches_for_is_told() -> None:
    world = World()
    world.learn(PHONE=bundle("PHONE", PHONE, None))
    for forged in (published(MALLORY, "GHOST", GHOST), published(MALLORY, "PHONE", GHOST)):
        again = World()
        again.learn(PHONE=bundle("PHONE", PHONE, None))
        assert again.learn(forged, PHONE=bundle("PHONE", PHONE, MALLORY)) == [("", "identity", False, True)]
        assert again.doubt
        assert again.known.identities.keys("bob") is None
        assert not again.known.is_confirmed("bob", "PHONE")


@pytest.mark.attack("replay an older self-signing key of a person", "its generation is lower: it is ignored")
def test_an_older_self_signing_key_is_of_no_use() -> None:
    world, later = World().met(), IdentitySecrets(BOB.master, 2)
    both = {"PHONE": bundle("PHONE", PHONE), "TABLET": bundle("TABLET", TABLET)}
    world.learn(published(), **both)
    # Bob has removed his tablet, and the server keeps that back with the device, not with the key ...
    withheld = {"PHONE": bundle("PHONE", PHONE, later), "TABLET": bundle("TABLET", TABLET)}
    assert world.learn(published(later), **withheld) == [("TABLET", "unconfirmed", False, True)]
    assert world.doubt
    assert world.known.identities.is_verified("bob"), "Bob is who he was"
    # ... and then puts everything back to what it was.
    assert world.learn(published(), **both) == [("PHONE", "unconfirmed", False, True)]
    assert world.known.identities.keys("bob").generation == 2  # type: ignore[union-attr]


@pytest.mark.attack(
    "withhold a person's identity", "what is pinned stays, and what it has not signed is told"
)
def test_an_identity_that_is_withheld_still_counts() -> None:
    world = World().met()
    assert world.learn(PHONE=bundle("PHONE", PHONE)) == []
    assert world.learn(PHONE=bundle("PHONE", PHONE), GHOST=bundle("GHOST", GHOST, None)) == [
        ("GHOST", "added", False, True)
    ]
    assert world.known.identities.is_verified("bob")


def odd(identity: PublishedIdentity, of: str, **changes: Any) -> PublishedIdentity:
    parts = {"master_key": identity.master_key, "self_signing_key": identity.self_signing_key}
    return PublishedIdentity(**parts | {of: copy.deepcopy(parts[of]) | changes})


@pytest.mark.attack("hand out an identity whose signatures do not hold", "the client verifies them")
@pytest.mark.parametrize(
    "forged",
    [
        odd(published(), "self_signing_key", keys=MALLORY.self_signing_key(ADDRESS)["keys"]),
        odd(published(), "self_signing_key", generation=7),
        odd(published(), "self_signing_key", signatures={}),
        odd(published(), "self_signing_key", user_id="@mallory:here"),
        odd(published(), "master_key", keys=MALLORY.master_key(ADDRESS, "PHONE", PHONE)["keys"]),
        odd(published(), "master_key", usage=["self_signing"]),
        PublishedIdentity(published().self_signing_key, published().master_key),
        PublishedIdentity("x", {"y": [{}]}),
        PublishedIdentity(None, None),
    ],
)
def test_a_forged_identity_is_not_pinned(forged: PublishedIdentity) -> None:
    world = World()
    assert world.learn(forged, PHONE=bundle("PHONE", PHONE)) == [("", "invalid", False, False)]
    assert world.known.identities.keys("bob") is None


def test_the_server_and_the_client_read_the_same_objects() -> None:
    found = published()
    assert verify_identity(found.master_key, found.self_signing_key, ADDRESS) == BOB.public
    signed = bundle("PHONE", PHONE)
    (by,) = set(signed["signatures"][ADDRESS]) - {"ed25519:PHONE"}
    plain = bundle("PHONE", PHONE, None)
    assert with_signature(plain, ADDRESS, by, signed["signatures"][ADDRESS][by]) == signed
    with pytest.raises(ValueError, match="bytes"):
        with_signature(plain, ADDRESS, by, "x" * MAX_BUNDLE)
    assert not is_cross_signed(signed, "@alice:here", BOB.public.self_signing)
    without_generation = {name: v for name, v in found.self_signing_key.items() if name != "generation"}
    with pytest.raises(ValueError, match="signature"):
        verify_identity(found.master_key, without_generation, ADDRESS)
