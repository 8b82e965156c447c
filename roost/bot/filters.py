"""Predicates of handlers: each is called with a message and returns whether the handler is for it.

A predicate may be any callable, also a coroutine function's: ``lambda message: message.peer == "alice"``.
"""

import re
from collections.abc import Awaitable, Callable

from roost.bot.message import Message
from roost.client.content import Attachment, Reaction, Text
from roost.ids import fold_username

Predicate = Callable[[Message], bool | Awaitable[bool]]


def text(message: Message) -> bool:
    """Return whether it is text."""
    return isinstance(message.body, Text)


def file(message: Message) -> bool:
    """Return whether it brings a file."""
    return isinstance(message.body, Attachment)


def command(*names: str) -> Predicate:
    """Match ``/name`` with or without words after it, which are then ``message.arguments``.

    Raises:
        TypeError: There is no name, or one is no word.
    """
    if not names or not all(isinstance(name, str) and len(name.split()) == 1 for name in names):
        raise TypeError('a command is called by a word or several: command("help"), command("start", "help")')
    wanted = {f"/{name.removeprefix('/')}".casefold() for name in names}

    def matches(message: Message) -> bool:
        words = message.text.split() if text(message) else []
        message.arguments = words[1:]
        return bool(words) and words[0].casefold() in wanted

    return matches


def regex(pattern: str | re.Pattern[str], flags: int = 0) -> Predicate:
    """Match text in which the pattern is found; ``message.match`` is where."""
    compiled = re.compile(pattern, flags)

    def matches(message: Message) -> bool:
        message.match = compiled.search(message.text) if text(message) else None
        return message.match is not None

    return matches


def reaction(*emoji: str) -> Predicate:
    """Match a reaction, of these emoji if any are given; taking one away is a reaction of ``""``."""

    def matches(message: Message) -> bool:
        body = message.body
        return isinstance(body, Reaction) and (not emoji or body.emoji in emoji)

    return matches


def sender(*names: str) -> Predicate:
    """Match messages of these people."""
    people = {fold_username(name) for name in names}
    return lambda message: message.peer in people
