"""How long a client waits until it connects again."""

import pytest

from roost.client.shell.connection import pause_s
from roost.client.transport import TransportClosed


@pytest.mark.parametrize(
    ("code", "advised_ms", "failures", "seconds"),
    [
        ("unavailable", None, 1, (0.0, 0.5)),
        ("unavailable", None, 100, (0.0, 30.0)),
        ("displaced", None, 0, (5.0, 5.25)),
        ("going_away", 2_000, 0, (2.0, 2.25)),
        ("resync", 2_000, 5, (0.0, 0.0)),
        ("going_away", 2**53 - 1, 0, (3600.0, 3600.25)),
        ("going_away", -1_000_000, 0, (0.0, 0.25)),
    ],
)
def test_pauses(code: str, advised_ms: int | None, failures: int, seconds: tuple[float, float]) -> None:
    closed = TransportClosed(code, reconnect_after_ms=advised_ms)
    assert tuple(pause_s(closed, failures, luck) for luck in (0.0, 1.0)) == seconds
