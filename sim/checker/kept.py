"""The rules for what may be gone from a mailbox: swept, disappeared, or erased with its owner."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from sim.checker.facts import Device, Message
from sim.limits import Limits

SECOND_US: Final = 1_000_000

_ROUNDED_US: Final = SECOND_US
"""The server's times of use are known to the second."""

LATE_US: Final = 5 * SECOND_US
"""What was on its way when a message's time was over, or an account was deleted, may come so much later."""

_ANSWER_US: Final = 10 * SECOND_US
"""A gateway asks a host again after five seconds whether a mailbox is full, which has to hear of it, too."""


class Kept:
    """What one mailbox may have lost by the limits of its server.

    A message may be swept once it is old, or too many came behind it, and every device that is in use has
    acknowledged it. The server looks at any moment, so there must be one at which all of that was so. The
    longer one waits the more may go, until a device is used again: only those moments, and the end, are
    tried.

    Args:
        limits: Of the server.
        devices: The owner's.
        messages: All messages to the mailbox.
        end_us: The last event of the mailbox.
    """

    def __init__(
        self, limits: Limits, devices: Iterable[Device], messages: Iterable[Message], end_us: int
    ) -> None:
        self._limits = limits
        self._devices = [device for device in devices if device.created_us is not None]
        self._numbers = sorted(message.true_number for message in messages if message.true_number)
        self._moments = sorted({end_us, *(at for device in self._devices for at in device.uses)})

    def may_be_gone(self, message: Message, until_us: int) -> bool:
        """Return whether the sweep may have taken a message by some time."""
        if not self._limits.sweeps:
            return False
        moments = self._moments[: bisect_right(self._moments, until_us)]
        return any(self._may_go(message, at_us) for at_us in (*moments, until_us))

    def was_forgotten(self, device: Device, until_us: int) -> bool:
        """Return whether a device was not used for so long, by some time, that it held no entry back."""
        life_us = self._limits.device_s * SECOND_US
        uses = [*(at for at in device.uses if at <= until_us), until_us]
        gaps = (after - before + _ROUNDED_US for before, after in pairwise(uses))
        return life_us > 0 and any(gap >= life_us for gap in gaps)

    def has_room(self, since_us: int, devices: Sequence[Device], waiting: Iterable[Message]) -> bool:
        """Return whether fewer messages than the limit waited when a sender was told that it is full.

        Args:
            since_us: When it was told.
            devices: The owner's: the furthest counts.
            waiting: The messages that were handed to an SDK by then, and ever accepted.
        """
        acked = max((device.acked_by(since_us - _ANSWER_US) for device in devices), default=0)
        return sum(message.true_number > acked for message in waiting) < self._limits.waiting

    def _may_go(self, message: Message, at_us: int) -> bool:
        in_use = [device for device in self._devices if self._is_in_use(device, at_us)]
        if any(device.acked_by(at_us) < message.true_number for device in in_use if device.must_get(message)):
            return False
        age_s = (at_us - message.intent_us + _ROUNDED_US) / SECOND_US
        limits = self._limits
        return (
            0 < limits.entry_s <= age_s
            or (bool(in_use) and 0 < limits.delivered_s <= age_s)
            or (limits.kept > 0 and self._is_crowded(message))
        )

    def _is_crowded(self, message: Message) -> bool:
        """Return whether so many came behind a message; the owner's own copies count, and are not known."""
        behind = len(self._numbers) - bisect_right(self._numbers, message.true_number)
        return behind >= self._limits.kept or len(self._devices) > 1

    def _is_in_use(self, device: Device, at_us: int) -> bool:
        """Return whether a device was, just before, if this is when it was used again."""
        place, life_us = bisect_left(device.uses, at_us), self._limits.device_s * SECOND_US
        return place > 0 and (not life_us or device.uses[place - 1] + life_us > at_us + _ROUNDED_US)


def had_disappeared(message: Message, by_us: int) -> bool:
    """Return whether a message's own time may have been over: it began when the server accepted it."""
    return bool(message.expires_us) and message.intent_us + message.expires_us <= by_us


def is_overdue(message: Message, at_us: int) -> bool:
    """Return whether a message must have disappeared long ago."""
    began_us = message.accepted_us
    return bool(message.expires_us and began_us) and began_us + message.expires_us + LATE_US < at_us
