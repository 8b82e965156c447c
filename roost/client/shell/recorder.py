"""What the app is told, as what happened in conversations: the history is told of it first."""

from typing import Final

from roost.client import events, thread
from roost.client.state import OutboxItem
from roost.client.store.history import History

NO_COPY: Final = "no_copy"
"""Why a message of another own device cannot be shown: it made no copy for this one."""


class Recorder:
    """Writes one device's history.

    Args:
        history: Where it is kept.
        username: This user.
        device_id: This device.
    """

    def __init__(self, history: History, username: str, device_id: str) -> None:
        history.belongs_to(username)
        self._history = history
        self._me = username
        self._device = device_id

    def submitted(self, item: OutboxItem) -> None:
        """Record a message that this device sends."""
        end_ms = None if item.expires_in_s is None else item.sent_at_ms + item.expires_in_s * 1000
        self._history.tell(
            item.to,
            thread.Written(
                *(self._me, self._device, item.id, item.content),
                at_ms=item.sent_at_ms,
                sent_at_ms=item.sent_at_ms,
                expires_at_ms=end_ms,
            ),
        )

    def read_up_to(self, peer: str, seq: int) -> None:
        """Record that this user has read what ``peer`` wrote."""
        self._history.read_up_to(peer, seq)

    def told(self, event: events.Event, now_ms: int) -> None:
        """Record an event, if it is one of a conversation."""
        match event:
            case events.MessageReceived():
                self._history.tell(event.peer, _received(event))
            case events.Undecryptable():
                self._history.tell(event.peer, _unreadable(event, now_ms))
            case events.SentElsewhere(content=None, silent=True):
                return  # it changed what is shown of another message, and there is no telling what
            case events.SentElsewhere():
                self._history.tell(event.peer, self._copy(event))
            case (
                events.Accepted()
                | events.Delivered()
                | events.Read()
                | events.Failed()
                | events.Expired()
                | events.IdChanged()
            ):
                for happened in _progress(event, now_ms):
                    self._history.tell(event.peer, happened)

    def pass_time(self, now_ms: int) -> bool:
        """Have the messages removed whose time is over; return whether there are some."""
        return self._history.pass_time(now_ms)

    def _copy(self, event: events.SentElsewhere) -> thread.Event:
        if event.content is None:
            return thread.Unreadable(
                *(self._me, event.device, event.id, event.at_ms, event.sent_at_ms),
                *(event.reason or NO_COPY, event.seq),
            )
        return thread.Written(
            *(self._me, event.device, event.id, event.content, event.at_ms, event.sent_at_ms),
            *(event.seq, event.expires_at_ms),
        )


def _received(event: events.MessageReceived) -> thread.Event:
    return thread.Written(
        *(event.peer, event.device, event.id, event.content, event.at_ms, event.sent_at_ms),
        *(event.seq, event.expires_at_ms),
    )


def _unreadable(event: events.Undecryptable, now_ms: int) -> thread.Event:
    at_ms = event.at_ms or now_ms
    return thread.Unreadable(
        *(event.peer, event.device, event.id, at_ms, event.sent_at_ms or at_ms, event.reason, event.seq)
    )


def _progress(event: events.Event, now_ms: int) -> list[thread.Event]:  # noqa: PLR0911 - a line an event
    """Return how far one's own messages got."""
    match event:
        case events.Accepted():
            return [thread.Accepted(event.id, event.seq, event.at_ms or now_ms)]
        case events.Delivered():
            return [thread.Receipt(delivered_seq=event.seq), thread.Delivered(event.ids)]
        case events.Read():
            return [thread.Receipt(read_seq=event.seq)]
        case events.Failed():
            return [thread.Failed(event.id, event.code)]
        case events.Expired():
            return [thread.Expired(event.id)]
        case events.IdChanged():
            return [thread.Renamed(event.id, event.new_id)]
        case _:
            return []
