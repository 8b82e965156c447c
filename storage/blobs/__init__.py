"""Media: bytes that clients have encrypted, sealed once more, in parts in a folder or a bucket."""

from storage.blobs.objects import StoredObjects
from storage.blobs.quota import Quota
from storage.blobs.store import BlobStore, Reserved
from storage.blobs.writer import BlobWriter, WriterReplaced

__all__ = ["BlobStore", "BlobWriter", "Quota", "Reserved", "StoredObjects", "WriterReplaced"]
