"""The re-encryption of the store, as an operator's command: followed on the terminal, stopped with Ctrl-C."""

import asyncio
import contextlib
import json
import sys
from collections import Counter
from typing import Final, Self

from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cluster import key_ring
from cluster.cli.running_store import opened_store
from cluster.cli.verbs import again
from cluster.settings import Settings
from roost.cli.terminal import DID_NOT_HOLD, DONE, Waiting, complain, say
from roost.clock import now_ms
from storage.keyring import KeyRing, State
from storage.mongo import MongoStore
from storage.mongo.reencryption import UNSEALED, Place, Reencryption

_PASSES: Final = 3
"""A write that began before a key's turn may end after it, behind the walk."""

_LONGEST_WAIT_S: Final = 60.0


async def reencrypt(settings: Settings, url: str | None, *, as_json: bool) -> int:
    """Seal everything with the active keys, and say what is left; returns the exit code."""
    ring = key_ring.load(settings)
    if (waiting_s := _until_all_are_used(ring)) > _LONGEST_WAIT_S:
        return complain(
            f"A new key is not used before {waiting_s:.0f} s from now; run this then.", DID_NOT_HOLD
        )
    if waiting_s > 0:
        say(f"A new key is used in {waiting_s:.0f} s: waiting.")
        await asyncio.sleep(waiting_s)
    async with _opened(settings, url, ring) as store:
        walked = await _walked(store.reencryption)
        if walked is None:
            return DID_NOT_HOLD
        place, uses = walked
    return _told(settings, ring, place, uses, as_json=as_json)


async def uses_of(settings: Settings, url: str | None) -> Counter[str]:
    """Return how many stored values each key has sealed, by its id."""
    async with _opened(settings, url, key_ring.load(settings)) as store:
        return await store.reencryption.census()


async def _walked(work: Reencryption) -> tuple[Place, Counter[str]] | None:
    """Walk until nothing old is left; None if it was stopped."""
    begin = await work.stopped_at()
    if begin is not None:
        say(f"Going on where it was stopped: in {begin.collection}.")
    changed, place, uses = 0, Place(""), Counter[str]()
    try:
        for _ in range(_PASSES):
            place = Place("")
            with Shown(await work.totals()) as shown:
                async for place in work.walk(begin):
                    shown.at(place)
            changed += place.changed
            begin, uses = None, await work.census()
            if not set(uses) - work.active_keys:
                break
    except asyncio.CancelledError:
        say(
            f"Stopped after {changed + place.changed} documents, in {place.collection or 'the first step'}; "
            "nothing is half done. Run it again to go on from there."
        )
        return None
    return structs.replace(place, changed=changed), uses


def _told(settings: Settings, ring: KeyRing, place: Place, uses: Counter[str], *, as_json: bool) -> int:
    if not uses[UNSEALED] and not place.broken and ring.secrets.lenient:
        # From now on none is read: who can write to the store could put in values of their own.
        key_ring.file_of(settings).change(
            lambda content: structs.replace(content, lenient=False, serial=content.serial + 1)
        )
    old = [key for key in ring.secrets.keys if ring.state_of(key) is State.OLD]
    free = [key.id for key in old if not uses[key.id]]
    left = {key.id: uses[key.id] for key in old if uses[key.id]} | (
        {UNSEALED: uses[UNSEALED]} if uses[UNSEALED] else {}
    )
    if as_json:
        told = {"changed": place.changed, "broken": place.broken, "left": left, "can_retire": free}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(f"{place.changed} documents were sealed with the active keys.\n")
        for key_id in free:
            next_step = f"roost keys retire {key_id}{again(settings)}"
            sys.stdout.write(f"Nothing is sealed with {key_id} any longer: {next_step}\n")
    for each in place.broken:
        say(f"{each} does not open: it was altered, or its key is gone. Restore it from a backup.")
    for key_id, number in left.items():
        say(f"{number} values are {key_id if key_id == UNSEALED else f'still sealed with {key_id}'}.")
    return DID_NOT_HOLD if place.broken or left else DONE


def _until_all_are_used(ring: KeyRing) -> float:
    """Return in how many seconds every storage and index key is used."""
    now = now_ms()
    keys = [*ring.secrets.usable("storage", now), *ring.secrets.usable("index", now)]
    return max(0, *(key.not_before_ms - now for key in keys)) / 1000


def _opened(
    settings: Settings, url: str | None, ring: KeyRing
) -> contextlib.AbstractAsyncContextManager[MongoStore]:
    named = settings if url is None else settings.changed({"mongo": {"url": url}})
    return opened_store(named, ring)


class Shown:
    """How far it is: a bar on a terminal, a line now and then elsewhere.

    Args:
        totals: Documents by collection.
    """

    def __init__(self, totals: dict[str, int]) -> None:
        self._total = sum(totals.values())
        self._before: dict[str, int] = {}
        console = Console(stderr=True)
        self._waiting = None if console.is_terminal else Waiting(float("inf"))
        columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, console=console, disable=self._waiting is not None)
        self._task = self._bar.add_task("", total=self._total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def at(self, place: Place) -> None:
        """Show where it is."""
        self._before[place.collection] = place.documents
        done = sum(self._before.values())
        self._bar.update(self._task, completed=done, description=place.collection)
        if self._waiting is not None:
            self._waiting.say(f"{place.collection}: {done} of {self._total} documents")
