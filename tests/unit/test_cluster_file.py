"""``ray_cluster.yaml`` and the settings beside it are what Ray and Roost take, in each variant."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster.settings import Settings, cleartext

ROOT = Path(__file__).parents[2]
FILE = ROOT / "ray_cluster.yaml"
SETTINGS = ROOT / "examples/node/settings.env"


def variant(mark: str) -> dict[str, Any]:
    """Return the file with the lines of a variant in place of what they replace."""
    lines = FILE.read_text().splitlines()
    own: dict[str, Any] = yaml.safe_load("\n".join(lines))
    start = f"#{mark}# "
    other = yaml.safe_load("\n".join(line.removeprefix(start) for line in lines if line.startswith(start)))
    assert other["provider"]["type"] == mark
    return own | other


def test_rays_own_check_takes_it_for_machines_of_ones_own() -> None:
    config = prepare_config(yaml.safe_load(FILE.read_text()))

    validate_config(config)

    assert config["available_node_types"]["local.cluster.node"]["min_workers"] == 2


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_rays_own_check_takes_it_for_a_cloud(cloud: str) -> None:
    config = prepare_config(variant(cloud))

    validate_config(config)

    assert config["available_node_types"]["node"]["min_workers"] == 2
    assert any("roost" in command for command in config["setup_commands"])


def test_rays_own_check_refuses_what_it_does_not_know() -> None:
    with pytest.raises(Exception, match="worker_addresses"):
        validate_config(prepare_config(yaml.safe_load(FILE.read_text()) | {"worker_addresses": []}))


def test_the_settings_of_a_node_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = subprocess.run(
        ["env", "-i", "HOME=/home/roost", "sh", "-c", f"set -a; . {SETTINGS}; env"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    variables = dict(line.split("=", 1) for line in shown.splitlines())
    for name in [each for each in variables if each.startswith("ROOST_")]:
        monkeypatch.setenv(name, variables[name])

    settings = Settings.load()

    assert settings.keyring_file == Path("/home/roost/roost/node/keyring.json")
    assert settings.kafka.url == "10.0.0.2:9093"
    assert not [*cleartext.found(settings)]
    assert variables["RAY_enable_autoscaler_v2"] == "0"
