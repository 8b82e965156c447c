"""A message to oneself is told to be delivered once it is stored, and not before."""

from sim.deterministic.hosts import Host
from sim.deterministic.settling import move_roles
from sim.deterministic.steps import perform
from sim.deterministic.world import Plan, World


def test_a_note_is_told_to_be_delivered_once_it_is_stored() -> None:
    world = World(Plan(1, (2,)))
    host, note = world.hosts["h0"], _noted(world)
    assert host.writes() == ["documents", "rows", "wakeups"]
    _write(host, "documents")
    assert world.store.documents["ann"].keys() == {note}
    assert "receipts" in host.writes()
    while move_roles(world):
        pass
    assert world.store.rows["ann"]["ann"].delivered_seq == note


def test_a_note_that_cannot_be_stored_is_told_to_no_one() -> None:
    world = World(Plan(1, (2,)))
    host = world.hosts["h0"]
    _noted(world)
    _write(host, "documents", fate="refused")
    assert "receipts" not in host.writes()
    _write(host, "documents")
    assert "receipts" in host.writes()


def _noted(world: World) -> int:
    """Have a note to oneself handled, and nothing stored; returns its number."""
    phone = world.phones["ANN0000000"]
    world.connect(phone.device, "g0")
    while not phone.session.open:
        move_roles(world)
        perform(world, ("up", phone.device, 0, "done"))
        phone.read(1, world.now_ms)
    phone.say("ann", world.now_ms)
    for _ in range(2):  # the devices are asked for when the first attempt is refused
        phone.flush()
        perform(world, ("up", phone.device, 0, "done"))
        phone.read(1, world.now_ms)
    world.routers["r0"].turn(1)
    world.links.deliver("r0>h0", 1)
    return world.truth.messages.popitem()[1].seqs[0]


def _write(host: Host, kind: str, fate: str = "done") -> None:
    assert host.write(kind)
    while host.tasks:
        host.go_on(0, fate)  # type: ignore[arg-type]
