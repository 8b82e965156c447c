"""TLS contexts that follow their files: a renewed certificate is used at once, a broken one never.

The files are looked at whenever a connection begins, which costs some microseconds beside its handshake, so
that no timer has to. Connections that are open go on as they are.
"""

import ssl
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import structlog

from roost.tls import server_context

log = structlog.get_logger()

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Followed:
    """The newest context that could be made of some files.

    Args:
        make: Makes it.
        files: What it is made of.

    Raises:
        OSError: It cannot be made at first.
    """

    def __init__(self, make: Callable[[], ssl.SSLContext], files: Sequence[Path]) -> None:
        self._make, self._files = make, files
        self._stamp = self._look()
        self._newest = make()

    def newest(self) -> ssl.SSLContext:
        """Return it, made again if the files have changed; what cannot be used is said, once, and left."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            shown = [str(path) for path in self._files]
            try:
                self._newest = self._make()
            except (OSError, ValueError) as exc:
                log.error("certificate_unusable", files=shown, reason=str(exc), kept="the one before")  # noqa: TRY400 -- the reason is enough
            else:
                log.info("certificate_reloaded", files=shown)
        return self._newest

    def _look(self) -> _Stamp:
        return tuple(map(_stamp, self._files))


def followed_server_context(
    certificate: Path, key: Path | None = None, client_ca: Path | None = None
) -> ssl.SSLContext:
    """Return `server_context`, which shows each new connection the newest certificate of the files.

    Raises:
        OSError: A file cannot be read, or holds no PEM (`ssl.SSLError`).
    """
    make = partial(server_context, certificate, key, client_ca)
    followed = Followed(make, [path for path in (certificate, key, client_ca) if path is not None])

    def choose(
        connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        connection.context = followed.newest()

    context = make()
    # OpenSSL calls it for every connection, also for one that names no server.
    context.sni_callback = choose
    return context


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
