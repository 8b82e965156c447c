"""The front door's composition root: what is built, from what, in what order."""

from collections.abc import Mapping

from api.admission import Admission
from api.auth import Parts, Sessions
from api.changes import Changes
from api.deps import ApiSettings, Deps
from api.directory import Directory
from api.hosts import HostLinks
from api.limits import Limit, Limits
from api.metrics import GatewayMetrics
from api.passwords import Passwords
from api.revocation import Revocations
from api.sending import Sender
from api.sequence import Sequencer
from api.streams import Collaborators, Streams
from api.tokens import Tokens
from roost.clock import Clock
from storage.keyring import KeyRing
from storage.ports import Cache, LogWriter, Store

_AFTER_EXPIRY_MS = 60_000


def wire(  # noqa: PLR0913 -- the servers underneath, by name
    name: str,
    settings: ApiSettings,
    *,
    store: Store,
    cache: Cache,
    log_writer: LogWriter,
    keyring: KeyRing,
    clock: Clock,
    limits: Mapping[str, Limit] | None = None,
) -> Deps:
    """Build everything that the routes and the socket need. Starts nothing."""
    hosts = HostLinks(name, keyring.cluster_secret)
    directory = Directory(store, clock)
    sequencer = Sequencer(log_writer, store)
    sender = Sender(store, cache, sequencer, directory, clock, Admission(settings.admission))
    hosts.on_backlogs(sender.gate.heard)
    changes = Changes(store, cache, sequencer, directory, hosts, clock)
    tokens = Tokens(keyring, settings.server_name, settings.access_ttl_s, clock)
    revocations = Revocations(store, clock, settings.access_ttl_s * 1000 + _AFTER_EXPIRY_MS)
    passwords = Passwords()
    limiters = Limits(cache, clock, dict(limits or {}))
    parts = Parts(
        store, cache, keyring, tokens, passwords, revocations, changes, clock, settings.refresh_ttl_s * 1000
    )
    streams = Streams(Collaborators(tokens, revocations, limiters, sender, hosts, directory, clock))
    return Deps(
        settings=settings,
        clock=clock,
        store=store,
        cache=cache,
        log_writer=log_writer,
        keyring=keyring,
        hosts=hosts,
        directory=directory,
        limits=limiters,
        passwords=passwords,
        tokens=tokens,
        revocations=revocations,
        sequencer=sequencer,
        sender=sender,
        sessions=Sessions(parts),
        changes=changes,
        streams=streams,
        metrics=GatewayMetrics(),
    )
