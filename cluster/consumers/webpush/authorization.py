"""How we prove to a push service who we are (VAPID, RFC 8292)."""

from typing import Final

import jwt

from storage.keyring import VapidKey

_LASTS_S: Final = 12 * 3600
"""Life of a signature; services take at most 24 hours."""


def authorization(key: VapidKey, origin: str, subject: str, now_ms: int) -> str:
    """Return the header ``Authorization`` of a push.

    Args:
        key: The one that the subscription was made with.
        origin: Of the push service.
        subject: ``mailto:`` or ``https:`` URL of who is asked when we disturb.
        now_ms: Unix time.
    """
    claims = {"aud": origin, "exp": now_ms // 1000 + _LASTS_S, "sub": subject}
    return f"vapid t={jwt.encode(claims, key.private, 'ES256')}, k={key.public}"
