"""The JSON file that the keystore once was: what is in it moves to a database, which takes its place."""

import os
from pathlib import Path

import msgspec

from roost.client.keystore.claim import Claim
from roost.client.state import Profile
from roost.client.store.database import Database, DatabaseLocked, is_database
from roost.client.store.profile_rows import ProfileRows, write

_decode = msgspec.json.Decoder(Profile).decode


def replace_json(path: Path, formerly: Path | None) -> None:
    """See to it that there is no JSON file at ``path``, nor at ``formerly``, but a database if there was one.

    The JSON file gets the name of the keystore first, and the database takes its place when it is complete
    and on the disk: whatever happens in between, one of both is whole, and the next call goes on with it.

    Args:
        path: The keystore, claimed by the caller.
        formerly: Where the JSON file was kept, if not there.

    Raises:
        DatabaseLocked: A program of the version before uses the JSON file.
        ValueError: There is something else in the file.
        OSError: It cannot be read or written.
    """
    if formerly is not None and formerly.exists() and not path.exists():
        claim = Claim(formerly)
        if not claim.take():
            raise DatabaseLocked(f"{formerly} is in use")
        try:
            formerly.rename(path)
            claim.remove()
        finally:
            claim.give_up()
    if path.exists() and not is_database(path):
        _convert(path)


def _convert(path: Path) -> None:
    profile = _decode(path.read_bytes())
    draft = path.with_name(path.name + ".new")
    for left in (draft, draft.with_name(draft.name + "-wal")):
        left.unlink(missing_ok=True)
    database = Database(draft)
    try:
        rows = ProfileRows().all(profile)
        database.run(lambda cursor: write(cursor, rows, whole=True))
        database.scrub()
    finally:
        database.close()
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
