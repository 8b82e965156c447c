"""What a library finds not installed while it is loaded, and afterwards."""

import subprocess
import sys
from importlib import import_module

import pytest

from roost.loading import without

SPARED = {
    "actors.ray_actor, cluster.wiring, storage.redis_store": "rich opentelemetry cryptography.x509 fastapi",
    "cluster.lifecycle, cluster.system": "rich aiokafka pymongo redis aiohttp ray prometheus_client",
    "cluster.ray_head": "rich pydantic ray aiokafka",
}


def test_a_package_is_hidden_inside_the_block_only() -> None:
    sys.modules.pop("colorsys", None)
    with without("colorsys"), pytest.raises(ModuleNotFoundError):
        import_module("colorsys")
    assert import_module("colorsys").rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def test_what_is_loaded_already_stays() -> None:
    before = import_module("colorsys")
    with without("colorsys"):
        assert import_module("colorsys") is before
    assert sys.modules["colorsys"] is before


@pytest.mark.parametrize("loaded", SPARED)
def test_what_a_process_spares_itself(loaded: str) -> None:
    """Each of these costs 0.05 to 0.7 s of CPU in a process that does not use it."""
    code = f"import sys, {loaded}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(SPARED[loaded].split()) & set(found.stdout.split())
