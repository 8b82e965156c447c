"""What roles are built from is opened by the settings, and in one place."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("adapter", ["MongoStore", "RedisStore", "KafkaLogWriter"])
def test_each_role_opens_its_servers_by_all_of_their_settings(adapter: str) -> None:
    opened = [
        str(path.relative_to(ROOT))
        for package in ("api", "cluster", "sim")
        for path in (ROOT / package).rglob("*.py")
        if re.search(rf"(?<!class ){adapter}\(", path.read_text())
    ]
    assert opened == ["cluster/resources.py"]
