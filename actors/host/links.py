"""What comes over links, whoever is at the other end: each message to the part that handles it."""

from collections.abc import Callable
from typing import Any

import structlog

from actors.host.gateways import FromGateways
from actors.host.routers import FromRouters
from actors.rpc import messages as msg
from actors.rpc.link import Link
from actors.user import events as ev

log = structlog.get_logger()


class FromLinks(FromRouters, FromGateways):
    """Messages of routers and gateways, and the beginning and end of their links."""

    def opened(self, link: Link) -> None:
        """A router or gateway is there."""
        log.info("link_opened", peer_role=link.role, peer=link.name)
        if link.role == "gateway":
            self._gateways.add(link)
        elif link.role == "router":
            self._readers[link] = None

    def received(self, link: Link, messages: list[Any]) -> None:
        """Turn messages into events."""
        for message in messages:
            handler = _FROM_LINK.get(type(message))
            if handler is not None:
                handler(self, link, message)
            else:
                self._question(link, message)

    def closed(self, link: Link) -> None:
        """Detach the streams of a gateway that is gone; forget a router."""
        log.info("link_closed", peer_role=link.role, peer=link.name)
        self._gateways.discard(link)
        self._readers.pop(link, None)
        for shard in [n for n, router in self._routers.items() if router is link]:
            del self._routers[shard]
        for key in self._outlets.streams_of(link):
            self._detach(key)
        for watcher, user in self._outlets.watches_of(link):
            self._post(user, ev.Unwatched(watcher))


_FROM_LINK: dict[type, Callable[[FromLinks, Link, Any], None]] = {
    msg.Open: FromLinks._open,  # noqa: SLF001 - the table is part of the class
    msg.Batch: FromLinks._batch,  # noqa: SLF001
    msg.Shut: FromLinks._shut,  # noqa: SLF001
    msg.Since: FromLinks._since_said,  # noqa: SLF001
    msg.Attach: FromLinks._attach,  # noqa: SLF001
    msg.Detach: FromLinks._detached,  # noqa: SLF001
    msg.Ack: FromLinks._ack,  # noqa: SLF001
    msg.Typing: FromLinks._typing,  # noqa: SLF001
    msg.Watch: FromLinks._watch,  # noqa: SLF001
    msg.Unwatch: FromLinks._unwatch,  # noqa: SLF001
}
