"""The MongoDB adapter: everything that lasts, except the log and the blobs."""

from storage.mongo.store import MongoStore

__all__ = ["MongoStore"]
