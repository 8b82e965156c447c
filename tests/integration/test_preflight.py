"""What is looked at on this machine before a system starts."""

import pytest

from cluster.local import preflight
from cluster.local.preflight import StartRefused
from cluster.settings import Settings


def test_a_port_is_one_systems_from_its_start_on_not_only_once_it_listens() -> None:
    door = preflight.check(Settings.load({"http": {"port": 0}}))
    same = Settings.load({"http": {"port": door.port}})
    try:
        with pytest.raises(StartRefused, match=f"127.0.0.1:{door.port} is not available"):
            preflight.check(same)
    finally:
        door.close()
    preflight.check(same).close()
