"""Bodies of the calls about a person's identity keys."""

from typing import Annotated

from pydantic import BaseModel, Field, RootModel, StringConstraints

from api.http.schemas.base import EXAMPLE_DEVICE, EXAMPLE_PASSWORD, Address, Name, Object, model
from roost.wire import MAX_DEVICES

_MASTER = "nqOvzeuGWT/sRx3h7+MHoInYj3Uk2LD/unI9kDYcHwk"
_SELF_SIGNING = "2E2P6wSoYYBg1sUnlp8hp7OQ2qNSn8xEUiOQe4Uyhs0"
Bundles = Annotated[dict[Name, Object], Field(max_length=MAX_DEVICES)]


def _example(usage: str, key: str, by: str) -> Object:
    return {
        "user_id": "@alice:example.org",
        "usage": [usage],
        "keys": {f"ed25519:{key}": key},
        "signatures": {"@alice:example.org": {f"ed25519:{by}": "FLWxXqGbwrb8SM3Y795eB6OA8bwBcoMZFXBq"}},
    }


class IdentityUpload(BaseModel):
    """An identity in the Matrix format, and device keys that it has signed, the caller's among them."""

    model_config = model(
        master_key=_example("master", _MASTER, EXAMPLE_DEVICE),
        self_signing_key=_example("self_signing", _SELF_SIGNING, _MASTER) | {"generation": 1},
        device_keys={EXAMPLE_DEVICE: {}},
        password=EXAMPLE_PASSWORD,
    )
    master_key: Object
    self_signing_key: Object
    device_keys: Bundles
    password: Annotated[str, StringConstraints(max_length=1024)] | None = None


class SignaturesUpload(RootModel[dict[Address, Bundles]]):
    """Device keys with the signature of their owner's self-signing key, by address and device."""

    model_config = {"json_schema_extra": {"examples": [{"@alice:example.org": {EXAMPLE_DEVICE: {}}}]}}


class Uploaded(BaseModel):
    """Nothing failed: what fails is refused whole."""

    failures: dict[str, Object] = {}
