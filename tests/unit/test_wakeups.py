"""When a device is woken: if it is not here itself, whatever the user's other devices do."""

from collections.abc import Callable

import pytest
from msgspec import structs

from actors.user import effects as do
from actors.user import events as ev
from actors.user.devices import WAKE_AGAIN_MS
from storage.account_rows import Device
from storage.records import MessageRecord
from tests.unit.mailbox_world import BASE, ME, World

LATER_MS = 30_000


def poll(world: World, device: str, token: str, wait_ms: int = LATER_MS) -> None:
    world.feed(ev.SyncAsked(token, device, None, 10, world.now + wait_ms))
    world.run()


def message(
    world: World, number: int = 1, phones: tuple[str, ...] | None = None, *, urgent: bool = True
) -> int:
    """Hand over a message; returns its seq."""
    world.append("alice", number, phones)
    record = world.log[-1]
    assert isinstance(record, MessageRecord)
    world.log[-1] = structs.replace(record, urgent=urgent)
    world.run()
    return BASE + len(world.log) - 1


def woken(world: World) -> list[tuple[str, do.Held]]:
    """Return who was woken since the last look, and how."""
    found = [(wake.device, wake.held) for wake in world.wakes]
    world.wakes.clear()
    return found


def registered(world: World, device: str, since_ms: int | None) -> None:
    """The device's token as it is stored is another one now, or none."""
    token = None if since_ms is None else f"t{since_ms}"
    world.devices = tuple(
        structs.replace(each, push_token=token, push_since_ms=since_ms or 0)
        if each.device == device
        else each
        for each in world.devices
    )
    world.feed(ev.Refreshed("t", ME, world.devices))


ACTS: dict[str, Callable[[World, str], object]] = {
    "attach": lambda world, device: world.attach(device),
    "attach in the background": lambda world, device: world.attach(device, background=True),
    "detach": lambda world, device: world.detach(device),
    "poll": lambda world, device: poll(world, device, "t"),
    "sync": lambda world, device: poll(world, device, "t", 0),
    "go": lambda world, _: world.feed(ev.AskerGone("t")),
    "wait in vain": lambda world, _: world.pass_time(LATER_MS),
}

# --- what another device does ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        ([], [("P", ""), ("L", "")]),
        (["attach"], [("P", "beside")]),
        (["attach in the background"], [("P", ""), ("L", "")]),
        (["poll"], [("P", ""), ("L", "polled")]),
        (["poll", "wait in vain"], [("P", ""), ("L", "")]),
        (["sync"], [("P", ""), ("L", "")]),
        (["attach", "poll"], [("P", "beside")]),
    ],
    ids=str,
)
def test_a_phone_is_woken_whatever_a_laptop_does(
    acts: list[str], expected: list[tuple[str, do.Held]]
) -> None:
    world = World(("P", "L"), pushable=True)
    for act in acts:
        ACTS[act](world, "L")
    message(world)
    assert woken(world) == expected


# --- what the device itself does -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        (["attach"], []),
        (["poll", "attach"], []),
        (["attach in the background"], [("P", "")]),
        (["attach", "detach"], [("P", "")]),
        (["poll"], [("P", "polled")]),
        (["poll", "go"], [("P", "")]),
        (["poll", "go", "poll"], [("P", "polled")]),
        (["sync"], [("P", "")]),
    ],
    ids=str,
)
def test_a_phone_is_woken_unless_it_is_here_itself(
    acts: list[str], expected: list[tuple[str, do.Held]]
) -> None:
    world = World(pushable=True)
    for act in acts:
        ACTS[act](world, "P")
    message(world)
    assert woken(world) == expected


@pytest.mark.parametrize("background", [False, True])
def test_a_dead_socket_wakes_its_device_and_no_other_is_left_asleep(*, background: bool) -> None:
    world = World(("P", "L", "Q"), pushable=True)
    world.attach("L", background=background)
    message(world)
    asleep = [("P", "" if background else "beside"), ("Q", "" if background else "beside")]
    assert sorted(woken(world)) == sorted(asleep + ([("L", "")] if background else []))
    world.detach("L")
    assert woken(world) == ([] if background else [("L", "")]), "one wake-up is pending for each"


