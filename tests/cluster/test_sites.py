"""A site of machines ends as a whole, whatever was done to what runs there."""

from pathlib import Path

from tests.cluster.hosts import site


def test_a_site_ends_though_something_in_it_was_stopped(tmp_path: Path) -> None:
    with site() as made:
        made.start("sleep", "1000", log=tmp_path / "log")
        made.run("sh", "-c", "until pkill -STOP -x sleep; do sleep 0.1; done")
        made.run("sh", "-c", "until ps -C sleep -o stat= | grep -q T; do sleep 0.1; done")
        made.run("pkill", "-CONT", "-x", "sleep")
