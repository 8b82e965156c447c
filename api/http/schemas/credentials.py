"""Bodies of the calls about passwords and challenges."""

from typing import Annotated

from pydantic import BaseModel, StringConstraints

from api.http.schemas.base import EXAMPLE_DEVICE, EXAMPLE_PASSWORD, Password, model


class ChallengeRequest(BaseModel):
    """Which device wants to log in."""

    model_config = model(username="alice", device_id=EXAMPLE_DEVICE)
    username: Annotated[str, StringConstraints(max_length=64)]
    device_id: Annotated[str, StringConstraints(max_length=64)]


class Challenge(BaseModel):
    """What the device is to sign, within so many seconds."""

    model_config = model(nonce="Hk0cYy0mJ0Yy1w", expires_in=60)
    nonce: str
    expires_in: int


class PasswordChange(BaseModel):
    """The password, and what it is to be."""

    model_config = model(old=EXAMPLE_PASSWORD, new="a longer battery horse", keep_sessions=False)
    old: Annotated[str, StringConstraints(max_length=1024)]
    new: Password
    keep_sessions: bool = False
