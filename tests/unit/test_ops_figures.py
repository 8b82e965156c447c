"""Figures of the live picture: read in a process, turned into rates, kept for a quarter of an hour."""

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from cluster.ops.history import Ring
from cluster.ops.rates import Look, Rates, quantile, values_of
from telemetry import metrics
from telemetry.role_figures import BOUNDS, Reader, RoleFigures

BUCKETS = len(BOUNDS["accept"])


def figures(
    at_s: float, accepted: int = 0, *, cpu_s: float = 0.0, times: list[int] | None = None
) -> RoleFigures:
    observed = {} if times is None else {"accept": times}
    return RoleFigures(at_s, cpu_s, 1, 1, 10, counts={"accepted": accepted}, times=observed)


def test_a_process_reads_what_its_metrics_show() -> None:
    """The library's own counters are read past its interface: what it shows is the measure."""
    metrics.DELIVERY_SECONDS.labels("message").observe(0.02)
    metrics.DELIVERY_SECONDS.labels("receipt").observe(0.02)
    metrics.STORE_BATCH_DOCUMENTS.observe(7)
    metrics.POISON_RECORDS.inc()
    read = Reader("host", Path()).read({"accepted": 3}, {"queue": 2})
    shown = {
        (sample.name, sample.labels.get("entry", ""), sample.labels.get("le", "")): sample.value
        for family in text_string_to_metric_families(metrics.exposition(metrics.HOST).decode())
        for sample in family.samples
    }
    assert read.counts["delivered"] == shown["roost_delivery_seconds_count", "message", ""]
    assert read.counts["stored"] == shown["roost_store_batch_documents_sum", "", ""]
    assert read.counts["poison"] == shown["roost_poison_records_total", "", ""]
    upto, total = [], 0
    for count in read.times["deliver"]:
        total += count
        upto.append(total)
    bounds = ["+Inf" if math.isinf(bound) else str(bound) for bound in BOUNDS["deliver"]]
    assert upto == [shown["roost_delivery_seconds_bucket", "message", bound] for bound in bounds]
    assert (read.counts["accepted"], read.levels) == (3, {"queue": 2})
    assert read.memory_bytes > 2**20
    assert 3 <= read.fds <= read.fds_most
    assert read.machine is not None
    assert read.machine.memory_total_bytes > read.machine.memory_bytes > 0


def test_a_machine_is_looked_at_every_two_seconds_at_most() -> None:
    times = iter((10.0, 11.0, 12.5))
    reader = Reader("host", Path("/no/such/folder"), lambda: next(times))
    first, second, third = (reader.read({}, {}).machine for _ in range(3))
    assert first is not None
    assert first.cpu is None
    assert second is None
    assert third is not None
    assert third.cpu is not None


def test_rates_are_by_each_roles_own_looks() -> None:
    rates = Rates()
    rates.step({"g1": Look("a", figures(8.0, 100)), "g2": Look("b", figures(7.5, 0))})
    step = rates.step({"g1": Look("a", figures(10.0, 300, cpu_s=1.0)), "g2": Look("b", figures(9.5, 40))})
    assert values_of(step)["accepted_per_s"] == 120
    assert step.cpu["g1"] == 0.5
    assert step.own["g2"] == {"accepted": 20}


def test_what_a_role_did_before_we_were_here_is_no_news_but_a_new_process_counts_from_nothing() -> None:
    rates = Rates()
    assert rates.step({"g": Look("a", figures(1.0, 5000))}).counted == {}
    assert rates.step({"g": Look("b", figures(2.0, 3))}).counted == {"accepted": 3}
    assert rates.step({"g": Look("b", figures(4.0, 5))}).rates == {"accepted": 1}


def test_a_role_that_says_nothing_new_keeps_its_rates_for_a_moment_only() -> None:
    rates = Rates()
    rates.step({"g": Look("a", figures(1.0, 0))})
    last = Look("a", figures(2.0, 10))
    found = [values_of(rates.step({"g": last}))["accepted_per_s"] for _ in range(5)]
    assert found == [10, 10, 10, 0, 0]
    assert rates.step({}).rates == {}


def test_percentiles_are_of_all_roles_and_of_this_step() -> None:
    before, slow, quick = [9] * BUCKETS, [9] * BUCKETS, [9] * BUCKETS
    quick[2] += 99  # 2.5 to 5 ms
    slow[8] += 1  # 250 to 500 ms
    rates = Rates()
    rates.step({"g1": Look("a", figures(0.0, times=before)), "g2": Look("b", figures(0.0, times=before))})
    values = values_of(
        rates.step({"g1": Look("a", figures(2.0, times=quick)), "g2": Look("b", figures(2.0, times=slow))})
    )
    assert 2.5 < (values["accept_p50_ms"] or 0) < 5
    assert (values["accept_p99_ms"] or 0) == 5
    assert values["deliver_p50_ms"] is None


def test_buckets_of_another_release_are_left_out() -> None:
    rates = Rates()
    rates.step({"g": Look("a", figures(0.0, times=[0] * 3))})
    assert values_of(rates.step({"g": Look("a", figures(2.0, times=[1] * 3))}))["accept_p50_ms"] is None


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4), st.floats(0.01, 1.0))
def test_a_quantile_is_within_the_bucket_that_holds_it(counts: list[int], share: float) -> None:
    bounds = (1.0, 2.0, 4.0, math.inf)
    found = quantile(bounds, counts, share)
    if not sum(counts):
        assert found is None
        return
    assert found is not None
    below, bucket = counts[0], 0
    while below < share * sum(counts) - 1e-9:
        bucket += 1
        below += counts[bucket]
    assert (0.0, *bounds)[bucket] - 1e-9 <= found <= min(bounds[bucket], 4.0) + 1e-9


def test_the_ring_keeps_the_newest_and_says_where_nothing_was() -> None:
    ring = Ring(3)
    for step in range(5):
        ring.add(step * 2000, {"a": step / 3, "b": None} | ({"late": 1.0} if step == 4 else {}))
    history = ring.history()
    assert history.at_ms == [4000, 6000, 8000]
    assert history.values == {"a": [0.667, 1.0, 1.333], "b": [None] * 3, "late": [None, None, 1.0]}


def test_the_ring_does_not_grow_with_names() -> None:
    ring = Ring(2)
    for step in range(1000):
        ring.add(step, {f"name {step}": 1.0})
    assert len(ring.history().values) == 200
