"""Roles are spread over machines, and move only to lower the highest load."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from actors.service import Node
from cluster.control.node_placement import Seat, choose, next_move

ROLES = ("gateway", "host", "pusher", "router")
crews = st.fixed_dictionaries({role: st.integers(1, 9) for role in ROLES})


def nodes(count: int, cpus: float = 2.0) -> list[Node]:
    return [Node(f"n{number}", f"10.0.0.{number}", cpus=cpus) for number in range(count)]


def seated(crew: dict[str, int], there: list[Node]) -> dict[str, Seat]:
    seats: dict[str, Seat] = {}
    for role, count in crew.items():
        for number in range(count):
            seats[f"{role}-{number}"] = Seat(role, choose(role, list(seats.values()), there))
    return seats


def settled(seats: dict[str, Seat], there: list[Node]) -> list[tuple[str, str]]:
    moved: list[tuple[str, str]] = []
    while (move := next_move(seats, there)) is not None:
        name, target = move
        seats[name] = Seat(seats[name].role, target)
        moved.append(move)
        assert len(moved) <= 4 * len(seats), "it never comes to rest"
    return moved


def spread(seats: dict[str, Seat], there: list[Node], role: str) -> int:
    counts = Counter(seat.node_id for seat in seats.values() if seat.role == role)
    numbers = [counts[node.id] for node in there]
    return max(numbers) - min(numbers)


@given(crews, st.integers(1, 6))
def test_each_kind_is_spread_and_nobody_has_to_move_afterwards(crew: dict[str, int], count: int) -> None:
    there = nodes(count)
    seats = seated(crew, there)
    assert all(spread(seats, there, role) <= 1 for role in ROLES)
    assert len(settled(seats, there)) <= len(ROLES)


@given(crews, st.integers(2, 6))
def test_a_new_machine_gets_its_share_and_moves_end(crew: dict[str, int], count: int) -> None:
    there = nodes(count)
    seats = seated(crew, there[:-1])
    settled(seats, there[:-1])
    moved = settled(seats, there)
    assert len(moved) <= -(-len(seats) // count) + len(ROLES)
    totals = Counter(seat.node_id for seat in seats.values())
    assert totals[there[-1].id] >= len(seats) // count - len(ROLES)
    assert all(spread(seats, there, role) <= 1 for role in ROLES)


@given(crews, st.integers(2, 6))
def test_who_sits_on_a_machine_that_goes_moves_and_nobody_else_must(crew: dict[str, int], count: int) -> None:
    there = nodes(count)
    seats = seated(crew, there)
    settled(seats, there)
    leaving = {name for name, seat in seats.items() if seat.node_id == there[0].id}
    moved = settled(seats, there[1:])
    assert leaving <= {name for name, _ in moved}
    assert len(moved) <= len(leaving) + len(ROLES)
    assert there[0].id not in {seat.node_id for seat in seats.values()}


def test_hosts_follow_cores_and_gateways_do_not() -> None:
    there = [Node("small", "10.0.0.1", cpus=2.0), Node("big", "10.0.0.2", cpus=6.0)]
    seats = seated({"host": 8, "gateway": 4}, there)
    counts = Counter(seats.values())
    assert counts[Seat("host", "big")] == 6
    assert counts[Seat("gateway", "big")] == 2


def test_without_machines_nothing_moves() -> None:
    assert choose("host", [], []) == ""
    assert next_move({"host-1": Seat("host", "gone")}, []) is None
