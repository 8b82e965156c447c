"""What the app is told, as what happened in conversations: the history is told of it first."""

from roost.client import events, thread
from roost.client.state import OutboxItem
from roost.client.store.history import History


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
        tell = self._history.tell
        match event:
            case events.MessageReceived():
                tell(event.peer, _received(event))
            case events.Undecryptable():
                sent_at_ms = event.sent_at_ms or now_ms
                tell(
                    event.peer,
                    thread.Unreadable(
                        *(event.peer, event.device, event.id, event.at_ms or now_ms, sent_at_ms),
                        *(event.reason, event.seq),
                    ),
                )
            case events.Accepted():
                tell(event.peer, thread.Accepted(event.id, event.seq, event.at_ms or now_ms))
            case events.Delivered(ids=ids):
                tell(event.peer, thread.Receipt(delivered_seq=event.seq))
                if ids:
                    tell(event.peer, thread.Delivered(ids))
            case events.Read():
                tell(event.peer, thread.Receipt(read_seq=event.seq))
            case events.Failed():
                tell(event.peer, thread.Failed(event.id, event.code))
            case events.Expired():
                tell(event.peer, thread.Expired(event.id))
            case events.IdChanged():
                tell(event.peer, thread.Renamed(event.id, event.new_id))

    def pass_time(self, now_ms: int) -> bool:
        """Have the messages removed whose time is over; return whether there are some."""
        return self._history.pass_time(now_ms)


def _received(event: events.MessageReceived) -> thread.Written:
    return thread.Written(
        *(event.peer, event.device, event.id, event.content, event.at_ms, event.sent_at_ms),
        *(event.seq, event.expires_at_ms),
    )
