"""The composition root of the API: what is built, from what, in what order."""

from collections.abc import Mapping

from actors.rpc.connections import Connections
from api.collaborators import ApiSettings, Collaborators
from api.host_links import HostLinks
from api.identity.cache_invalidation import CacheInvalidation
from api.identity.directory import Directory
from api.identity.key_announcements import KeyAnnouncements
from api.identity.limits import Limit, Limits
from api.identity.passwords import Passwords
from api.identity.revocation import Revocations
from api.identity.sessions import SessionCollaborators, Sessions
from api.identity.tokens import Tokens
from api.mailbox.signals import Signals
from api.sending.acceptance import Acceptance
from api.sending.admission import Admission
from api.sending.answers import Answers
from api.sending.contacts import Contacts
from api.sending.gate import Gate
from api.sending.sender import Sender
from api.sending.sequence import Sequencer
from api.sending.tracking import MessageTracker
from api.stream.presence_subscriptions import PresenceSubscriptions
from api.stream.registry import Streams
from api.stream.services import StreamServices
from roost.clock import Clock
from storage.keyring import KeyRing
from storage.ports import Cache, LogWriter, Store
from telemetry.gateway_metrics import GatewayMetrics

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
) -> Collaborators:
    """Build everything that the routes and the socket need. Starts nothing."""
    hosts = HostLinks(Connections(("gateway", name), keyring.cluster_secret))
    directory = Directory(store, clock)
    sequencer = Sequencer(log_writer, store)
    answers = Answers(cache)
    acceptance = Acceptance(store, answers, sequencer, directory, clock)
    contacts = Contacts(hosts)
    acceptance.on_accepted(contacts.wrote)
    gate = Gate(Admission(settings.admission), sequencer, directory)
    sender = Sender(gate, acceptance)
    hosts.on_backlogs(gate.heard)
    tokens = Tokens(keyring, settings.server_name, settings.access_ttl_s, clock)
    revocations = Revocations(store, clock, settings.access_ttl_s * 1000 + _AFTER_EXPIRY_MS)
    invalidation = CacheInvalidation(name, cache, directory, revocations, hosts, clock)
    key_announcements = KeyAnnouncements(store, sequencer, invalidation, clock)
    passwords = Passwords()
    limiters = Limits(cache, clock, dict(limits or {}))
    parts = SessionCollaborators(
        store, keyring, tokens, passwords, invalidation, clock, settings.refresh_ttl_s * 1000
    )
    signals = Signals(hosts, directory)
    subscriptions = PresenceSubscriptions(hosts)
    services = StreamServices(
        tokens, revocations, limiters, sender, hosts, directory, signals, subscriptions, clock
    )
    return Collaborators(
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
        answers=answers,
        acceptance=acceptance,
        contacts=contacts,
        sender=sender,
        tracker=MessageTracker(answers, store, sequencer, directory, hosts),
        sessions=Sessions(parts),
        invalidation=invalidation,
        key_announcements=key_announcements,
        signals=signals,
        streams=Streams(services),
        metrics=GatewayMetrics(),
    )
