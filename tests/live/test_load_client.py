"""The benchmarks' load client on a running system: both loops, the ledger, the store read back."""

from benchmarks.accounts import sign_up
from benchmarks.audit import audit
from benchmarks.figures import figures, judged
from benchmarks.ledger import Book
from benchmarks.load import Load
from benchmarks.pacing import ring
from benchmarks.usage import Usage
from sim.people.light_stream import Manner
from tests.live.running import System

PEOPLE = 12


async def test_a_short_load_is_delivered_stored_and_accounted_for(system: System) -> None:
    async def processes() -> dict[int, str]:
        return {row["pid"]: row["role"] for row in await system.roles() if row.get("pid")}

    everyone = await sign_up(system.http, [f"loaded{number}" for number in range(2 * PEOPLE)])
    # Who comes back at once, at another gateway, may overtake an acknowledgement, and gets entries again.
    people, others = everyone[:PEOPLE], everyone[PEOPLE:]
    book, usage = Book(), Usage(processes)
    await usage.discover()
    load = Load(system.http, people, ring(PEOPLE, 4), book)
    await load.join()
    await load.greet()
    usage.begin()
    span = await load.press(20, 0.0, 1.0)
    found = figures(load, span, usage.end())
    await load.pace(100, 0.0, 1.0)
    assert await load.settle(20)
    await load.leave()

    lanes = Load(system.http, others, ring(PEOPLE, 4), book, manner=Manner(one_in_flight=True))
    await lanes.join()
    await lanes.pace(200, 0.0, 1.0)
    assert await lanes.settle(20)
    await lanes.leave()

    await audit(system.http, everyone, book)
    assert not any(book.violations().values()), [judged(each) for each in (load, lanes)]
    assert load.ledger.accepted == load.ledger.sent > PEOPLE * 4 + 100
    assert lanes.ledger.accepted == 200
    assert min(load.counts.receipts, load.counts.acks, found["delivered_per_s"]) > 0
    assert 0 < found["send_deliver_ms"]["p50"] <= found["send_deliver_ms"]["p99"]
    assert found["cpu_us"]["gateway"] > 0
    assert not load.counts.problems
