"""Ray's private parts: what Roost starts it by is looked for first."""

import tomllib
from pathlib import Path

import pytest
import ray
from ray import _raylet
from ray._private import services
from ray._private.node import Node

from actors import ray_node

ROOT = Path(__file__).parents[2]


def test_the_installed_ray_is_supported() -> None:
    ray_node.check()


def test_the_version_that_is_asked_for_is_the_one_that_is_known() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"ray>={ray_node.SUPPORTED},<2.61" in asked


@pytest.mark.parametrize("version", ["2.61.0", "2.6.0", "3.0.0"])
def test_another_version_does_not_start(
    version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ray, "__version__", version)
    with pytest.raises(
        ray_node.UnsuitableRayError, match=rf"this is Ray {version}.*pip install 'ray==2\.60\.\*'"
    ):
        ray_node.start(tmp_path, 1)


@pytest.mark.parametrize(
    ("owner", "name", "shown"),
    [
        (services, "start_ray_process", "services lacks start_ray_process"),
        (Node, "dead_processes", "Node lacks dead_processes"),
        (_raylet, "persist_port", "_raylet lacks persist_port"),
    ],
)
def test_a_missing_part_is_named(
    owner: object, name: str, shown: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(owner, name)
    with pytest.raises(ray_node.UnsuitableRayError, match=shown):
        ray_node.start(tmp_path, 1)


def test_options_of_a_command_can_be_changed() -> None:
    command = ["/bin/raylet", "--agents=python agent.py --x=1", "--port=7"]
    changed = ray_node.changed_command(command, {"--agents=": " "})
    assert changed == ["/bin/raylet", "--agents= ", "--port=7"]


def test_a_removed_option_is_named() -> None:
    with pytest.raises(ray_node.UnsuitableRayError, match="takes no --agents="):
        ray_node.changed_command(["/bin/raylet", "--port=7"], {"--agents=": " "})
