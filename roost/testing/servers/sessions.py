"""Families of refresh tokens, in memory."""

from msgspec import structs

from storage.account_rows import TokenFamily


class MemorySessions:
    """Implements ``storage.ports.Sessions``."""

    def __init__(self) -> None:
        self._families: dict[str, TokenFamily] = {}

    async def add(self, session: TokenFamily) -> None:
        """Insert a family."""
        self._families.setdefault(session.family, session)

    async def get(self, family: str) -> TokenFamily | None:
        """Return the family."""
        return self._families.get(family)

    async def of_user(self, user_id: str) -> list[TokenFamily]:
        """Return the user's families, the oldest first."""
        mine = [each for each in self._families.values() if each.user == user_id]
        return sorted(mine, key=lambda each: (each.created_at_ms, each.family))

    async def rotate(self, session: TokenFamily, following: bytes, now_ms: int, expires_at_ms: int) -> bool:
        """Make ``following`` current, if the family is as it was seen."""
        known = self._families.get(session.family)
        if known is None or known.ended_at_ms is not None or known.current != session.current:
            return False
        self._families[session.family] = structs.replace(
            known,
            current=following,
            previous=session.current,
            signed=session.signed,
            repeated=False,
            repeats=session.repeats if session.repeated else 0,
            used_at_ms=now_ms,
            expires_at_ms=expires_at_ms,
        )
        return True

    async def repeat(self, family: str, current: bytes) -> None:
        """Note, once for each rotation, that the token before came again."""
        known = self._families.get(family)
        if known is not None and known.current == current and not known.repeated:
            self._families[family] = structs.replace(known, repeated=True, repeats=known.repeats + 1)

    async def end(self, user_id: str, device: str | None, now_ms: int, keep: str = "") -> list[str]:
        """End the living families of the device, or of all, but ``keep``."""
        ended = [
            each
            for each in await self.living(user_id)
            if each.family != keep and device in (None, each.device)
        ]
        self._families |= {each.family: structs.replace(each, ended_at_ms=now_ms) for each in ended}
        return [each.family for each in ended]

    async def living(self, user_id: str) -> list[TokenFamily]:
        """Return the user's families that have not ended."""
        return [each for each in await self.of_user(user_id) if each.ended_at_ms is None]

    async def ended_since(self, at_ms: int) -> list[str]:
        """Return the families that ended then or later."""
        return [each.family for each in self._families.values() if (each.ended_at_ms or -1) >= at_ms]
