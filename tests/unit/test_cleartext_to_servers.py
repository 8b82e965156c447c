from pathlib import Path
from typing import Any

import pytest

from cluster.cli import join
from cluster.doctor import encryption, start
from cluster.local.cache_binary import is_fixed
from cluster.settings import Settings, SettingsInvalid, cleartext

SAFE: list[dict[str, Any]] = [
    {},
    {"kafka": {"url": "127.0.0.1:9092,[::1]:9092,localhost"}},
    {"kafka": {"url": "k1:9093", "security": {"tls": True}}},
    {"mongo": {"url": "mongodb://u:p@127.0.0.1:1,localhost/?replicaSet=a"}},
    {"mongo": {"url": "mongodb://u:p@m1,m2/?tls=true"}},
    {"mongo": {"url": "mongodb+srv://cluster.example.org/"}},
    {"redis": {"url": "rediss://:p@r1:6379/0"}},
    {"redis": {"url": "unix:///run/redis.sock"}},
    {"media": {"url": "s3://b", "options": {"endpoint": "http://127.0.0.1:9000"}}},
    {"media": {"url": "gs://b", "options": {"base_url": "https://storage.example.org"}}},
    {
        "fcm": {"endpoint": "https://fcm.example.org"},
        "telemetry": {"traces_url": "http://[::1]:4318/v1/traces"},
    },
]

UNSAFE: list[tuple[dict[str, Any], str]] = [
    ({"kafka": {"url": "127.0.0.1:9092,k2:9092"}}, "ROOST_KAFKA__SECURITY__TLS=true"),
    ({"mongo": {"url": "mongodb://u:secret@127.0.0.1,m2/"}}, "tls=true to ROOST_MONGO__URL"),
    ({"mongo": {"url": "mongodb://u:secret@m1/?tls=false"}}, "tls=true to ROOST_MONGO__URL"),
    ({"mongo": {"url": "mongodb+srv://u:secret@m1/?tls=false"}}, "tls=true to ROOST_MONGO__URL"),
    ({"mongo": {"url": "mongodb://m1/?tls=true&tlsInsecure=true"}}, "Take tlsinsecure out"),
    (
        {"mongo": {"url": "mongodb://m1/?tls=true&tlsAllowInvalidHostnames=true"}},
        "Take tlsallowinvalidhostnames out",
    ),
    ({"redis": {"url": "redis://:secret@10.0.0.3:6379/0"}}, "rediss://"),
    ({"redis": {"url": "rediss://:secret@r1/0?ssl_cert_reqs=none"}}, "Take ssl_cert_reqs out"),
    ({"media": {"url": "s3://b", "options": {"aws_endpoint_url": "http://m1:9000"}}}, "ROOST_MEDIA__CA"),
    ({"media": {"url": "az://b", "options": {"endpoint": "http://10.0.0.3/a"}}}, "ROOST_MEDIA__OPTIONS"),
    ({"media": {"url": "gs://b", "options": {"google_base_url": "http://g1"}}}, "with https://"),
    ({"fcm": {"endpoint": "http://10.0.0.9:99"}}, "ROOST_FCM__ENDPOINT with https://"),
    (
        {"telemetry": {"traces_url": "http://10.0.0.9:4318/v1/traces"}},
        "ROOST_TELEMETRY__TRACES_URL with https://",
    ),
]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("changes", SAFE, ids=str)
def test_what_stays_here_or_is_encrypted_is_let_be(changes: dict[str, Any]) -> None:
    assert not [*cleartext.found(Settings.load(changes))]


@pytest.mark.attack("a listener on the network between Roost and its servers reads messages and passwords")
@pytest.mark.parametrize(("changes", "fix"), UNSAFE, ids=str)
def test_no_server_is_reached_over_a_network_in_the_clear(changes: dict[str, Any], fix: str) -> None:
    refusal = start.wrong_here(Settings.load(changes))
    assert refusal is not None
    assert refusal.code == 2
    assert fix in refusal.sentence
    assert "ROOST_CLEARTEXT__SERVERS_INSECURE=true" in refusal.sentence
    assert "secret" not in refusal.sentence
    assert [each for each in join._lacks(Settings.load(changes)) if fix in each]


@pytest.mark.parametrize(("changes", "fix"), UNSAFE, ids=str)
def test_an_exception_is_a_warning(changes: dict[str, Any], fix: str) -> None:
    settings = Settings.load({**changes, "cleartext": {"servers_insecure": True}})
    assert start.wrong_here(settings) is None
    [found] = encryption.findings(settings)
    assert (found.state, fix in found.fix) == ("warning", True)


@pytest.mark.attack("other users read the password in a file that was left open to them")
def test_a_password_file_that_others_can_read_is_refused_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    file.chmod(0o644)
    refusal = start.wrong_here(Settings.load({"redis": {"security": {"password_file": str(file)}}}))
    assert refusal is not None
    assert f"chmod 600 {file}" in refusal.sentence
    refusal = start.wrong_here(Settings.load({"mongo": {"security": {"ca": str(tmp_path / "none.pem")}}}))
    assert refusal is not None
    assert "mongo" in refusal.sentence


def test_a_user_is_given_once() -> None:
    for url in ("redis://u:p@127.0.0.1", "redis://127.0.0.1?password=p"):
        with pytest.raises(SettingsInvalid, match="a user in the URL, and one in security"):
            Settings.load({"redis": {"url": url, "security": {"user": "u", "password": "p"}}})


@pytest.mark.attack("a script takes over a cache of before the fixes of October 2025")
@pytest.mark.parametrize(
    ("said", "fixed"),
    [
        ("Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64", False),
        ("Redis server v=6.2.20 sha=0", True),
        ("Redis server v=7.0.15 sha=0", False),
        ("Redis server v=7.2.10 sha=0", False),
        ("Valkey server v=8.0.6 sha=0", True),
        ("Valkey server v=8.1.3 sha=0", False),
        ("Redis server v=8.2.2 sha=0", True),
        ("Valkey server v=9.0.0 sha=0", True),
        ("Redis server v=10.0.1 sha=0", True),
        ("no version", False),
    ],
)
def test_only_a_cache_with_the_fixes_is_taken(said: str, fixed: bool) -> None:  # noqa: FBT001
    assert is_fixed(said) == fixed
