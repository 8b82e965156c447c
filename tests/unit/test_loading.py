"""What a library finds not installed while it is loaded, and afterwards."""

import subprocess
import sys
from importlib import import_module

import pytest

from roost.loading import without

SPARED = {
    "actors.ray_actor, cluster.wiring, storage.redis.store": "rich opentelemetry cryptography.x509 urllib3 "
    "attrs jsonschema.validators yaml.loader",
    "cluster.cli.lifecycle, cluster.local.system": "rich aiokafka pymongo redis aiohttp ray "
    "prometheus_client",
    "cluster.local.ray_head": "rich pydantic ray aiokafka",
    "telemetry.exporter": "aiohttp",
}


def test_a_package_is_hidden_inside_the_block_only() -> None:
    sys.modules.pop("colorsys", None)
    with without("colorsys"), pytest.raises(ModuleNotFoundError):
        import_module("colorsys")
    assert import_module("colorsys").rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def test_loaded_packages_stay_loaded() -> None:
    before = import_module("colorsys")
    with without("colorsys"):
        assert import_module("colorsys") is before
    assert sys.modules["colorsys"] is before


@pytest.mark.parametrize("loaded", SPARED)
def test_a_process_loads_only_what_it_needs(loaded: str) -> None:
    """Each of these costs 0.05 to 0.7 s of CPU in a process that does not use it."""
    code = f"import sys, {loaded}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(SPARED[loaded].split()) & set(found.stdout.split())


def test_a_package_is_loaded_on_first_use() -> None:
    code = (
        "import sys\n"
        "from roost.loading import later\n"
        "later('colorsys', 'xml', 'no_such_package')\n"
        "import colorsys, xml\n"
        "print('colorsys', '__path__' in vars(xml), 'no_such_package' in sys.modules)\n"
        "from xml.dom import minidom\n"
        "print(colorsys.rgb_to_hsv(0, 0, 1), sys.modules['colorsys'].rgb_to_hsv is colorsys.rgb_to_hsv)\n"
        "print(minidom.parseString('<a/>').documentElement.tagName)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == [
        "colorsys False False",
        "(0.6666666666666666, 1.0, 1) True",
        "a",
    ]
