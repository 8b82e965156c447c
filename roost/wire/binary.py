"""Binary values in JSON: unpadded standard base64."""

import base64
import binascii


def unpadded(value: bytes) -> str:
    """Encode as unpadded standard base64."""
    return base64.b64encode(value).rstrip(b"=").decode()


def from_base64(text: str) -> bytes:
    """Decode standard base64, with or without padding.

    Raises:
        ValueError: The text is not base64.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as exc:
        raise ValueError("binary values are standard base64") from exc
