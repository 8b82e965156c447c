"""What is left of a user's rate limits: of shared ones, and of those that each gateway counts for itself."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from api.control_plane import ControlPlane
from api.identity.limits import Limits
from api.ops.roles import ask
from roost.errors import Unavailable
from storage.account_rows import User

_BY_DEVICE: Final = ("requests", "sends", "bytes_by_device")


class LimitLeft(NamedTuple):
    """What is left of one limiter.

    Attributes:
        name: The limiter's.
        left: Tokens, or bytes, that may be used at once.
        of: As many as there can be.
        resets_at_ms: When there are as many again.
        device_id: Of whose device, '' if of the user's.
        to: To whom, '' if to everyone.
    """

    name: str
    left: int
    of: int
    resets_at_ms: int
    device_id: str = ""
    to: str = ""


async def limits_left(
    limits: Limits, plane: ControlPlane, account: User, devices: Iterable[str]
) -> list[LimitLeft]:
    """Return what is left; of what gateways count, the least at any of them, and nothing if none answers."""
    keys = {"logins_by_user": account.username, "exports": account.user_id}
    found = [await limits.left(name, key) for name, key in keys.items()]
    shared = [LimitLeft(each.name, each.left, each.of, each.resets_at_ms) for each in found]
    owners = {("transfers", account.user_id): "", ("bytes_to_user", account.username.casefold()): ""}
    owners |= {(name, device): device for device in devices for name in _BY_DEVICE}
    try:
        told = await ask(plane, "gateway", {"act": "limits", "keys": [*owners], "user": account.user_id})
    except Unavailable:
        return shared
    counted = [answer["left"] for answer in told.answers.values()]
    lowest = [min(of_one, key=_left) for of_one in zip(*counted, strict=True)]
    pairs = [answer["pair"] for answer in told.answers.values() if answer["pair"] is not None]
    return [
        *shared,
        *(LimitLeft(**row, device_id=device) for row, device in zip(lowest, owners.values(), strict=False)),
        *(LimitLeft(**row) for row in ([min(pairs, key=_left)] if pairs else [])),
    ]


def _left(row: dict[str, Any]) -> int:
    return int(row["left"])
