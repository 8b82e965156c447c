"""Questions of gateways, each answered by one `Reply`. Its token is the link and the number of the call."""

from collections.abc import Callable
from typing import Any

from actors.rpc import questions as q
from actors.user import events as ev

_EVENTS: dict[type, Callable[[Any, object, int], ev.Event]] = {
    q.Sync: lambda of, token, now: ev.SyncAsked(token, of.device, of.cursor, of.limit, now + of.wait_ms),
    q.AckUpTo: lambda of, token, _: ev.Acked(of.device, of.seq, None, token),
    q.ReadUpTo: lambda of, token, _: ev.ReadMarked(of.peer, of.peer_name, of.seq, token),
    q.AddContact: lambda of, token, _: ev.ContactMade(token, of.peer, of.peer_name),
    q.PresenceOf: lambda of, token, _: ev.PresenceAsked(token, of.watcher),
    q.Watermarks: lambda of, token, _: ev.MarksAsked(token, of.peer),
    q.RoomFor: lambda of, token, _: ev.RoomAsked(token, of.sender),
}


def event_of(question: q.Question, token: object, now_ms: int) -> ev.Event:
    """Return the event that a question is to the actor."""
    return _EVENTS[type(question)](question, token, now_ms)


def answer(token: object, given: q.Answer) -> None:
    """Answer a question; a token of None is none."""
    if isinstance(token, tuple):
        link, call = token
        link.send(q.Reply(call, given))


def answer_done(token: object) -> None:
    """Answer that what was asked for is done."""
    answer(token, q.Done())
