"""Whose connection it is, and which limiter counts it."""

from collections import Counter
from typing import Any, cast

import pytest
from fastapi import Request

from api.http.dependencies import check_address, network_of
from api.identity.limits import DEFAULTS, Limits
from roost.errors import RoostError, Unavailable


class NoRedis:
    """Each limiter counts in this process."""

    async def take(self, *_: Any, **__: Any) -> float:
        raise Unavailable("Redis is away.")


class Gateway:
    """What of the collaborators the limiters need."""

    def __init__(self) -> None:
        self.limits = Limits(cast("Any", NoRedis()), lambda: 1_795_000_000_000)

    async def accounts(self, *addresses: str) -> Counter[str]:
        """Make an account from each address; returns how it went."""
        went: Counter[str] = Counter()
        for address in addresses:
            try:
                await check_address(cast("Any", self), "accounts_by_address", request(address))
                went["made"] += 1
            except RoostError as exc:
                went[exc.code.word] += 1
        return went


def request(address: str | None) -> Request:
    client = None if address is None else (address, 50_000)
    return Request({"type": "http", "client": client, "headers": []})


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("testclient", "-"),
        (None, "-"),
    ],
)
def test_network(address: str | None, network: str) -> None:
    assert network_of(request(address)) == network


BURST = DEFAULTS["accounts_by_address"].burst


@pytest.mark.attack(
    "make accounts from {row} addresses of one party",
    "a limiter by network, of 64 bits for IPv6",
)
@pytest.mark.asyncio
@pytest.mark.parametrize(
    "addresses",
    [
        ["192.0.2.7"] * 80,
        [f"2001:db8:1:2::{number:x}" for number in range(80)],
        ["::ffff:192.0.2.7", "192.0.2.7"] * 40,
    ],
    ids=["v4", "v6", "mapped"],
)
async def test_eighty_accounts_at_once_from_one_place(addresses: list[str]) -> None:
    assert await Gateway().accounts(*addresses) == {"made": BURST, "rate_limited": 80 - BURST}


@pytest.mark.asyncio
async def test_other_places_and_this_machine_are_counted_apart() -> None:
    gateway = Gateway()
    await gateway.accounts(*["192.0.2.7"] * 80)
    others = ["192.0.2.8", "2001:db8:1:3::1", *["127.0.0.1", "::1", "::ffff:127.0.0.1"] * 100]
    assert await gateway.accounts(*others) == {"made": len(others)}
