"""Bodies of the calls about devices and their keys."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from api.http.schemas.base import EXAMPLE_DEVICE, Address, Millis, Name, Object, model
from storage.push_services import MAX_ENDPOINT


class DeviceInfo(BaseModel):
    """One of the caller's devices."""

    model_config = model(
        device_id=EXAMPLE_DEVICE,
        name="phone",
        created_at_ms=1_795_000_000_000,
        has_keys=True,
        push=True,
        current=True,
    )
    device_id: str
    name: str
    created_at_ms: Millis
    has_keys: bool
    push: bool
    current: bool


class DeviceList(BaseModel):
    """The caller's devices."""

    devices: list[DeviceInfo]


class FcmToken(BaseModel):
    """How to wake this device through FCM."""

    model_config = model(provider="fcm", token="dQw4w9WgXcQ:APA91b")  # noqa: S106 -- an example
    provider: Literal["fcm"]
    token: Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class WebPushKeys(BaseModel):
    """The keys of a browser's subscription, in base64url."""

    p256dh: Annotated[str, StringConstraints(max_length=128)]
    auth: Annotated[str, StringConstraints(max_length=64)]


class WebPushSubscription(BaseModel):
    """How to wake this device through Web Push: a browser's subscription, or one of UnifiedPush."""

    model_config = model(
        provider="webpush",
        endpoint="https://updates.push.services.mozilla.com/wpush/v2/gAAAAABmZ",
        keys={
            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZ"
            "GH6SRpkNtoIAiw4",
            "auth": "BTBZMqHH6r4Tts7J_aSIgg",
        },
    )
    provider: Literal["webpush"]
    endpoint: Annotated[str, StringConstraints(min_length=1, max_length=MAX_ENDPOINT)]
    keys: WebPushKeys


PushRegistration = Annotated[FcmToken | WebPushSubscription, Field(discriminator="provider")]


class WebPushServer(BaseModel):
    """What a browser subscribes with: the VAPID public key, an uncompressed point of P-256 in base64url."""

    application_server_key: str


class KeysUpload(BaseModel):
    """Keys of this device, in the Matrix format; every signature is checked."""

    model_config = model(
        one_time_keys={
            "signed_curve25519:AAAAHg": {
                "key": "zKbLg+NrIjpnagy+pIY6uPL4ZwEG2v+8F9lmgsnlZzs",
                "signatures": {
                    "@alice:example.org": {"ed25519:JLAFKJWSCS": "FLWxXqGbwrb8SM3Y795eB6OA8bwBcoMZFXBq"}
                },
            }
        }
    )
    device_keys: Object | None = None
    one_time_keys: dict[Name, Object] | None = None
    fallback_keys: dict[Name, Object] | None = None


class KeyCounts(BaseModel):
    """Unclaimed one-time keys by algorithm."""

    model_config = model(one_time_key_counts={"signed_curve25519": 50})
    one_time_key_counts: dict[str, int]


class KeysQuery(BaseModel):
    """Device keys wanted, by address; an empty list means all devices."""

    model_config = model(device_keys={"@bob:example.org": []})
    device_keys: dict[Address, list[str]]


class KeysFound(BaseModel):
    """Device keys by address and device, and identities; servers that cannot be asked are in `failures`."""

    device_keys: dict[str, dict[str, Object]]
    failures: dict[str, Object]
    master_keys: dict[str, Object]
    self_signing_keys: dict[str, Object]


class KeysClaim(BaseModel):
    """One key for each named device."""

    model_config = model(one_time_keys={"@bob:example.org": {EXAMPLE_DEVICE: "signed_curve25519"}})
    one_time_keys: dict[Address, dict[str, Literal["signed_curve25519"]]]


class KeysClaimed(BaseModel):
    """The claimed keys. A one-time key is given out once only, a fallback key repeatedly."""

    one_time_keys: dict[str, dict[str, Object]]
    failures: dict[str, Object]
