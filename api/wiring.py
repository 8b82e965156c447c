"""The composition root of the API: what is built, from what, in what order."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from actors.rpc.connections import Connections
from actors.rpc.link import connect
from api.collaborators import ApiSettings, Backends, Collaborators
from api.host_links import HostLinks
from api.identity.cache_invalidation import CacheInvalidation
from api.identity.challenges import Challenges
from api.identity.directory import Directory
from api.identity.key_announcements import KeyAnnouncements
from api.identity.key_supplies import KeySupplies
from api.identity.limits import Limit, Limits
from api.identity.log_ins import LogIns
from api.identity.passwords import Passwords
from api.identity.revocation import Revocations
from api.identity.sessions import SessionCollaborators, Sessions
from api.identity.tokens import Tokens
from api.mailbox.signals import Signals
from api.media import Media
from api.ops.feed import Feed
from api.sending.acceptance import Acceptance
from api.sending.admission import Admission
from api.sending.answers import Answers
from api.sending.contacts import Contacts
from api.sending.gate import Gate
from api.sending.room import Room
from api.sending.sender import Sender
from api.sending.sequence import Sequencer
from api.sending.tracking import MessageTracker
from api.stream.presence_subscriptions import PresenceSubscriptions
from api.stream.registry import Streams
from api.stream.services import StreamServices
from telemetry.gateway_metrics import GatewayMetrics

_AFTER_EXPIRY_MS = 60_000


class _Identity(NamedTuple):
    """Who may do what."""

    tokens: Tokens
    revocations: Revocations
    invalidation: CacheInvalidation
    key_announcements: KeyAnnouncements
    passwords: Passwords
    sessions: Sessions
    challenges: Challenges
    log_ins: LogIns


class _Sends(NamedTuple):
    """What a message passes on its way to the log, and what is kept of it for its sender."""

    sequencer: Sequencer
    answers: Answers
    acceptance: Acceptance
    contacts: Contacts
    sender: Sender


def wire(
    name: str, settings: ApiSettings, backends: Backends, limits: Mapping[str, Limit] | None = None
) -> Collaborators:
    """Build everything that the routes and the socket need. Starts nothing."""
    store, cache, log_writer = backends.store, backends.cache, backends.log_writer
    keyring, clock = backends.keyring, backends.clock
    dial = partial(connect, certificate=backends.certificate)
    hosts = HostLinks(Connections(("gateway", name), keyring.cluster_secret, dial), store.cluster)
    directory = Directory(store, clock, settings.server_name)
    limiters = Limits(cache, clock, dict(limits or {}))
    sends = _sends(settings, backends, directory, hosts, limiters)
    who = _identity(name, settings, backends, directory, hosts, sends.sequencer)
    signals = Signals(hosts, directory)
    subscriptions = PresenceSubscriptions(hosts)
    supplies = KeySupplies(store, clock)
    services = StreamServices(
        who.tokens,
        who.revocations,
        limiters,
        sends.sender,
        hosts,
        directory,
        signals,
        subscriptions,
        supplies,
        clock,
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
        **sends._asdict(),
        **who._asdict(),
        tracker=MessageTracker(sends.answers, store, sends.sequencer, directory, limiters, hosts, clock),
        key_supplies=supplies,
        signals=signals,
        streams=Streams(services),
        control_plane=backends.control_plane,
        metrics=GatewayMetrics(),
        media=Media(backends.blobs, settings.media),
        ops=Feed(backends.control_plane, settings.server_name, clock),
    )


def _sends(
    settings: ApiSettings, backends: Backends, directory: Directory, hosts: HostLinks, limiters: Limits
) -> _Sends:
    store, clock = backends.store, backends.clock
    sequencer, answers = Sequencer(backends.log_writer, store), Answers(backends.cache)
    room, contacts = Room(hosts.ask, clock), Contacts(hosts)
    hosts.on_room(room.heard)
    acceptance = Acceptance(store, answers, sequencer, directory, limiters, room, clock)
    acceptance.on_accepted(contacts.wrote)
    gate = Gate(Admission(settings.admission), sequencer, directory, limiters)
    hosts.on_backlogs(gate.heard)
    return _Sends(sequencer, answers, acceptance, contacts, Sender(gate, acceptance))


def _identity(
    name: str,
    settings: ApiSettings,
    backends: Backends,
    directory: Directory,
    hosts: HostLinks,
    sequencer: Sequencer,
) -> _Identity:
    store, keyring, clock = backends.store, backends.keyring, backends.clock
    tokens = Tokens(keyring, settings.server_name, settings.access_ttl_s, clock)
    revocations = Revocations(store, clock, settings.access_ttl_s * 1000 + _AFTER_EXPIRY_MS)
    invalidation = CacheInvalidation(name, backends.cache, directory, revocations, hosts, clock)
    passwords = Passwords(memory_kib=settings.password_memory_kib)
    challenges = Challenges(backends.cache)
    sessions = Sessions(
        SessionCollaborators(store, keyring, tokens, invalidation, clock, settings.refresh_ttl_s * 1000)
    )
    return _Identity(
        tokens,
        revocations,
        invalidation,
        KeyAnnouncements(store, sequencer, invalidation, clock),
        passwords,
        sessions,
        challenges,
        LogIns(store, sessions, passwords, challenges, invalidation, settings.server_name, clock),
    )
