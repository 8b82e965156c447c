"""Shared by all bodies: field types, the model configuration, and the values in examples."""

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from api.identity.names import nickname
from roost.signing import read_key

Seq = Annotated[int, Field(ge=0, lt=2**53, examples=[4_294_967_301])]
Millis = Annotated[int, Field(ge=0, lt=2**53, examples=[1_795_000_000_000])]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Password = Annotated[str, StringConstraints(min_length=8, max_length=1024)]
Address = Annotated[str, StringConstraints(min_length=3, max_length=320)]
Nickname = Annotated[str, StringConstraints(max_length=100), AfterValidator(nickname)]
Object = dict[str, Any]

EXAMPLE_ID = "0199f0a8-7c1e-7a55-9b0e-3f6d5c2a1b00"
EXAMPLE_USER = "8d5f4b8e-2a7c-4c56-9f0a-0c7b1e2d3f4a"
EXAMPLE_DEVICE = "JLAFKJWSCS"
EXAMPLE_PASSWORD = "correct horse battery"  # noqa: S105 -- an example


def one_line(text: str) -> str:
    """Return the text.

    Raises:
        ValueError: It holds control characters.
    """
    if not text.isprintable():
        raise ValueError("it must not hold control characters or line ends")
    return text


def ed25519_key(text: str) -> str:
    """Return the text of a public key.

    Raises:
        ValueError: It is not 32 bytes in base64.
    """
    read_key(text)
    return text


def model(**example: Any) -> ConfigDict:
    """Return the configuration of a body with this example: strict types, unknown fields ignored."""
    return ConfigDict(strict=True, extra="ignore", json_schema_extra={"examples": [example]})
