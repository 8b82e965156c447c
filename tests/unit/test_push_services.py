"""Endpoints of Web Push: URLs that strangers name, and that a server of ours calls."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from cluster.settings import Settings, SettingsInvalid
from storage.push_services import KNOWN, MAX_ENDPOINT, PushService, PushServices

BROWSERS = PushServices()
ANY = PushServices(("*",))

TAKEN = {
    "https://fcm.googleapis.com/fcm/send/dQw4w9:APA91b-_": "https://fcm.googleapis.com",
    "https://fcm.googleapis.com:443/wp/a": "https://fcm.googleapis.com",
    "https://updates.push.services.mozilla.com/wpush/v2/gAAA": "https://updates.push.services.mozilla.com",
    "https://wns2-par02p.notify.windows.com/w/?token=BQYAAA%2f%3d": "https://wns2-par02p.notify.windows.com",
    "https://web.push.apple.com/QOXz": "https://web.push.apple.com",
}


@pytest.mark.parametrize(("endpoint", "origin"), TAKEN.items())
def test_the_services_of_browsers_are_known(endpoint: str, origin: str) -> None:
    assert BROWSERS.of(endpoint) == PushService(origin, origin.removeprefix("https://"), internal=False)


STRANGE = {
    "another host": "https://push.evil.example/x",
    "a host that ends alike": "https://evilpush.apple.com/x",
    "a host that begins alike": "https://fcm.googleapis.com.evil.example/x",
    "the name above": "https://notify.windows.com/x",
    "a final dot": "https://fcm.googleapis.com./x",
    "another port": "https://fcm.googleapis.com:8443/x",
    "without TLS": "http://fcm.googleapis.com/x",
    "a user": "https://fcm.googleapis.com@evil.example/x",
    "a user and a backslash": "https://evil.example\\@fcm.googleapis.com/x",
    "a fragment": "https://fcm.googleapis.com#@evil.example/x",
    "no path": "https://fcm.googleapis.com",
    "no scheme": "//fcm.googleapis.com/x",
    "another scheme": "file:///etc/passwd",
    "nothing": "",
}


@pytest.mark.attack("have the server call a host of the attacker's as a push service", "only known hosts")
@pytest.mark.parametrize("endpoint", STRANGE.values(), ids=STRANGE)
def test_a_strange_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"endpoint|push services"):
        BROWSERS.of(endpoint)


LITERAL = [
    "127.0.0.1",
    "10.0.0.8",
    "169.254.169.254",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "017700000001",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "127.0.0.1.",
]


@pytest.mark.attack("name a push endpoint by an address, in any notation", "no address is a host's name")
@pytest.mark.parametrize("host", LITERAL)
def test_an_address_is_refused_even_where_every_name_is_taken(host: str) -> None:
    ANY.of("https://push.example.org/x")
    with pytest.raises(ValueError, match=r"endpoint|push services"):
        ANY.of(f"https://{host}/x")


@pytest.mark.attack("break out of the request line with a push endpoint", "printable ASCII of a URL only")
@pytest.mark.parametrize(
    "text", ["\r\nHost: evil", "\n", " HTTP/1.1", "\t", "\0", "\x7f", "é", '"', "<", "#", "\\"]
)
def test_what_is_no_part_of_a_url_is_refused(text: str) -> None:
    for endpoint in (f"https://push.example.org/x{text}", f"https://push.example.org{text}/x"):
        with pytest.raises(ValueError, match="endpoint"):
            ANY.of(endpoint)


@pytest.mark.attack("have two readers see different hosts in a push endpoint", "its host is plain ASCII")
@pytest.mark.parametrize(
    "host",
    ["fcm。googleapis.com", "f\u0441m.googleapis.com", "ⓔxample.org", "FCM.googleapis.com", "a..b", "-a.org"],
)
def test_a_host_in_another_script_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        ANY.of(f"https://{host}/x")


@pytest.mark.attack("register an endless push endpoint", "1 KiB")
def test_an_endpoint_has_a_bounded_length() -> None:
    head = "https://push.example.org/"
    ANY.of(head + "x" * (MAX_ENDPOINT - len(head)))
    with pytest.raises(ValueError, match="1024 bytes"):
        ANY.of(head + "x" * (MAX_ENDPOINT - len(head) + 1))


@given(st.text(st.sampled_from("ahtps:/.@#?\\[]%-_1x é\n"), max_size=40))
def test_whoever_reads_an_endpoint_sees_the_same_host(rest: str) -> None:
    """The one who checks it, the one who looks for a proxy, and the one who connects."""
    for endpoint in (rest, f"https://{rest}", f"https://a.{rest}"):
        try:
            service = ANY.of(endpoint)
        except ValueError:
            continue
        assert service.host == urlsplit(endpoint).hostname == URL(endpoint, encoded=True).host
        assert service.origin == str(URL(endpoint, encoded=True).origin())


def test_operators_choose_hosts() -> None:
    own = PushServices(("ntfy.sh", "*.example.org", "up.example.net:8443"))
    for endpoint in ("https://ntfy.sh/up1", "https://a.b.example.org/x", "https://up.example.net:8443/x"):
        assert not own.of(endpoint).internal
    for endpoint in ("https://example.org/x", "https://up.example.net/x", "https://ntfy.sh:8443/x", *TAKEN):
        with pytest.raises(ValueError, match="not one of the push services"):
            own.of(endpoint)


def test_only_what_is_named_with_its_port_may_be_inside() -> None:
    own = PushServices(KNOWN, ("http://127.0.0.1:7001", "https://push.lan"))
    assert own.of("http://127.0.0.1:7001/webpush/a") == PushService(
        "http://127.0.0.1:7001", "127.0.0.1", internal=True
    )
    assert own.of("https://push.lan:443/a").internal
    for endpoint in (
        "http://127.0.0.1:7002/a",
        "http://127.0.0.1/a",
        "https://127.0.0.1:7001/a",
        "https://push.lan:1/a",
    ):
        with pytest.raises(ValueError, match=r"https://|push services"):
            own.of(endpoint)


GOOD = {
    "hosts": ["*", "ntfy.sh", "*.example.org", "up.example.org:8443", "*.example.org:1"],
    "internal": ["https://push.lan", "https://push.lan:8443", "http://127.0.0.1:80", "http://localhost:7001"],
}
BAD = {
    "hosts": [
        "",
        "https://ntfy.sh",
        "ntfy.sh/x",
        "a.*.org",
        "*x.org",
        "a b",
        "NTFY.sh",
        "ntfy.sh:0",
        "é.org",
    ],
    "internal": [
        "push.lan",
        "http://push.lan",
        "http://10.0.0.1:80",
        "https://push.lan/",
        "https://push.lan:443",
        "",
    ],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in GOOD for value in GOOD[field]])
def test_settings_take(field: str, value: str) -> None:
    settings = Settings.load({"webpush": {field: [value]}})
    assert getattr(settings.webpush.services, field) == (value,)


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in BAD for value in BAD[field]])
def test_settings_refuse(field: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"webpush.{field}"):
        Settings.load({"webpush": {field: [value]}})


def test_the_subject_is_the_servers_address_unless_it_is_set() -> None:
    assert Settings.load({"server_name": "chat.example.org"}).push_subject == "https://chat.example.org"
    mail = "mailto:ops@example.org"
    assert Settings.load({"webpush": {"subject": mail}}).push_subject == mail
    for bad in ("ops@example.org", "mailto:", "http://example.org", "mailto:a@b\r\nX: y", "mailto:a b@c"):
        with pytest.raises(SettingsInvalid, match=r"webpush\.subject"):
            Settings.load({"webpush": {"subject": bad}})
