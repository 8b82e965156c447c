"""Nothing of ours listens beyond this machine in the clear, unless a setting named for it says so."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from cluster.certificates import Purpose
from cluster.cli.join import _lacks
from cluster.doctor.cleartext import cleartext, is_loopback
from cluster.doctor.start import wrong_here
from cluster.settings import Settings, SettingsInvalid
from tests.certificates import NOW, Issued

OPEN: dict[str, dict[str, Any]] = {
    "HTTP": {"http": {"host": "0.0.0.0"}},
    "CLUSTER": {"cluster": {"listen": "10.0.0.11"}},
    "TELEMETRY": {"telemetry": {"metrics_host": "::"}},
}


def given(tmp_path: Path, changes: dict[str, Any]) -> Settings:
    return Settings.model_validate({"data": tmp_path / "data", **changes})


@pytest.mark.attack("a downgrade to cleartext beyond loopback, by settings")
@pytest.mark.parametrize("group", OPEN)
def test_a_listener_beyond_loopback_is_refused_with_what_mends_it(tmp_path: Path, group: str) -> None:
    refusal = wrong_here(given(tmp_path, OPEN[group]))
    assert refusal is not None
    assert refusal.code == 2
    assert f"ROOST_{group}__INSECURE=true" in refusal.sentence
    assert "roost certs init" in refusal.sentence


@pytest.mark.parametrize("group", OPEN)
def test_a_setting_allows_it(tmp_path: Path, group: str) -> None:
    [(name, values)] = OPEN[group].items()
    assert wrong_here(given(tmp_path, {name: {**values, "insecure": True}})) is None
    assert [*cleartext(given(tmp_path, {name: values | {"insecure": False}}))]


def test_each_setting_allows_its_own_listener_only(tmp_path: Path) -> None:
    every = {name: values for each in OPEN.values() for name, values in each.items()}
    for name, values in every.items():
        changed = every | {name: {**values, "insecure": True}}
        assert len([*cleartext(given(tmp_path, changed))]) == 2


def test_certificates_allow_it(tmp_path: Path) -> None:
    issued = Issued(tmp_path / "certs")
    certificate, key = issued.pair("node", "10.0.0.11")
    every: dict[str, Any] = {name: values for each in OPEN.values() for name, values in each.items()}
    every["tls"] = {"certificate": certificate, "key": key}
    every["node"] = {"ca": issued.ca, "certificate": certificate, "key": key}
    assert [*cleartext(given(tmp_path, every))] == []
    assert wrong_here(given(tmp_path, every)) is None


def test_loopback_needs_nothing(tmp_path: Path) -> None:
    assert [*cleartext(given(tmp_path, {}))] == []
    alone = {"cluster": {"address": "127.0.0.1:6379"}}
    assert [*cleartext(given(tmp_path, alone))] == []


@pytest.mark.attack("a downgrade to cleartext beyond loopback, by settings: a cluster needs certificates")
@pytest.mark.parametrize("address", ["auto", "10.0.0.11:6379"])
def test_a_cluster_needs_certificates(tmp_path: Path, address: str) -> None:
    changes = {"cluster": {"address": address, "listen": "node"}}
    assert any("ROOST_CLUSTER__INSECURE" in each for each in _lacks(given(tmp_path, changes)))
    changes["cluster"]["insecure"] = "true"
    assert not any("INSECURE" in each for each in _lacks(given(tmp_path, changes)))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("node", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_what_counts_as_loopback(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("missing", ["ca", "certificate", "key"])
def test_a_node_has_all_of_its_certificate_or_none(tmp_path: Path, missing: str) -> None:
    node = {name: tmp_path / name for name in ("ca", "certificate", "key") if name != missing}
    with pytest.raises(SettingsInvalid, match="set the three, or none"):
        Settings.load({"node": node})


@pytest.mark.attack("a node started with a certificate for something else")
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("purpose", "is for a server"),
        ("ca", "is not of the CA"),
        ("key", "cannot be used"),
        ("expired", "not valid now"),
        ("away", "cannot be used"),
    ],
)
def test_a_node_certificate_that_cannot_work_is_refused_at_the_start(
    tmp_path: Path, spoil: str, why: str
) -> None:
    issued, other = Issued(tmp_path / "certs"), Issued(tmp_path / "other")
    purpose = Purpose.SERVER if spoil == "purpose" else Purpose.NODE
    now = NOW - dt.timedelta(days=91) if spoil == "expired" else NOW
    certificate, key = issued.pair("node", "10.0.0.11", purpose=purpose, now=now)
    node = {"ca": issued.ca, "certificate": certificate, "key": key}
    node |= {"ca": other.ca} if spoil == "ca" else {}
    node |= {"key": other.pair("node", "10.0.0.11")[1]} if spoil == "key" else {}
    node |= {"certificate": tmp_path / "nowhere"} if spoil == "away" else {}
    refusal = wrong_here(given(tmp_path, {"node": node}))
    assert refusal is not None
    assert why in refusal.sentence
