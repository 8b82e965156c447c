"""The rules of a client: frames in, effects out.

Pure: no I/O, tasks, clock, randomness or encryption. The shell performs the effects and reports back;
``now_ms`` is always the time on the server's clock.
"""

from roost.client.core.session import Session

__all__ = ["Session"]
