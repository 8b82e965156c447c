"""Checks of the way to servers of one's own: encrypted, verified, and with a sign-in that can be read."""

from collections.abc import Iterator

from cluster.doctor.finding import Finding, failed, ok, warning
from cluster.settings import Settings, cleartext
from roost.tls import trusting

_EXCEPTION = "ROOST_CLEARTEXT__SERVERS_INSECURE"


def findings(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong, or that nothing is."""
    wrong = [*_cleartext(settings), *_files(settings), *_authorities(settings), *_options(settings)]
    yield from wrong or [ok("encryption", "nothing leaves this machine for a server without TLS")]


def _cleartext(settings: Settings) -> Iterator[Finding]:
    for what, fix in cleartext.found(settings):
        if settings.cleartext.servers_insecure:
            yield warning("encryption", f"{what}, by {_EXCEPTION}", fix)
        else:
            yield failed(
                "encryption",
                what,
                f"{fix} On a network that no one else is on, {_EXCEPTION}=true permits it.",
            )


def _files(settings: Settings) -> Iterator[Finding]:
    for name in ("kafka", "mongo", "redis"):
        security = getattr(settings, name).security
        try:
            access = security.access()
            if security.needs_tls:
                access.context()
        except OSError as exc:
            yield failed(
                f"{name} sign-in",
                f"a file for signing in to {name} cannot be used: {_reason(exc)}",
                f"Correct it, or ROOST_{name.upper()}__SECURITY__*.",
            )


def _authorities(settings: Settings) -> Iterator[Finding]:
    """Yield each file with authorities, of push services or the bucket of media, that cannot be used."""
    named = {"webpush": settings.webpush.ca}
    for name in ("fcm", "media"):
        file = getattr(settings, name).ca
        named[name] = () if file is None else (file,)
    for name, files in named.items():
        for file in files:
            try:
                trusting(file)
            except OSError as exc:
                yield failed(
                    f"{name} authority",
                    f"{file} cannot be used: {_reason(exc)}",
                    f"Correct it, or ROOST_{name.upper()}__CA.",
                )


def _options(settings: Settings) -> Iterator[Finding]:
    try:
        settings.media.access()
    except OSError as exc:
        yield failed(
            "media options",
            f"the options of the bucket cannot be used: {_reason(exc)}",
            "Correct the file, or ROOST_MEDIA__OPTIONS_FILE.",
        )


def _reason(exc: OSError) -> str:
    return f"{exc.filename}: {exc.strerror}" if exc.filename else exc.strerror or str(exc)
