"""What another user of the machine has put there is not believed."""

import argparse
import datetime as dt
import os
import re
import tempfile
from pathlib import Path

import pytest

from cluster import key_ring
from cluster.certificates.authority import Authority, Purpose
from cluster.certificates.files import CertificateError
from cluster.cli.lifecycle import up
from cluster.cli.running_store import operator_name
from cluster.cli.verbs import found_by
from cluster.doctor import visit
from cluster.folders import of_another
from cluster.settings import Settings, SettingsInvalid
from roost.cli.terminal import BAD_USAGE
from roost.clock import now_ms
from roost.owners import name_of, stranger
from storage.keyring import KeyRingError

OTHER = 65534

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to another user")


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, OTHER, OTHER)
    return data


@pytest.mark.attack(
    "leave settings in a folder where root runs a command", "a roost.toml of another user is refused"
)
def test_settings_of_another_user_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "roost.toml"
    file.write_text('[keyring]\nmaster_command = "touch /pwned"\n')
    assert Settings.load().keyring.master_command == "touch /pwned"
    os.chown(file, OTHER, OTHER)
    with pytest.raises(SettingsInvalid, match=f"{file} belongs to the user {name_of(OTHER)}"):
        Settings.load()


def test_a_link_of_another_user_is_theirs_wherever_it_leads(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("shards = 8\n")
    link = tmp_path / "roost.toml"
    link.symlink_to(tmp_path / "own.toml")
    assert Settings.load().shards == 8
    os.chown(link, OTHER, OTHER, follow_symlinks=False)
    with pytest.raises(SettingsInvalid, match="belongs to the user"):
        Settings.load()


@pytest.mark.attack("write into settings that everyone can write", "such a roost.toml is refused")
def test_settings_that_everyone_can_write_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "roost.toml"
    file.write_text("shards = 8\n")
    file.chmod(0o664)
    assert Settings.load().shards == 8
    file.chmod(0o666)
    with pytest.raises(SettingsInvalid, match=f"chmod o-w {file}"):
        Settings.load()


@pytest.mark.attack(
    "leave a data folder that names processes and a Ray of one's own", "verbs refuse another user's folder"
)
def test_verbs_refuse_the_data_folder_of_another_user(theirs: Path) -> None:
    args = argparse.Namespace(data=str(theirs), address=None)
    with pytest.raises(SettingsInvalid, match=f"{theirs} belongs to the user .*Run this as that user"):
        found_by(args)
    os.chown(theirs, 0, 0)
    assert found_by(args).data == theirs


@pytest.mark.attack(
    "leave a CA in a folder where root issues certificates", "a CA of another user is refused"
)
def test_a_ca_of_another_user_issues_nothing(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    Authority.create(tmp_path, "example.org", now).issue("node", ["10.0.0.1"], Purpose.NODE, now)
    for theirs in (tmp_path / "ca.key", tmp_path):
        os.chown(theirs, OTHER, OTHER)
        with pytest.raises(CertificateError, match=f"{theirs} belongs to the user {name_of(OTHER)}"):
            Authority.load(tmp_path)


def test_no_ca_is_made_in_the_folder_of_another_user(theirs: Path) -> None:
    with pytest.raises(CertificateError, match=f"{theirs} belongs to the user"):
        Authority.create(theirs, "example.org", dt.datetime.now(dt.UTC))
    assert list(theirs.iterdir()) == []


def test_who_may_not_look_into_roots_folder_is_told_whose_it_is() -> None:
    with tempfile.TemporaryDirectory() as data:
        assert of_another(Path(data)) is None
        os.seteuid(OTHER)
        try:
            refusal = of_another(Path(data))
        finally:
            os.seteuid(0)
    assert refusal is not None
    assert refusal[0].endswith("belongs to the user root.")


def test_no_system_starts_in_the_data_folder_of_another_user(
    theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    up.add_arguments(parser)
    before = os.umask(0o022)
    try:
        assert up.run(parser.parse_args(["--data", str(theirs), "--port", "0"])) == BAD_USAGE
    finally:
        os.umask(before)
    assert f"{theirs} belongs to the user" in capsys.readouterr().err
    assert list(theirs.iterdir()) == []


async def test_the_doctor_believes_nothing_in_the_data_folder_of_another_user(theirs: Path) -> None:
    findings = await visit.examine(Settings.load({"data": theirs}))
    assert [(each.check, each.state) for each in findings] == [("versions", "ok"), ("data folder", "failed")]


def test_a_key_ring_that_its_owner_could_not_read_afterwards_is_not_replaced(tmp_path: Path) -> None:
    settings = Settings.load({"data": tmp_path})
    key_ring.make(settings)
    file = settings.keyring_file
    before = file.read_bytes()
    os.chown(file, OTHER, OTHER)
    with pytest.raises(KeyRingError, match=f"belongs to the user {name_of(OTHER)}"):
        key_ring.rotate(settings, ["token"], now_ms())
    assert (file.read_bytes(), file.stat().st_uid) == (before, OTHER)


@pytest.mark.attack("put another's name into the audit log by LOGNAME", "the name is that of the user id")
def test_the_audit_log_names_who_runs_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "mallory")
    assert re.fullmatch(f"operator:{name_of(os.getuid())}@.+", operator_name())


def test_a_user_without_a_name_is_a_number(tmp_path: Path) -> None:
    os.chown(tmp_path, 4_000_000, 0)
    assert stranger(tmp_path) == "uid 4000000"
