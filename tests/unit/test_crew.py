"""When a log counts as drained: what the writers know counts, too."""

import pytest

from cluster.crew import unread

READ = {"drained": True, "stored": {0: 10, 1: 20}}


@pytest.mark.parametrize(
    ("writers", "missing"),
    [
        ([], {}),
        ([{"appended": {"mailbox": {}}}], {}),
        ([{"appended": {"mailbox": {0: 10, 1: 20}}}], {}),
        ([{"appended": {"mailbox": {0: 11}}}], {0: 11}),
        ([{"appended": {"mailbox": {0: 11}}}, {"appended": {"mailbox": {0: 44}}}], {0: 44}),
        ([{"appended": {"mailbox": {"1": 21}}}], {1: 21}),
        ([{"appended": {"mailbox": {2: 1}}}], {2: 1}),
        ([{"appended": {"push": {0: 99}}}], {}),
        ([{"users": 3}], {}),
    ],
)
def test_what_was_written_and_not_read_is_named(
    writers: list[dict[str, object]], missing: dict[int, int]
) -> None:
    assert unread("router", writers, [READ]) == missing


def test_readers_count_together() -> None:
    writers = [{"appended": {"push": {0: 5, 1: 7}}}]
    assert unread("pusher", writers, [{"stored": {0: 5}}, {"stored": {1: 7}}]) == {}
    assert unread("pusher", writers, [{"stored": {0: 5}}]) == {1: 7}
