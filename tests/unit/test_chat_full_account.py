import pytest

from roost.cli.chat.full_account import chosen, devices_of
from roost.cli.terminal import BadUsage
from roost.errors import RoostError

PHONE = {"device_id": "A", "name": "phone", "created_at_ms": 1_795_000_000_000}


@pytest.mark.parametrize(
    "refusal",
    [
        RoostError("too_large", "The body may be at most 1 bytes."),
        RoostError("bad_credentials", "No.", devices=[PHONE]),
        RoostError("too_large", "No.", devices="A"),
        RoostError("too_large", "No.", devices=[PHONE, {"device_id": "B"}]),
        RoostError("too_large", "No.", devices=[PHONE | {"created_at_ms": 10**18}]),
    ],
)
def test_other_refusals_name_no_devices(refusal: RoostError) -> None:
    assert devices_of(refusal) == []


def test_a_name_does_nothing_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "2")
    odd = {"device_id": "B", "name": "\x1b[2J\n3  yours", "created_at_ms": 0}
    devices = devices_of(RoostError("too_large", "No.", devices=[PHONE, odd]))
    assert chosen("alice", devices) == "B"
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert len(said.splitlines()) == 1 + len(devices)


def test_without_a_terminal_none_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_one(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", no_one)
    with pytest.raises(BadUsage, match="No device was removed"):
        chosen("alice", devices_of(RoostError("too_large", "No.", devices=[PHONE])))
