import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from cluster.cli.config import reference
from cluster.settings import Settings, SettingsInvalid, url_host, without_password
from cluster.settings.shown import in_force, shown


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ROOST_DATA", "ROOST_KAFKA__URL"):
        monkeypatch.delenv(name, raising=False)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "roost.toml").write_text('server_name = "file"\nshards = 8\n[kafka]\nurl = "file:1"\n')
    monkeypatch.setenv("ROOST_KAFKA__URL", "environment:1")
    monkeypatch.setenv("ROOST_HTTP__PORT", "81")
    settings = Settings.load({"http": {"port": 82}})
    assert (settings.server_name, settings.shards) == ("file", 8)
    assert settings.kafka.url == "environment:1"
    assert settings.http.port == 82


def test_one_field_of_a_limit_can_be_set_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOST_LIMITS__SENDS__RATE", "7")
    sends = Settings.load().limits.sends
    assert (sends.rate, sends.burst) == (7.0, 5_000)


def test_the_variables_of_a_bot_in_the_same_shell_are_not_the_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROOST_SERVER", "http://127.0.0.1:8080")
    monkeypatch.setenv("ROOST_BOT_NAME", "echo")
    assert Settings.load().server_name == "localhost"
    monkeypatch.setenv("ROOST_BOT_NMAE", "echo")
    with pytest.raises(SettingsInvalid, match="ROOST_BOT_NMAE is not a Roost setting"):
        Settings.load()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("ROOST_COLOUR", "red", "The environment variable ROOST_COLOUR is not a Roost setting."),
        ("ROOST_KAFKA__COLOUR", "red", "The setting kafka.colour is unknown."),
        ("ROOST_SHARDS", "many", "The setting shards is invalid:"),
        ("ROOST_SHARDS", "0", "The setting shards is invalid:"),
        ("ROOST_MONGO__DRIVER", "odbc", "The setting mongo.driver is invalid:"),
        (
            "ROOST_SERVER_NAME",
            "my_host",
            "The setting server_name is invalid: 'my_host' is not 1-255 letters",
        ),
        ("ROOST_SERVER_NAME", "", "'' is not 1-255 letters"),
        ("ROOST_SERVER_NAME", "chat example", "'chat example' is not"),
        ("ROOST_SERVER_NAME", "почта.example", "in its xn-- form"),
        ("ROOST_KAFKA__URL", "kafka://k:9092", "'kafka://k:9092' is not of the form host:port"),
        ("ROOST_KAFKA__URL", "k:9092,", "is not of the form host:port"),
        ("ROOST_KAFKA__URL", "", "is not of the form host:port"),
        (
            "ROOST_MONGO__URL",
            "localhost:27017",
            "'localhost:27017' is no address that begins with mongodb://",
        ),
        ("ROOST_KAFKA__SECURITY__CA", "ca.pem", "set ROOST_KAFKA__SECURITY__TLS=true as well"),
        ("ROOST_REDIS__SECURITY__KEY", "key.pem", "there is a key, and no certificate"),
        ("ROOST_MONGO__URL", "mongodb://", "'mongodb://' is no address"),
        ("ROOST_REDIS__URL", "alice:secret@r:6379", "'r:6379' is no address that begins with redis://"),
        ("ROOST_FCM__ENDPOINT", "fcm.example", "'fcm.example' is no address that begins with http://"),
        ("ROOST_TELEMETRY__TRACES_URL", "grpc://t:1", "'grpc://t:1' is no address that begins with http://"),
        ("ROOST_TLS__KEY", "/key.pem", "there is a key, and no certificate"),
        ("ROOST_RETENTION__DEVICE_DAYS", "0.006", "Make device_days longer, or access_s shorter"),
        ("ROOST_TOKENS__ACCESS_S", "2592001", "Make device_days longer, or access_s shorter"),
        ("ROOST_LIMITS", "{", 'is not JSON (error parsing value for field "limits"'),
        (
            "ROOST_LIMITS__SENDS",
            "{rate: 5}",
            'ROOST_LIMITS__SENDS takes several values, as JSON such as {"rate":500.0,"burst":5000},',
        ),
        (
            "ROOST_HTTP__TRUSTED_PROXIES",
            "10.0.0.1",
            'ROOST_HTTP__TRUSTED_PROXIES takes several values, as JSON such as ["...", "..."],',
        ),
        ("ROOST_LIMITS__SENDS", "5", "The setting limits.sends takes several values, such as {"),
    ],
)
def test_a_bad_variable_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsInvalid, match=re.escape(sentence)):
        Settings.load()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ROOST_SERVER_NAME", "chat.example.org:8448"),
        ("ROOST_SERVER_NAME", "[2001:db8::1]"),
        ("ROOST_SERVER_NAME", "xn--80a1acny.example"),
        ("ROOST_KAFKA__URL", "k1:9092,[::1]:9093,k3"),
        ("ROOST_MONGO__URL", "mongodb+srv://u:p@cluster.example/?tls=true"),
        ("ROOST_REDIS__URL", "unix:///run/redis.sock"),
    ],
)
def test_a_good_address_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    settings = Settings.load()
    assert value in (settings.server_name, settings.kafka.url, settings.mongo.url, settings.redis.url)


