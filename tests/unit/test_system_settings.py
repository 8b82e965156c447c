"""Settings with which `roost up` does not start, and says what to install."""

from pathlib import Path

import pytest

from cluster.local import preflight
from cluster.local.preflight import StartRefused
from cluster.local.system import System
from cluster.settings import Settings


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"telemetry": {"traces_url": "http://127.0.0.1:4318"}}, "pip install 'roost[otel]'"),
        ({"cluster": {"dashboard_port": 8265}}, "pip install 'ray[default]'"),
    ],
)
async def test_missing_packages_are_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], sentence: str
) -> None:
    monkeypatch.setattr(preflight, "find_spec", lambda _: None)
    monkeypatch.setattr(preflight.otlp, "can_trace", lambda: False)
    loaded = Settings.load({"data": str(tmp_path / "data"), "http": {"port": 0}} | settings)
    with pytest.raises(StartRefused) as refused:
        await System(loaded).start()
    assert sentence in str(refused.value)
    assert not (tmp_path / "data").exists()
