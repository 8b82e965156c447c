"""Web Push: wake-ups for browsers, and for apps that UnifiedPush serves.

`sender` is the provider; `encryption` and `authorization` make what it sends, `connections` decides whom it
connects to, `answers` what an answer means.
"""

from cluster.consumers.webpush.sender import WebPushSender

__all__ = ["WebPushSender"]
