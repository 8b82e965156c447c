"""The ledger of the benchmarks finds each kind of violation, and nothing where there is none."""

import pytest

from benchmarks.ledger import VIOLATIONS, Book, Ledger, head

A, B = "anna", "bert"
THERE, BACK = 0, 1
CLEAN = dict.fromkeys(VIOLATIONS, 0)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(0, [(A, B), (B, A)])


def sent(ledger: Ledger, count: int, pair: int = THERE) -> list[int]:
    """Send so many messages of a pair, all accepted."""
    numbers = [ledger.send(pair, due_ns=1000 + each) for each in range(count)]
    for number in numbers:
        ledger.write(number, 2000)
        ledger.accept(number, 3000)
    return numbers


def arrive(ledger: Ledger, numbers: list[int]) -> None:
    for number in numbers:
        ledger.deliver(number, A, B, 4000)


def kept(ledger: Ledger, numbers: list[int]) -> None:
    for number in numbers:
        ledger.store(number, A, B)
    ledger.audited = True


def broken(ledger: Ledger) -> dict[str, int]:
    return {kind: count for kind, count in ledger.violations().items() if count}


def test_a_correct_history_has_no_violation(ledger: Ledger) -> None:
    numbers = sent(ledger, 5)
    arrive(ledger, numbers)
    kept(ledger, numbers)
    assert ledger.violations() == CLEAN
    assert (ledger.sent, ledger.accepted, ledger.delivered) == (5, 5, 5)
    assert ledger.outstanding == ledger.unanswered == 0


def test_accepted_and_never_delivered_is_lost(ledger: Ledger) -> None:
    first, second = sent(ledger, 2)
    arrive(ledger, [first])
    assert broken(ledger) == {"lost": 1}
    assert str(second) in ledger.examples["lost"][0]


def test_never_accepted_is_not_lost_but_unanswered(ledger: Ledger) -> None:
    ledger.write(ledger.send(THERE, 0), 1)
    assert ledger.violations() == CLEAN
    assert (ledger.outstanding, ledger.unanswered) == (1, 1)


def test_delivered_again_is_doubled(ledger: Ledger) -> None:
    numbers = sent(ledger, 2)
    arrive(ledger, [*numbers, numbers[0]])
    assert broken(ledger) == {"doubled": 1}
    assert ledger.delivered == 2


def test_an_overtaken_message_is_reordered(ledger: Ledger) -> None:
    first, second, third = sent(ledger, 3)
    arrive(ledger, [second, first, third])
    assert broken(ledger) == {"reordered": 1}


def test_pairs_have_orders_of_their_own(ledger: Ledger) -> None:
    (there,), (back,) = sent(ledger, 1), sent(ledger, 1, BACK)
    ledger.deliver(back, B, A, 1)
    ledger.deliver(there, A, B, 2)
    assert ledger.violations() == CLEAN


def test_a_refused_message_sent_again_has_a_new_place(ledger: Ledger) -> None:
    first, second = ledger.send(THERE, 0), ledger.send(THERE, 1)
    for number in (first, second, first):
        ledger.write(number, 10)
    arrive(ledger, [second, first])
    assert ledger.violations() == CLEAN


@pytest.mark.parametrize(("number", "sender", "recipient"), [(7, A, B), (0, B, A), (0, A, "carla")])
def test_a_delivery_without_a_send_is_a_phantom(
    ledger: Ledger, number: int, sender: str, recipient: str
) -> None:
    arrive(ledger, sent(ledger, 1))
    assert not ledger.deliver(number, sender, recipient, 5)
    assert broken(ledger) == {"phantom": 1}


def test_accepted_and_not_in_the_store_is_found_once_it_was_read(ledger: Ledger) -> None:
    first, second = sent(ledger, 2)
    arrive(ledger, [first, second])
    assert ledger.violations() == CLEAN
    kept(ledger, [first])
    assert broken(ledger) == {"not_stored": 1}


def test_stored_twice(ledger: Ledger) -> None:
    numbers = sent(ledger, 2)
    arrive(ledger, numbers)
    kept(ledger, [*numbers, numbers[0]])
    assert broken(ledger) == {"stored_twice": 1}


def test_stored_in_another_order_than_delivered(ledger: Ledger) -> None:
    numbers = sent(ledger, 3)
    arrive(ledger, numbers)
    kept(ledger, [numbers[1], numbers[0], numbers[2]])
    assert broken(ledger) == {"stored_reordered": 1}


def test_a_message_given_up_is_not_outstanding_and_counts_once_if_it_arrives_after_all(
    ledger: Ledger,
) -> None:
    number = ledger.send(THERE, 0)
    ledger.refuse(number)
    assert (ledger.outstanding, ledger.unanswered) == (0, 0)
    arrive(ledger, [number])
    assert ledger.outstanding == 0


def test_latency_counts_from_the_due_time_and_only_in_the_span(ledger: Ledger) -> None:
    for due_ns in (1_000_000, 5_000_000, 9_000_000):
        number = ledger.send(THERE, due_ns)
        ledger.write(number, due_ns + 2_000_000)
        ledger.accept(number, due_ns + 3_000_000)
        ledger.deliver(number, A, B, due_ns + 4_000_000)
    assert ledger.accept_ms(5_000_000, 9_000_000) == [3.0]
    assert ledger.deliver_ms(5_000_000, 9_000_000) == [4.0]
    assert ledger.deliver_ms(0, 10_000_000, written=True) == [2.0] * 3
    assert ledger.lag_ms(5_000_000, 9_000_000) == [2.0]
    assert ledger.delivered_in(5_000_000, 9_000_001) == 2


def test_a_payload_names_its_ledger_and_its_number() -> None:
    book = Book()
    book.open([(A, B)])
    ledger = book.open([(A, B)])
    assert book.find(head(1, 42) + b"rest") == (ledger, 42)
    assert book.violations() == CLEAN


@pytest.mark.parametrize("payload", [b"", b"short", b"x" * 400, head(9, 1)])
def test_an_unknown_payload_is_a_phantom(payload: bytes) -> None:
    book = Book()
    book.open([(A, B)])
    assert book.find(payload) is None
    assert book.violations() == CLEAN | {"phantom": 1}


def test_violations_of_all_ledgers_are_added_up() -> None:
    book = Book()
    for _ in range(2):
        sent(book.open([(A, B)]), 3)
    assert book.violations() == CLEAN | {"lost": 6}
