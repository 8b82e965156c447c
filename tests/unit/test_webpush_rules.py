"""The pure rules of Web Push: encryption, signature, addresses, answers, places."""

import asyncio
import base64
import socket
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cluster.consumers.provider import Again, PushRefused, Sent, Unregistered, Verdict
from cluster.consumers.webpush.answers import KeyRefused, judge
from cluster.consumers.webpush.authorization import authorization
from cluster.consumers.webpush.connections import AddressRefused, PublicResolver, is_public
from cluster.consumers.webpush.encryption import encrypt
from cluster.consumers.webpush.slots import Slots
from storage.keyring import KeyRing, fresh_secrets
from storage.subscriptions import SubscriptionKeys


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_the_example_of_rfc_8291() -> None:
    """Source: RFC 8291, section 5 and appendix A."""
    own = int.from_bytes(raw("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
    to = SubscriptionKeys.given(
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
        "v1",
    )
    content, salt = b"When I grow up, I want to be a watermelon", raw("DGv6ra1nlYgDCS1FRnbzlw")
    body = encrypt(content, to, ec.derive_private_key(own, ec.SECP256R1()), salt)
    assert body == raw(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"
        "AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_the_signature_says_for_whom_until_when_and_who_is_asked() -> None:
    key = KeyRing(fresh_secrets(0), lambda: 0).vapid_key()
    header = authorization(key, "https://push.example.org", "mailto:ops@example.org", 1_000_000)
    scheme, token, public = header.replace(",", "").split()
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw(public.removeprefix("k=")))
    unchecked = {"verify_exp": False, "verify_aud": False}
    claims = jwt.decode(token.removeprefix("t="), point, ["ES256"], options=unchecked)
    assert scheme == "vapid"
    assert claims == {
        "aud": "https://push.example.org",
        "exp": 1_000 + 12 * 3600,
        "sub": "mailto:ops@example.org",
    }
    assert public == f"k={key.public}"
    assert len(raw(key.public)) == 65


# --- addresses -------------------------------------------------------------------------------------

PUBLIC = ["142.250.74.106", "1.1.1.1", "2a00:1450:4001:830::200a", "64:ff9b::8efa:4a6a", "::ffff:1.1.1.1"]
INSIDE = [
    "127.0.0.1",
    "127.255.0.3",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


def test_addresses_of_the_public_internet() -> None:
    assert [each for each in PUBLIC if not is_public(each)] == []
    assert [each for each in INSIDE if is_public(each)] == []


def leading_to(*addresses: str) -> PublicResolver:
    def look_up(_host: str, port: int, *_: Any) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (each, port, 0, 0))
            if ":" in each
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in addresses
        ]

    return PublicResolver(look_up)


@pytest.mark.attack(
    "name a push service whose name leads into the private network", "its address is looked at"
)
@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    resolver = leading_to("1.1.1.1", address)
    with pytest.raises(AddressRefused, match="not public"):
        await resolver.resolve("push.example.org", 443)
    await resolver.close()


async def test_a_name_that_leads_outside_is_resolved() -> None:
    resolver = leading_to(*PUBLIC)
    found = await resolver.resolve("push.example.org", 443)
    assert [(each["hostname"], each["host"], each["port"]) for each in found] == [
        ("push.example.org", each, 443) for each in PUBLIC
    ]
    await resolver.close()


# --- answers and places ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "verdict"),
    [
        (200, {}, Sent()),
        (201, {}, Sent()),
        (202, {}, Sent()),
        (404, {}, Unregistered()),
        (410, {}, Unregistered()),
        (429, {}, Again(None, "429 why")),
        (429, {"Retry-After": "7"}, Again(7.0, "429 why")),
        (503, {"Retry-After": "Sun, 29 Nov 2026 05:00:00 GMT"}, Again(None, "503 why")),
        (503, {"Retry-After": "-1"}, Again(None, "503 why")),
        (503, {"Retry-After": "٣"}, Again(None, "503 why")),
        (500, {}, Again(None, "500 why")),
        (302, {}, PushRefused("302: it redirects, which is not followed")),
        (400, {}, KeyRefused("400 why (the request is not one that the service takes)")),
        (401, {}, KeyRefused("401 why (the service does not take our VAPID key or subject)")),
        (403, {}, KeyRefused("403 why (the subscription was made with another VAPID key)")),
        (413, {}, PushRefused("413 why (the push is too large)")),
        (418, {}, PushRefused("418 why")),
        (100, {}, PushRefused("100 why")),
    ],
)
def test_the_meaning_of_each_answer(status: int, headers: dict[str, str], verdict: Verdict) -> None:
    assert judge(status, headers, "why") == verdict


@pytest.mark.attack("keep a wake-up waiting for a year with Retry-After", "two minutes are heeded")
def test_advice_is_heeded_within_bounds() -> None:
    assert judge(429, {"Retry-After": "31536000"}, "") == Again(120.0, "429")


async def test_who_waits_for_a_slow_host_takes_no_one_elses_place() -> None:
    slots, served = Slots(3, 2), []
    done = asyncio.Event()

    async def push(host: str) -> None:
        async with slots.of(host):
            served.append(host)
            await done.wait()

    pushing = [asyncio.create_task(push(host)) for host in ("slow",) * 10 + ("other",) * 2]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert served == ["slow", "slow", "other"]
    done.set()
    await asyncio.gather(*pushing)
    assert sorted(served) == ["other"] * 2 + ["slow"] * 10
    assert not slots._hosts, "what no one waits for is forgotten"