def test_an_unknown_key_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "roost.toml").write_text("[redis]\nuri = 'redis://x'\n")
    with pytest.raises(SettingsInvalid, match=r"redis\.uri is unknown"):
        Settings.load()


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "roost.toml").write_text("shards = = 3\n")
    with pytest.raises(SettingsInvalid, match=r"roost\.toml is not TOML"):
        Settings.load()
    (tmp_path / "roost.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsInvalid, match=r"roost\.toml is not TOML"):
        Settings.load()
    (tmp_path / "roost.toml").unlink()
    (tmp_path / "roost.toml").mkdir()
    with pytest.raises(SettingsInvalid, match=r"roost\.toml is no file"):
        Settings.load()


def test_a_value_that_is_refused_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOST_MEDIA__OPTIONS", "secret_access_key=hush")
    with pytest.raises(SettingsInvalid, match="ROOST_MEDIA__OPTIONS takes several values") as refused:
        Settings.load()
    assert "hush" not in str(refused.value)


def test_settings_travel_as_json_without_reading_the_environment_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings.load({"data": "here", "fcm": {"credentials_file": "fcm.json"}})
    assert settings.data == tmp_path / "here"
    assert settings.fcm.credentials_file == tmp_path / "fcm.json"
    monkeypatch.setenv("ROOST_SHARDS", "3")
    monkeypatch.setenv("ROOST_NONSENSE", "1")
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError):
        Settings.load().kafka.url = "other"  # type: ignore[misc]
    assert Settings.load().changed({"kafka": {"url": "x:1"}}).kafka.url == "x:1"


def test_every_setting_is_in_the_reference_with_a_sentence() -> None:
    lines = [line for line in reference().splitlines() if line.startswith("| `ROOST_")]
    assert len(lines) > 40
    assert all(line.rstrip(" |").endswith((".", ".)")) for line in lines), lines
    assert not any("None |" in line for line in lines)


def test_passwords_are_not_shown() -> None:
    assert without_password("mongodb://u:secret@h:1/x") == "mongodb://u:***@h:1/x"
    assert without_password("redis://h:1/0?db=1&password=secret") == "redis://h:1/0?db=1&password=***"
    settings = Settings.load(
        {
            "redis": {"url": "redis://:secret@h:1"},
            "kafka": {"security": {"user": "roost", "password": "secret too"}},
        }
    )
    assert "secret" not in json.dumps(shown(settings), default=str)
    assert "secret too" not in repr(settings) + str(settings) + repr(settings.kafka.security.access())
    assert (
        Settings.model_validate_json(settings.model_dump_json()).kafka.security.read_password()
        == "secret too"
    )


@pytest.mark.parametrize(
    ("command", "told"), [(None, None), ("kms", "kms"), ("kms --token secret key", "kms ***")]
)
def test_the_command_for_the_master_key_is_shown_without_its_arguments(
    command: str | None, told: str | None
) -> None:
    settings = Settings.load({"keyring": {"master_command": command}})
    assert shown(settings)["keyring"]["master_command"] == told


def test_a_password_comes_from_a_file_that_no_one_else_may_read(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n")
    security = Settings.load({"mongo": {"security": {"password_file": "password"}}}).mongo.security
    file.chmod(0o640)
    with pytest.raises(PermissionError, match="chmod 600"):
        security.read_password()
    file.chmod(0o600)
    assert security.read_password() == "secret"
    file.write_text("\n")
    with pytest.raises(PermissionError, match="is empty"):
        security.read_password()


@pytest.mark.parametrize(
    ("listened_on", "in_a_url"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("10.1.2.3", "10.1.2.3"),
        ("localhost", "localhost"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("::1", "[::1]"),
        ("2001:db8::7", "[2001:db8::7]"),
        ("fe80::1%eth0", "[fe80::1%25eth0]"),
    ],
)
def test_an_address_in_a_url(listened_on: str, in_a_url: str) -> None:
    assert url_host(listened_on) == in_a_url


def test_each_setting_in_force_says_where_it_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "roost.toml").write_text('server_name = "file"\nshards = 8\n[kafka]\nurl = "file:1"\n')
    monkeypatch.setenv("ROOST_KAFKA__URL", "environment:1")
    monkeypatch.setenv("ROOST_LIMITS__SENDS__RATE", "7")
    monkeypatch.setenv("ROOST_MONGO__SECURITY__PASSWORD", "hunter2")
    loaded = Settings.load({"shards": 4})
    handed_on = Settings.model_validate_json(loaded.model_dump_json())
    started = handed_on.changed({"redis": {"url": "redis://roost:hunter3@127.0.0.1:6379/0"}})
    rows = {each["name"]: each for each in in_force(started)}
    assert {name: row["source"] for name, row in rows.items() if row["source"] != "default"} == {
        "server_name": "file",
        "shards": "argument",
        "data": "start",
        "kafka.url": "environment",
        "limits.sends": "environment",
        "mongo.security.password": "environment",
        "redis.url": "start",
    }
    assert (rows["shards"]["value"], rows["limits.sends"]["value"]) == (4, {"rate": 7.0, "burst": 5000})
    assert "hunter" not in json.dumps(list(rows.values()))
    assert "origins" not in rows


def test_where_settings_came_from_is_no_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "ROOST_ORIGINS" not in reference()
    (tmp_path / "roost.toml").write_text('[origins]\nshards = "file"\n')
    with pytest.raises(SettingsInvalid, match="The setting origins is unknown"):
        Settings.load()
    (tmp_path / "roost.toml").unlink()
    monkeypatch.setenv("ROOST_ORIGINS", "{}")
    with pytest.raises(SettingsInvalid, match="ROOST_ORIGINS is not a Roost setting"):
        Settings.load()
