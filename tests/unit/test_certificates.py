"""`roost certs`: what it makes, what each certificate is good for, and what it refuses."""

import datetime as dt
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from cluster.certificates import Authority, CertificateError, Purpose, held
from cluster.certificates.authority import places_of, purpose_of
from roost.cli import command_line
from tests.certificates import NOW

DAY = dt.timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "certs", "chat.example.org", NOW)


def usages(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def verifier(ca: x509.Certificate, when: dt.datetime = NOW) -> verification.PolicyBuilder:
    return verification.PolicyBuilder().store(verification.Store([ca])).time(when.replace(tzinfo=None))


def test_a_nodes_certificate_is_valid_to_another_implementation(
    authority: Authority,
) -> None:
    made = authority.issue("node", ["10.0.0.11", "node-1.internal"], Purpose.NODE, NOW)
    builder = verifier(authority.certificate)
    builder.build_server_verifier(x509.DNSName("node-1.internal")).verify(made, [])
    builder.build_client_verifier().verify(made, [])
    assert places_of(made) == ["node-1.internal", "localhost", "10.0.0.11", "127.0.0.1", "::1"]
    with pytest.raises(verification.VerificationError):
        builder.build_server_verifier(x509.DNSName("node-2.internal")).verify(made, [])


@pytest.mark.parametrize(
    ("purpose", "wanted"),
    [
        (Purpose.NODE, {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}),
        (Purpose.SERVER, {ExtendedKeyUsageOID.SERVER_AUTH}),
        (Purpose.CLIENT, {ExtendedKeyUsageOID.CLIENT_AUTH}),
    ],
)
def test_a_certificate_is_for_one_purpose(authority: Authority, purpose: Purpose, wanted: Any) -> None:
    made = authority.issue("one", ["10.0.0.11"], purpose, NOW)
    assert usages(made) == wanted
    assert purpose_of(made) is purpose
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_ca_can_issue_no_further_ca_and_proves_nothing_itself(authority: Authority) -> None:
    found = authority.certificate.extensions
    assert found.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(
        ca=True, path_length=0
    )
    usage = found.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature


def test_lifetimes(authority: Authority) -> None:
    made = authority.issue("node", ["10.0.0.11"], Purpose.NODE, NOW)
    assert made.not_valid_after_utc - NOW == 90 * DAY
    assert made.not_valid_before_utc < NOW, "a node's clock may be behind"
    assert authority.certificate.not_valid_after_utc - NOW == 3650 * DAY
    late = NOW + 3600 * DAY
    last = authority.issue("late", ["10.0.0.11"], Purpose.NODE, late)
    assert last.not_valid_after_utc == authority.certificate.not_valid_after_utc
    with pytest.raises(CertificateError, match="ended on"):
        authority.issue("later", ["10.0.0.11"], Purpose.NODE, NOW + 3651 * DAY)


@pytest.mark.attack("private keys of certificates read by another user of the machine")
def test_keys_are_their_owners_alone(authority: Authority, tmp_path: Path) -> None:
    authority.issue("node", ["10.0.0.11"], Purpose.NODE, NOW)
    folder = tmp_path / "certs"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    keys = [*folder.glob("*.key")]
    assert len(keys) == 2
    assert {stat.S_IMODE(each.stat().st_mode) for each in keys} == {0o600}
    assert {each.suffix for each in folder.iterdir()} == {".crt", ".key"}, "no drafts are left"


def test_a_renewed_certificate_is_for_the_same_with_another_key(authority: Authority) -> None:
    old = authority.issue("gateway", ["chat.example.org", "10.0.0.11"], Purpose.SERVER, NOW)
    new = authority.renew("gateway", NOW + 60 * DAY)
    assert (places_of(new), purpose_of(new)) == (places_of(old), purpose_of(old))
    assert new.not_valid_after_utc == NOW + 150 * DAY
    assert new.public_key() != old.public_key()
    assert new.serial_number != old.serial_number


def test_a_certificate_of_another_ca_is_not_renewed(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other", "chat.example.org", NOW)
    other.issue("node", ["10.0.0.11"], Purpose.NODE, NOW)
    (tmp_path / "certs" / "node.crt").write_bytes((tmp_path / "other" / "node.crt").read_bytes())
    with pytest.raises(CertificateError, match="not issued by"):
        authority.renew("node", NOW)


@pytest.mark.parametrize(
    ("name", "places", "why"),
    [
        ("ca", ["10.0.0.11"], "no name for files"),
        ("../node", ["10.0.0.11"], "no name for files"),
        ("", ["10.0.0.11"], "no name for files"),
        ("node", [], "give one"),
        ("node", ["10.0.0.11:9000"], "no port"),
        ("node", ["https://chat.example.org"], "neither a host name"),
        ("node", ["bücher.example"], "xn--"),
        ("node", ["a b"], "neither a host name"),
        ("node", ["*"], "neither a host name"),
        ("node", [f"{'x' * 64}.example"], "neither a host name"),
        ("node", [".".join(["x" * 60] * 5)], "neither a host name"),
    ],
)
def test_what_is_no_name_is_refused(authority: Authority, name: str, places: list[str], why: str) -> None:
    with pytest.raises(CertificateError, match=why):
        authority.issue(name, places, Purpose.NODE, NOW)


@pytest.mark.attack("a CA's private key left open to others")
def test_a_ca_whose_key_others_can_read_is_not_used(authority: Authority, tmp_path: Path) -> None:
    del authority
    (tmp_path / "certs" / "ca.key").chmod(0o640)
    with pytest.raises(CertificateError, match="chmod 600"):
        Authority.load(tmp_path / "certs")


def test_the_list_says_how_many_days_are_left(authority: Authority, tmp_path: Path) -> None:
    authority.issue("node", ["10.0.0.11"], Purpose.NODE, NOW)
    (tmp_path / "certs" / "strange.crt").write_bytes((tmp_path / "certs" / "ca.crt").read_bytes())
    rows = {each.name: each for each in held(tmp_path / "certs", NOW + 91 * DAY)}
    assert list(rows) == ["ca", "node", "strange"]
    assert (rows["ca"].purpose, rows["node"].purpose, rows["strange"].purpose) == ("ca", "node", "other")
    assert rows["node"].days_left == -1


# --- the verb -------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)

    def ran(*words: str) -> tuple[int, str]:
        code = command_line.main(["certs", *words])
        out = capsys.readouterr()
        return code, out.out + out.err

    return ran


def test_the_verb_says_what_comes_next(run: Any, tmp_path: Path) -> None:
    code, said = run("init", "--name", "chat.example.org")
    assert code == 0
    assert "roost certs issue node ADDRESS" in said
    code, said = run("issue", "node", "10.0.0.11", "10.0.0.12")
    assert code == 0
    for variable in ("ROOST_NODE__CA", "ROOST_NODE__CERTIFICATE", "ROOST_NODE__KEY", "RAY_USE_TLS=1"):
        assert variable in said
    assert str(tmp_path / "certs/node.key") in said
    assert "ROOST_TLS__CERTIFICATE" in run("issue", "gateway", "chat.example.org", "--for", "server")[1]
    assert "deploy/prometheus/prometheus.yml" in run("issue", "prometheus", "--for", "client")[1]
    assert run("renew") == (0, "None of 3 certificates ends within 30 days.\n")
    code, said = run("renew", "--before", "91", "--days", "10")
    assert code == 0
    assert said.count("until") == 3
    found = {each["name"]: each for each in json.loads(run("show", "--json")[1])}
    assert found["node"]["days_left"] in (9, 10)
    assert "days left" in run("show")[1]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["issue", "node", "10.0.0.11"], "roost certs init"),
        (["renew"], "roost certs init"),
        (["show"], "roost certs init"),
        (["init", "--dir", "/proc/none"], "cannot be used"),
    ],
)
def test_what_is_missing_is_named(run: Any, words: list[str], why: str) -> None:
    code, said = run(*words)
    assert code != 0
    assert why in said


def test_nothing_is_replaced_by_chance(run: Any, tmp_path: Path) -> None:
    run("init")
    run("issue", "node", "10.0.0.11")
    before = {path: path.read_bytes() for path in (tmp_path / "certs").iterdir()}
    code, said = run("init")
    assert (code, "--dir" in said) == (2, True)
    code, said = run("issue", "node", "10.0.0.12")
    assert (code, "roost certs renew node" in said) == (2, True)
    assert {path: path.read_bytes() for path in (tmp_path / "certs").iterdir()} == before
