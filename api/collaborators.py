"""The objects that the API is built from: one frozen struct, handed to `api.app.create_app`."""

from msgspec import Struct

from api.control_plane import ControlPlane, NoControlPlane
from api.host_links import HostLinks
from api.identity.cache_invalidation import CacheInvalidation
from api.identity.challenges import Challenges
from api.identity.client_address import TrustedProxies
from api.identity.directory import Directory
from api.identity.key_announcements import KeyAnnouncements
from api.identity.key_supplies import KeySupplies
from api.identity.limits import Limits
from api.identity.log_ins import LogIns
from api.identity.passwords import Passwords
from api.identity.revocation import Revocations
from api.identity.sessions import Sessions
from api.identity.tokens import Tokens
from api.mailbox.signals import Signals
from api.media import Media, MediaLimits
from api.ops.feed import Feed
from api.sending.acceptance import Acceptance
from api.sending.admission import Bounds
from api.sending.answers import Answers
from api.sending.contacts import Contacts
from api.sending.sender import Sender
from api.sending.sequence import Sequencer
from api.sending.tracking import MessageTracker
from api.stream.registry import Streams
from roost.clock import Clock
from roost.node_certificate import NodeCertificate
from storage.blobs import BlobStore
from storage.keyring import KeyRing
from storage.ports import Cache, LogWriter, Store
from storage.push_services import PushServices
from telemetry.gateway_metrics import GatewayMetrics


class ApiSettings(Struct, frozen=True):
    """What an operator may set about the API.

    Attributes:
        server_name: The name after the colon in users' addresses, and the tokens' issuer.
        access_ttl_s: Life of an access token, in seconds.
        refresh_ttl_s: Life of an unused refresh token, in seconds.
        cors_origins: Web origins that may call the API from a browser.
        hsts_s: How long browsers are told to come back over TLS only, in seconds; 0: they are not told.
        proxies: Whose word about a client's address counts.
        version: What the API document says it is.
        admission: How much may wait.
        media: How many files may be on their way.
        erase_after_s: Seconds from asking for an account's erasure to its beginning.
        push_services: Where subscriptions of Web Push may lead.
        fcm: Whether wake-ups can go through FCM.
        password_memory_kib: Memory that hashing a password takes.
    """

    server_name: str
    access_ttl_s: int
    refresh_ttl_s: int
    cors_origins: tuple[str, ...] = ()
    hsts_s: int = 0
    proxies: TrustedProxies | None = None
    version: str = "0.1.0"
    admission: Bounds = Bounds()
    media: MediaLimits = MediaLimits()
    erase_after_s: int = 7 * 24 * 3600
    push_services: PushServices = PushServices()
    fcm: bool = True
    password_memory_kib: int = 19_456


class Backends(Struct, frozen=True):
    """The servers underneath, the secrets and the clock: all that the API takes from outside."""

    store: Store
    cache: Cache
    log_writer: LogWriter
    keyring: KeyRing
    clock: Clock
    blobs: BlobStore
    certificate: NodeCertificate | None = None
    control_plane: ControlPlane = NoControlPlane()


class Collaborators(Struct, frozen=True):
    """The collaborators of every route."""

    settings: ApiSettings
    clock: Clock
    store: Store
    cache: Cache
    log_writer: LogWriter
    keyring: KeyRing
    hosts: HostLinks
    directory: Directory
    limits: Limits
    passwords: Passwords
    tokens: Tokens
    revocations: Revocations
    sequencer: Sequencer
    answers: Answers
    acceptance: Acceptance
    contacts: Contacts
    sender: Sender
    tracker: MessageTracker
    sessions: Sessions
    challenges: Challenges
    log_ins: LogIns
    invalidation: CacheInvalidation
    key_announcements: KeyAnnouncements
    key_supplies: KeySupplies
    signals: Signals
    streams: Streams
    control_plane: ControlPlane
    metrics: GatewayMetrics
    media: Media
    ops: Feed
