"""``roost doctor`` and a system that runs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from roost.clock import now_ms
from storage.keyring import KeyRing, fresh_secrets
from tests.live.running import System


def doctor(system: System, **env: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the findings by check."""
    settings = [f"{name}={value}" for name, value in env.items()]
    command = (sys.executable, "-m", "roost", "doctor", "--json", "--data", str(system.data))
    # Far fewer files than usual would be a finding, and a right one, about the machine of this test.
    limited = ("bash", "-c", 'ulimit -Sn "$(ulimit -Hn)"; exec "$@"', "doctor", "env", *settings, *command)
    done = subprocess.run(limited, cwd=system.folder, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, {each["check"]: each for each in json.loads(done.stdout)}


def test_a_running_system_is_found_healthy(system: System) -> None:
    code, found = doctor(system)
    assert {each["state"] for each in found.values()} == {"ok"}, found
    assert code == 0
    assert found["http port"]["detail"] == f"{system.ready['http']} is ready"
    assert found["roles"]["detail"].endswith(" run")
    assert {"releases", "topics", "shards", "clock", "exposed ports"} <= set(found)


def test_another_key_ring_than_the_one_it_runs_with_is_found(system: System, tmp_path: Path) -> None:
    other = tmp_path / "keyring.json"
    KeyRing(fresh_secrets(now_ms())).save(other)
    code, found = doctor(system, ROOST_KEYRING__FILE=str(other))
    assert code == 1
    wrong = {name: each for name, each in found.items() if each["state"] != "ok"}
    assert "http port" in wrong
    assert "another key ring" in wrong["http port"]["detail"]
    assert set(wrong) <= {"http port", "sealed values"}  # the latter if other tests have made accounts here
