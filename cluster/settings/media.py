"""Settings of media: where the bytes go, how much a user may keep, and for how long."""

from pydantic import Field

from cluster.settings.addresses import MediaUrl
from cluster.settings.group import Group


class Media(Group):
    """Files that clients send to each other, encrypted by them."""

    url: MediaUrl | None = Field(
        None,
        description="Where the bytes go: `s3://bucket/prefix`, `gs://...`, `az://...`, or `file:///folder`, "
        "which every gateway must share. None: the folder `media` in the data folder, for one machine.",
    )
    options: dict[str, str] = Field(
        {},
        description="Configuration of the cloud's client, such as `access_key_id`, `secret_access_key`, "
        "`region`, `endpoint`. Empty: what the machine's own role gives it.",
        repr=False,
    )
    file_bytes: int = Field(2 * 1024**3, ge=1, description="Largest file, in bytes, as encrypted.")
    user_bytes: int = Field(
        10 * 1024**3, ge=1, description="Bytes that one user may keep, unfinished uploads included."
    )
    user_files: int = Field(2_000, ge=1, description="Files that one user may keep, likewise.")
    day_bytes: int = Field(
        5 * 1024**3,
        ge=1,
        description="Bytes that one user may upload in 24 hours; what was deleted since still counts.",
    )
    day_files: int = Field(500, ge=1, description="Files that one user may upload in 24 hours, likewise.")
    keep_s: int = Field(30 * 24 * 3600, ge=60, description="Seconds after which a file is removed.")
    unfinished_s: int = Field(
        24 * 3600, ge=60, description="Seconds after which an upload that did not end is removed."
    )
    transfers: int = Field(
        100,
        ge=1,
        description="Concurrent uploads per gateway, and as many downloads; each may hold 1 MiB or two.",
    )
    user_transfers: int = Field(
        6, ge=1, description="Concurrent uploads per user and gateway, and as many downloads."
    )
