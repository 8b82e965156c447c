"""Signals between users besides messages: read marks and typing."""

from typing import Literal

from actors.rpc import messages as m
from actors.rpc import questions as q
from api.host_links import HostLinks
from api.identity.directory import Directory
from api.identity.tokens import Principal


class Signals:
    """Passes signals to the hosts concerned."""

    def __init__(self, hosts: HostLinks, directory: Directory) -> None:
        self._hosts = hosts
        self._directory = directory

    async def mark_read(self, principal: Principal, peer: str, seq: int) -> None:
        """Pass on how far the user has read.

        Raises:
            RoostError: ``unknown_user``, ``unavailable``, or what the host refuses it with.
        """
        person = await self._directory.known(peer)
        question = q.ReadUpTo(0, principal.user, principal.username, person.user, person.username, seq)
        await self._hosts.ask(principal.user, question)

    async def typing(self, principal: Principal, peer: str, state: Literal["typing", "paused"]) -> None:
        """Pass on that the user types; lost if the peer's host is away, as typing may be.

        Raises:
            RoostError: ``unknown_user``.
        """
        person = await self._directory.known(peer)
        self._hosts.tell(person.user, m.Typing(person.user, principal.user, principal.username, state))
