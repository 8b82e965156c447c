"""The client SDK: encrypts, keeps what it sends until it is delivered, and tells the app what arrives.

``core`` is the rules, without I/O; ``shell`` performs them on asyncio; ``transport`` reaches the server.
"""

from roost.client.client import Client
from roost.client.connections import connections
from roost.client.content import MAX_CONTENT, File
from roost.client.events import (
    Accepted,
    Connected,
    Delivered,
    Disconnected,
    Event,
    Expired,
    Failed,
    IdChanged,
    KeyChanged,
    Linked,
    MessageReceived,
    Missed,
    Presence,
    Read,
    Refused,
    SentElsewhere,
    Synced,
    Typing,
    Undecryptable,
    Unsupported,
)
from roost.client.keystore import FileKeystore, Keystore, KeystoreInUse, MemoryKeystore
from roost.client.options import Options
from roost.client.own_identity import NotLinked
from roost.client.shell.deliveries import NotDelivered
from roost.client.shell.linking import LinkRefused
from roost.client.store import Conversation, Page
from roost.client.thread import Message
from roost.client.user_account import AccountProfile, Device
from roost.crypto.files import FileBroken
from roost.crypto.safety_numbers import SafetyNumber

__all__ = [
    "MAX_CONTENT",
    "Accepted",
    "AccountProfile",
    "Client",
    "Connected",
    "Conversation",
    "Delivered",
    "Device",
    "Disconnected",
    "Event",
    "Expired",
    "Failed",
    "File",
    "FileBroken",
    "FileKeystore",
    "IdChanged",
    "KeyChanged",
    "Keystore",
    "KeystoreInUse",
    "LinkRefused",
    "Linked",
    "MemoryKeystore",
    "Message",
    "MessageReceived",
    "Missed",
    "NotDelivered",
    "NotLinked",
    "Options",
    "Page",
    "Presence",
    "Read",
    "Refused",
    "SafetyNumber",
    "SentElsewhere",
    "Synced",
    "Typing",
    "Undecryptable",
    "Unsupported",
    "connections",
]
