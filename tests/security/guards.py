"""Guards against the attacks of ``docs/attacks.md``: what stands in our code, and what is left without it.

``tests/security/test_guards.py`` takes out one at a time and requires the test of its attack to fail. An
attack may be held off by several guards: each is one line here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard.

    Attributes:
        attack: Name of the attack that it refuses.
        file: The file that it stands in.
        text: Its text, which is there exactly once.
        without: What stands there when it is taken out.
    """

    attack: str
    file: str
    text: str
    without: str = ""


_TOKENS = "api/identity/tokens.py"

GUARDS = [
    Guard(
        "use an access token after its end",
        _TOKENS,
        "if principal.expires_ms <= now_ms:",
        "if False:",
    ),
]
