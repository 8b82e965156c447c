"""Roles are spread over machines, and move only to lower the highest load."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from actors.service import Node
from cluster.operations.node_placement import Placement, choose, next_move

ROLES = ("gateway", "host", "pusher", "router")
role_counts = st.fixed_dictionaries({role: st.integers(1, 9) for role in ROLES})


def nodes(count: int, cpus: float = 2.0) -> list[Node]:
    return [Node(f"n{number}", f"10.0.0.{number}", cpus=cpus) for number in range(count)]


def placed(counts: dict[str, int], there: list[Node]) -> dict[str, Placement]:
    placements: dict[str, Placement] = {}
    for role, count in counts.items():
        for number in range(count):
            placements[f"{role}-{number}"] = Placement(role, choose(role, list(placements.values()), there))
    return placements


def settled(placements: dict[str, Placement], there: list[Node]) -> list[tuple[str, str]]:
    moved: list[tuple[str, str]] = []
    while (move := next_move(placements, there)) is not None:
        name, target = move
        placements[name] = Placement(placements[name].role, target)
        moved.append(move)
        assert len(moved) <= 4 * len(placements), "it never comes to rest"
    return moved


def spread(placements: dict[str, Placement], there: list[Node], role: str) -> int:
    counts = Counter(placement.node_id for placement in placements.values() if placement.role == role)
    numbers = [counts[node.id] for node in there]
    return max(numbers) - min(numbers)


@given(role_counts, st.integers(1, 6))
def test_each_kind_is_spread_and_needs_no_further_move(counts: dict[str, int], count: int) -> None:
    there = nodes(count)
    placements = placed(counts, there)
    assert all(spread(placements, there, role) <= 1 for role in ROLES)
    assert len(settled(placements, there)) <= len(ROLES)


@given(role_counts, st.integers(2, 6))
def test_a_new_machine_gets_its_share_and_moves_end(counts: dict[str, int], count: int) -> None:
    there = nodes(count)
    placements = placed(counts, there[:-1])
    settled(placements, there[:-1])
    moved = settled(placements, there)
    assert len(moved) <= -(-len(placements) // count) + len(ROLES)
    totals = Counter(placement.node_id for placement in placements.values())
    assert totals[there[-1].id] >= len(placements) // count - len(ROLES)
    assert all(spread(placements, there, role) <= 1 for role in ROLES)


@given(role_counts, st.integers(2, 6))
def test_only_roles_on_a_leaving_machine_must_move(counts: dict[str, int], count: int) -> None:
    there = nodes(count)
    placements = placed(counts, there)
    settled(placements, there)
    leaving = {name for name, placement in placements.items() if placement.node_id == there[0].id}
    moved = settled(placements, there[1:])
    assert leaving <= {name for name, _ in moved}
    assert len(moved) <= len(leaving) + len(ROLES)
    assert there[0].id not in {placement.node_id for placement in placements.values()}


def test_hosts_follow_cores_and_gateways_do_not() -> None:
    there = [Node("small", "10.0.0.1", cpus=2.0), Node("big", "10.0.0.2", cpus=6.0)]
    placements = placed({"host": 8, "gateway": 4}, there)
    counts = Counter(placements.values())
    assert counts[Placement("host", "big")] == 6
    assert counts[Placement("gateway", "big")] == 2


def test_without_machines_nothing_moves() -> None:
    assert choose("host", [], []) == ""
    assert next_move({"host-1": Placement("host", "gone")}, []) is None
