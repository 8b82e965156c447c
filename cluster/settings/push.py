"""Settings of wake-ups, whoever carries them."""

from pydantic import Field

from cluster.settings.group import Group


class Push(Group):
    """When devices are woken."""

    hold_back_s: float = Field(
        0.0,
        ge=0,
        le=60,
        description="Seconds for which a wake-up waits while another device of the user has a stream in "
        "the foreground; it is not sent if the device that it is for acknowledges the message by then. 0: "
        "what other devices do holds up no wake-up.",
    )
