"""What a host says of its shards: how far it is, to whom, and when it says nothing."""

from typing import Any

from actors.host.links.links import Links
from actors.host.links.reports import Reports
from actors.host.runtime import Runtime
from actors.host.shards.backlog import Backlog
from actors.host.shards.shard import Shard
from actors.host.shards.table import ShardTable
from actors.rpc import messages as m

NOW = 1_795_000_000_000


class Gateway:
    """The end of a link to a gateway."""

    def __init__(self, *, congested: bool = False) -> None:
        self.congested = congested
        self.told: list[m.Backlogs] = []

    def send(self, message: m.Backlogs) -> None:
        self.told.append(message)


class Host:
    """Shards, the records that came, and the reports."""

    def __init__(self, *gateways: Any) -> None:
        table = ShardTable()
        self.shards = table.open
        self.shards.update({n: Shard(m.Open(n, 1_000, 0, 0)) for n in range(2)})
        links = Links(table)
        links.gateways.update(gateways)
        self.now = NOW
        self.reports = Reports(table, links, lambda: self.now, Runtime())

    def came(self, number: int, count: int) -> None:
        shard = self.shards[number]
        for _ in range(count):
            shard.offsets.begin(shard.offsets.following)
        shard.backlog.unhandled += count
        shard.backlog.took(shard.offsets.following, count * 100, self.now)

    def finished(self, number: int, count: int) -> None:
        shard = self.shards[number]
        shard.backlog.unhandled -= count
        for offset in range(shard.offsets.stored, shard.offsets.stored + count):
            shard.offsets.done(offset)

    def turn(self) -> None:
        self.reports.report()
        self.reports.stop()


def test_batches_go_when_they_are_wholly_stored() -> None:
    backlog = Backlog()
    backlog.took(10, 1_000, NOW)
    backlog.took(20, 500, NOW + 300)
    backlog.stored(9)
    assert (backlog.size, backlog.age_ms(NOW + 1_000)) == (1_500, 1_000)
    backlog.stored(10)
    assert (backlog.size, backlog.age_ms(NOW + 1_000)) == (500, 700)
    backlog.stored(25)
    assert (backlog.size, backlog.age_ms(NOW + 1_000)) == (0, 0)


async def test_a_busy_shard_is_reported_and_once_more_when_it_is_done() -> None:
    gateway = Gateway()
    host = Host(gateway)
    host.came(1, 40)
    host.finished(1, 10)
    host.now += 250
    host.turn()
    assert gateway.told == [m.Backlogs({1: m.ShardBacklog(1_040, 30, 30, 4_000, 250)}, 2)]
    host.finished(1, 30)
    host.turn()
    assert gateway.told[1:] == [m.Backlogs({1: m.ShardBacklog(1_040, 0, 0, 0, 0)}, 2)]
    host.turn()
    assert len(gateway.told) == 2


async def test_a_host_with_little_to_do_sends_no_reports() -> None:
    gateway = Gateway()
    host = Host(gateway)
    host.came(0, 5)
    host.turn()
    host.came(0, 5)
    host.finished(0, 5)
    host.turn()
    assert gateway.told == []


async def test_records_unstored_for_long_are_reported() -> None:
    gateway = Gateway()
    host = Host(gateway)
    host.came(0, 1)
    host.now += 2_500
    host.turn()
    assert [told.shards[0].age_ms for told in gateway.told] == [2_500]


async def test_a_gateway_that_does_not_read_gets_no_reports() -> None:
    stuck, fine = Gateway(congested=True), Gateway()
    host = Host(stuck, fine)
    host.came(1, 40)
    host.turn()
    assert (len(stuck.told), len(fine.told)) == (0, 1)
