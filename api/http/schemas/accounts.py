"""Bodies of the calls about accounts, sessions and profiles."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, StringConstraints, model_validator

from api.http.schemas.base import (
    EXAMPLE_DEVICE,
    EXAMPLE_PASSWORD,
    EXAMPLE_USER,
    Millis,
    Nickname,
    Password,
    ed25519_key,
    model,
    one_line,
)


class NewAccount(BaseModel):
    """A new account."""

    model_config = model(username="alice", password=EXAMPLE_PASSWORD, display_name="Alice")
    username: Annotated[str, StringConstraints(max_length=64)]
    password: Password
    display_name: Nickname | None = None
    phone: Annotated[str, StringConstraints(max_length=32), AfterValidator(one_line)] | None = None
    email: Annotated[str, StringConstraints(max_length=254), AfterValidator(one_line)] | None = None


class Account(BaseModel):
    """An account."""

    model_config = model(user_id=EXAMPLE_USER, username="alice")
    user_id: str
    username: str


class NewDevice(BaseModel):
    """A new device."""

    model_config = model(name="Alice's phone")
    name: Nickname = ""


class LogIn(BaseModel):
    """A log-in with a new `device`, or with a known one by its `device_id`.

    It needs the `password`; or a known device's `signature` of a `nonce` from `POST /v1/auth/challenge`.
    `signing_key` is the device's Ed25519 public key, for `signed_refresh` before its `device_keys` are there.
    """

    model_config = model(username="alice", password=EXAMPLE_PASSWORD, device={"name": "phone"})
    username: Annotated[str, StringConstraints(max_length=64)]
    password: Annotated[str, StringConstraints(max_length=1024)] | None = None
    device: NewDevice | None = None
    device_id: Annotated[str, StringConstraints(max_length=64)] | None = None
    nonce: Annotated[str, StringConstraints(max_length=128)] | None = None
    signature: Annotated[str, StringConstraints(max_length=128)] | None = None
    signing_key: Annotated[str, AfterValidator(ed25519_key)] | None = None
    signed_refresh: bool = False

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        answer = (self.device_id, self.nonce, self.signature)
        if self.password is None and None in answer:
            raise ValueError("password, or else device_id, nonce and signature, must be there")
        if self.password is not None and (self.nonce, self.signature) != (None, None):
            raise ValueError("password and nonce or signature exclude each other")
        return self


class RefreshRequest(BaseModel):
    """A request for new tokens; signed by the device if the session was begun so."""

    model_config = model(refresh_token="rr1.6e0a.sZk3")  # noqa: S106 -- an example
    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    signature: Annotated[str, StringConstraints(max_length=128)] | None = None


class Granted(BaseModel):
    """The tokens of a session."""

    model_config = model(
        access_token="eyJ...",  # noqa: S106 -- an example
        token_type="Bearer",  # noqa: S106 -- its fixed value
        expires_in=600,
        refresh_token="rr1.6e0a.sZk3",  # noqa: S106 -- an example
        user_id=EXAMPLE_USER,
        username="alice",
        device_id=EXAMPLE_DEVICE,
    )
    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str
    user_id: str
    username: str
    device_id: str


class Profile(BaseModel):
    """Profile and settings."""

    model_config = model(
        user_id=EXAMPLE_USER,
        username="alice",
        device_id=EXAMPLE_DEVICE,
        display_name="Alice",
        last_seen="contacts",
        read_receipts=True,
        delivery_receipts="everyone",
        requests=False,
        created_at_ms=1_795_000_000_000,
    )
    user_id: str
    username: str
    device_id: str
    display_name: str
    last_seen: Literal["everyone", "contacts", "nobody"]
    read_receipts: bool
    delivery_receipts: Literal["everyone", "contacts"]
    requests: bool
    created_at_ms: Millis
    phone: str | None = None
    email: str | None = None


class ProfileChange(BaseModel):
    """Fields to change; omitted fields are left unchanged."""

    model_config = model(display_name="Alice L.", last_seen="contacts")
    display_name: Nickname | None = None
    last_seen: Literal["everyone", "contacts", "nobody"] | None = None
    read_receipts: bool | None = None
    delivery_receipts: Literal["everyone", "contacts"] | None = None
    requests: bool | None = None


class Leave(BaseModel):
    """The confirmation that the account is to be erased."""

    model_config = model(password=EXAMPLE_PASSWORD)
    password: Annotated[str, StringConstraints(max_length=1024)]


class ErasureAsked(BaseModel):
    """When the account is erased; a log-in until then keeps it."""

    model_config = model(erased_at_ms=1_795_000_000_000)
    erased_at_ms: Millis