def test_a_socket_that_is_found_dead_by_the_next_host_wakes_as_well() -> None:
    world = World(pushable=True)
    world.attach("P")
    message(world)
    world.store_all()
    world.commit()
    world.crash()
    assert woken(world) == []
    world.detach("P")
    assert woken(world) == [("P", "")]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_a_socket_that_took_over_and_dies_wakes_for_what_the_one_before_was_told(
    *, crash: bool, background: bool
) -> None:
    """The app goes on behind what it was told and has not acknowledged."""
    world = World(pushable=True)
    world.attach("P")
    seq = message(world)
    if crash:
        world.store_all()
        world.commit()
        world.crash()
    world.phones["P"].stream = 9
    world.feed(ev.StreamAttached(9, "P", seq, 0, background, resume=False))
    assert woken(world) == []
    world.detach("P")
    assert woken(world) == [("P", "")]


@pytest.mark.parametrize("crash", [False, True])
def test_a_socket_that_took_over_and_acknowledged_wakes_no_one(*, crash: bool) -> None:
    world = World(pushable=True)
    world.attach("P")
    seq = message(world)
    if crash:
        world.store_all()
        world.commit()
        world.crash()
    world.phones["P"].stream = 9
    world.feed(ev.StreamAttached(9, "P", seq, 0, background=True, resume=False))
    world.ack("P", seq)
    world.detach("P")
    assert woken(world) == []


def test_what_was_acknowledged_wakes_no_one() -> None:
    world = World(pushable=True)
    world.attach("P")
    world.ack("P", message(world))
    world.store_all()
    world.commit()
    world.crash()
    world.detach("P")
    assert woken(world) == []


@pytest.mark.parametrize("resumed", [False, True])
def test_what_is_not_urgent_wakes_no_one(*, resumed: bool) -> None:
    world = World(("P", "L"), pushable=True)
    if resumed:
        world.attach("P")
    message(world, urgent=False)
    world.detach("P")
    assert woken(world) == []


def test_a_message_for_one_device_wakes_that_one() -> None:
    world = World(("P", "L"), pushable=True)
    message(world, phones=("L",))
    assert woken(world) == [("L", "")]


# --- one is pending --------------------------------------------------------------------------------


def test_one_wakeup_is_pending_for_each_device() -> None:
    world = World(("P", "L"), pushable=True)
    world.attach("L")
    message(world, 1)
    message(world, 2)
    assert woken(world) == [("P", "beside")]
    world.attach("P")
    world.detach("P")  # with both messages unacknowledged: it is woken again
    assert woken(world) == [("P", "beside")]
    message(world, 3)
    assert woken(world) == []
    world.now += WAKE_AGAIN_MS
    message(world, 4)
    assert woken(world) == [("P", "beside")]


RETURNS: dict[str, Callable[[World, int], object]] = {
    "a stream": lambda world, _: world.attach("P", background=True),
    "a sync": lambda world, _: poll(world, "P", "t", 0),
    "an acknowledgement over HTTP": lambda world, seq: world.feed(ev.Acked("P", seq, None, "t")),
}


@pytest.mark.parametrize("comes", RETURNS.values(), ids=RETURNS)
def test_a_device_that_came_is_woken_again_and_nothing_that_is_marked_counts(
    comes: Callable[[World, int], object],
) -> None:
    world = World(pushable=True)
    seq = message(world, 1)
    [first] = world.wakes
    comes(world, seq)
    message(world, 2)
    [_, second] = world.wakes
    assert (first.fresh, second.fresh) == (False, True)


def test_an_acknowledgement_in_the_background_lets_it_be_woken_again() -> None:
    """The app was frozen right after it, and its stream stays open for a while."""
    world = World(pushable=True)
    world.attach("P", background=True)
    world.ack("P", message(world, 1))
    message(world, 2)
    assert woken(world) == [("P", ""), ("P", "")]


# --- tokens ----------------------------------------------------------------------------------------


def test_a_fresh_token_is_pushed_at_once() -> None:
    world = World(pushable=True)
    message(world, 1)
    assert woken(world) == [("P", "")]
    registered(world, "P", None)  # the first was not registered any longer
    message(world, 2)
    assert woken(world) == []
    registered(world, "P", 5)
    assert [(wake.device, wake.fresh) for wake in world.wakes] == [("P", True)]
    registered(world, "P", 5)
    assert len(world.wakes) == 1, "it is the same one"


def test_the_same_token_registered_again_is_a_fresh_one() -> None:
    world = World(pushable=True)
    message(world, 1)
    registered(world, "P", 5)
    assert len(woken(world)) == 2


def reload(world: World, *, renewed: str = "") -> list[tuple[str, do.Held]]:
    """Let the actor be loaded from the store, and hear of its devices; returns who is woken then."""
    world.wakes.clear()
    world.store_all()
    world.commit()
    world.load()
    world.feed(ev.Refreshed("t", ME, world.devices, renewed))
    return woken(world)


