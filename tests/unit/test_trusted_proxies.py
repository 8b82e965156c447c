"""Whose request it is, behind proxies that are trusted and before those that are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.identity.client_address import TrustedProxies, parse_address
from api.server.connection_counts import ConnectionCounts
from cluster.settings import Settings

PROXIES = TrustedProxies(["10.0.0.0/8", "fd00::/8", "127.0.0.1"])
FORWARDED = TrustedProxies(["10.0.0.0/8"], "forwarded")


def seen(
    peer: str | None, *lines: str, proxies: TrustedProxies = PROXIES, name: bytes = b"x-forwarded-for"
) -> str | None:
    return proxies.client_of(peer, [(name, line.encode("latin-1")) for line in lines])


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("::ffff:10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("127.0.0.1", ["192.0.2.7:50000"], "192.0.2.7"),
        ("fd00::1", ["[2001:db8::7]:443"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["192.0.2.7, 10.9.9.9"], "192.0.2.7"),
        ("10.0.0.1", ["192.0.2.7", "10.9.9.9 ,10.8.8.8"], "192.0.2.7"),
        ("10.0.0.1", ["10.7.7.7"], "10.7.7.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("192.0.2.9", [], "192.0.2.9"),
        (None, ["192.0.2.7"], None),
    ],
)
def test_who_it_is(peer: str | None, lines: list[str], client: str | None) -> None:
    assert seen(peer, *lines) == client


@pytest.mark.attack(
    "say that one is another address: {row}", "only what trusted proxies wrote is read, from the end"
)
@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        ("192.0.2.66", ["198.51.100.1"], "192.0.2.66"),
        ("10.0.0.1", ["198.51.100.1, 192.0.2.66"], "192.0.2.66"),
        ("10.0.0.1", ["198.51.100.1", "192.0.2.66"], "192.0.2.66"),
        ("10.0.0.1", ["198.51.100.1, 10.3.3.3, 192.0.2.66, 10.9.9.9"], "192.0.2.66"),
        ("10.0.0.1", ["198.51.100.1, unknown, 10.9.9.9"], "10.9.9.9"),
        ("10.0.0.1", ["198.51.100.1,, 10.9.9.9"], "10.9.9.9"),
    ],
    ids=[
        "no proxy",
        "before a proxy",
        "in a line of its own",
        "as if through proxies",
        "behind rubbish",
        "behind nothing",
    ],
)
def test_what_a_client_says_of_itself_does_not_count(peer: str, lines: list[str], client: str) -> None:
    assert seen(peer, *lines) == client


@pytest.mark.attack(
    "say that one is another address in the header that the proxy does not write", "one header is read"
)
def test_the_header_that_the_proxy_does_not_write_is_the_clients_own() -> None:
    assert seen("10.0.0.1", "for=198.51.100.1", name=b"forwarded") == "10.0.0.1"
    assert seen("10.0.0.1", "198.51.100.1", proxies=FORWARDED) == "10.0.0.1"


@pytest.mark.parametrize(
    ("line", "client"),
    [
        ("for=192.0.2.7", "192.0.2.7"),
        ('For="[2001:db8::7]:443";proto=https', "2001:db8::7"),
        ("proto=https; for=192.0.2.7 ;by=10.0.0.1, for=10.0.0.2", "192.0.2.7"),
        ("for=198.51.100.1, for=_hidden", "10.0.0.1"),
        ("for=198.51.100.1, proto=http", "10.0.0.1"),
        ("before=198.51.100.1", "10.0.0.1"),
    ],
)
def test_the_standards_header(line: str, client: str) -> None:
    assert seen("10.0.0.1", line, proxies=FORWARDED, name=b"forwarded") == client


@given(st.lists(st.text(st.characters(max_codepoint=255))), st.booleans())
def test_nothing_in_a_header_breaks_it_or_comes_out_of_it(lines: list[str], standard: bool) -> None:  # noqa: FBT001
    proxies, name = (FORWARDED, b"forwarded") if standard else (PROXIES, b"x-forwarded-for")
    assert parse_address(seen("10.0.0.1", *lines, proxies=proxies, name=name)) is not None


@pytest.mark.parametrize(
    ("network", "why"),
    [("0.0.0.0/0", "everyone"), ("::/0", "everyone"), ("10.0.0.1/8", "host bits"), ("proxy", "no address")],
)
def test_networks_that_are_none(network: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOST_HTTP__TRUSTED_PROXIES", f'["{network}"]')
    with pytest.raises(Exception, match=why):
        Settings.load()


@pytest.mark.attack("hold all connections of a gateway from one address", "1,000 for each address, then 429")
@pytest.mark.parametrize(
    "addresses",
    [["192.0.2.7"], ["2001:db8::1", "2001:db8::2"], ["::ffff:192.0.2.7", "192.0.2.7"]],
    ids=["v4", "v6", "mapped"],
)
def test_an_address_has_so_many_connections(addresses: list[str]) -> None:
    counts = ConnectionCounts(3, PROXIES)
    keys = [counts.key_of(address) for address in addresses * 4][:4]
    assert [counts.enter(key) for key in keys] == [True, True, True, False]
    assert counts.enter(counts.key_of("192.0.2.8"))
    for key in keys[:2]:
        counts.leave(key)
    assert counts.enter(keys[0])
    assert counts.refused == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", None])
def test_this_machine_and_proxies_are_not_counted(address: str | None) -> None:
    assert ConnectionCounts(3, PROXIES).key_of(address) is None
