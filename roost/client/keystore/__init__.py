"""Keystores of a client's profile and history: in memory, or in one file that only its user can read."""

from roost.client.keystore.file import FileKeystore
from roost.client.keystore.memory import MemoryKeystore
from roost.client.keystore.port import Keystore, KeystoreInUse

__all__ = ["FileKeystore", "Keystore", "KeystoreInUse", "MemoryKeystore"]