def test_a_token_that_is_fresh_to_an_actor_just_loaded_is_pushed_for_what_waits() -> None:
    world = World(("P", "L"), pushable=True)
    message(world)
    assert reload(world) == [], "the tokens are those of before"
    assert reload(world, renewed="L") == [("L", "")]
    world.feed(ev.Refreshed("t", ME, world.devices, "L"))
    assert woken(world) == [], "the gateway asks again until it is answered"


def test_a_token_that_is_fresh_after_the_loading_is_pushed_for_what_came_before() -> None:
    world = World(pushable=True)
    message(world)
    assert reload(world) == []
    registered(world, "P", 5)
    assert woken(world) == [("P", "")]


def test_a_fresh_token_is_pushed_for_what_waits_though_its_device_asked_before_and_left() -> None:
    world = World(pushable=True)
    message(world)
    assert reload(world) == []
    poll(world, "P", "t")
    world.feed(ev.AskerGone("t"))
    world.feed(ev.Refreshed("t", ME, world.devices, "P"))
    assert woken(world) == [("P", "")]


def test_a_fresh_token_of_a_device_that_has_all_wakes_no_one_after_the_loading_either() -> None:
    world = World(pushable=True)
    world.attach("P")
    world.ack("P", message(world))
    assert reload(world, renewed="P") == []


def test_a_fresh_token_wakes_no_one_who_is_here_or_has_all() -> None:
    world = World(pushable=True)
    world.attach("P")
    seq = message(world, 1)
    registered(world, "P", 5)
    world.ack("P", seq)
    world.detach("P")
    registered(world, "P", 6)
    assert woken(world) == []


@pytest.mark.parametrize("urgent", [False, True])
def test_a_new_device_is_woken_for_what_came_before_it_was_known(*, urgent: bool) -> None:
    world = World(pushable=True)
    world.attach("P")  # so that the message is in memory yet
    message(world, 1, ("P", "N"), urgent=urgent)
    world.devices = (*world.devices, Device("me", "N", "", 1, push_token="n", push_since_ms=9))
    world.feed(ev.Refreshed("t", ME, world.devices))
    assert woken(world) == ([("N", "beside")] if urgent else [])


def added(world: World, device: Device) -> list[tuple[str, do.Held]]:
    """The actor hears of a device that it did not know; returns who is woken then."""
    world.wakes.clear()
    world.devices = (*world.devices, device)
    world.feed(ev.Refreshed("t", ME, world.devices))
    return woken(world)


@pytest.mark.parametrize("later", [False, True])
def test_a_new_device_is_woken_for_what_was_evicted_before_it_was_known(*, later: bool) -> None:
    """Its user's other device has acknowledged it: it is in the store only. Its token may come later."""
    world = World(pushable=True)
    world.attach("P")
    seq = message(world, 1, ("P", "N"))
    world.store_all()
    world.ack("P", seq)
    assert len(world.actor.head) == 0
    device = Device("me", "N", "", 1, keys={}, push_token=None if later else "n", push_since_ms=9)
    assert added(world, device) == ([] if later else [("N", "beside")])
    if later:
        registered(world, "N", 10)
        assert woken(world) == [("N", "beside")]


@pytest.mark.parametrize(
    "device",
    [
        Device("me", "N", "", 1, push_token="n"),
        Device("me", "N", "", 1, keys={}, push_token="n", from_seq=BASE),
    ],
    ids=["no keys", "added after it"],
)
def test_a_new_device_is_not_woken_for_what_cannot_be_its(device: Device) -> None:
    world = World(pushable=True)
    world.attach("P")
    seq = message(world, 1, ("P",))
    world.store_all()
    world.ack("P", seq)
    assert added(world, device) == []


def test_a_device_that_is_added_with_a_token_is_woken_by_the_next_message() -> None:
    world = World(pushable=True)
    message(world, 1)
    world.wakes.clear()
    world.phones["N"] = type(world.phones["P"])("N")
    world.devices = (*world.devices, Device("me", "N", "", 1, push_token="n", push_since_ms=9, from_seq=BASE))
    world.feed(ev.Refreshed("t", ME, world.devices))
    assert woken(world) == []
    message(world, 2, ("N",))
    assert woken(world) == [("N", "")]


def test_most_users_have_no_token_and_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(("P", "L"))
    world.attach("L")

    def asked(*_: object) -> None:
        raise AssertionError("how a device reads is of no interest")

    monkeypatch.setattr(type(world.actor.mailbox), "how_reads", asked)
    message(world)
    world.detach("L")
    assert woken(world) == []
