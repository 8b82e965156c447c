"""Settings of mailboxes: how much may wait in one, how long it is kept, and what an erased account leaves."""

from pydantic import Field

from cluster.settings.group import Group


class Quota(Group):
    """How much others may send to a user; what comes beyond is refused with `mailbox_full`. 0: no limit."""

    messages: int = Field(
        100_000, ge=0, description="Messages in a mailbox that no device of its user has acknowledged."
    )
    megabytes: int = Field(512, ge=0, description="The same in MiB.")
    strangers_messages: int = Field(
        60_000,
        ge=0,
        description="How many of them strangers together may have sent: people whom the user neither wrote "
        "to nor accepted.",
    )
    strangers_kilobytes: int = Field(65_536, ge=0, description="The same in KiB.")
    stranger_messages: int = Field(20_000, ge=0, description="How many of them one stranger may have sent.")
    stranger_kilobytes: int = Field(8_192, ge=0, description="The same in KiB.")
    request_messages: int = Field(
        20,
        ge=0,
        description="Messages of one stranger to a user with `requests`, acknowledged or not, until the "
        "conversation is accepted.",
    )
    request_kilobytes: int = Field(128, ge=0, description="The same in KiB.")
    stranger_days: int = Field(
        30, ge=1, description="Days after its last message when what a stranger sent no longer counts."
    )


class Retention(Group):
    """How long things are kept."""

    entry_days: float = Field(
        365,
        ge=0,
        description="Days, or parts of one, that an entry of a mailbox is kept. 0: without limit. "
        "Entries that a device has not acknowledged are kept for as long as `device_days` says, whatever the "
        "other limits.",
    )
    delivered_days: float = Field(
        0,
        ge=0,
        description="Days that an entry is kept that every device has acknowledged. 0: as `entry_days` says.",
    )
    mailbox_messages: int = Field(
        200_000, ge=0, description="Messages kept in one mailbox; the oldest go first. 0: no limit."
    )
    mailbox_megabytes: int = Field(1_024, ge=0, description="The same in MiB.")
    device_days: float = Field(
        30,
        gt=0,
        description="Days after its last use when a device no longer holds entries back. When it returns, it "
        "is told that it missed some. Use is noticed when its access token is renewed, so it is "
        "no shorter than `tokens.access_s`.",
    )
    sweep_pause_ms: int = Field(
        50,
        ge=1,
        description="Milliseconds that a host waits after each user whose mailbox it has looked through for "
        "old entries.",
    )
    sweep_every_s: int = Field(
        3_600, ge=1, description="Seconds from the beginning of one look through all mailboxes to the next."
    )
    erase_after_s: int = Field(
        7 * 24 * 3600,
        ge=0,
        description="Seconds from `DELETE /v1/me` to the erasure of the account; a log-in until then "
        "keeps it.",
    )
    username_days: int = Field(
        90,
        ge=8,
        description="Days for which the username of an erased account cannot be registered again. At least "
        "8, so that no message id outlives it.",
    )
