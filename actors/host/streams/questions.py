"""Questions of gateways, each answered by one `Reply`. Its token is the link and the number of the call."""

from collections.abc import Callable
from typing import Any

from actors.rpc import messages as msg
from actors.user import events as ev

_EVENTS: dict[type, Callable[[Any, object, int], ev.Event]] = {
    msg.Sync: lambda q, token, now: ev.SyncAsked(token, q.device, q.cursor, q.limit, now + q.wait_ms),
    msg.AckUpTo: lambda q, token, _: ev.Acked(q.device, q.seq, None, token),
    msg.ReadUpTo: lambda q, token, _: ev.ReadMarked(q.peer, q.peer_name, q.seq, token),
    msg.AddContact: lambda q, token, _: ev.ContactMade(token, q.peer, q.peer_name),
    msg.PresenceOf: lambda q, token, _: ev.PresenceAsked(token, q.watcher),
    msg.Watermarks: lambda q, token, _: ev.MarksAsked(token, q.peer),
    msg.RoomFor: lambda q, token, _: ev.RoomAsked(token, q.sender),
}


def event_of(question: msg.Question, token: object, now_ms: int) -> ev.Event:
    """Return the event that a question is to the actor."""
    return _EVENTS[type(question)](question, token, now_ms)


def answer(token: object, given: msg.Answer) -> None:
    """Answer a question; a token of None is none."""
    if isinstance(token, tuple):
        link, call = token
        link.send(msg.Reply(call, given))


def answer_done(token: object) -> None:
    """Answer that what was asked for is done."""
    answer(token, msg.Done())
