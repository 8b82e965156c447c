"""The line of events."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.http.schemas.base import Millis

Level = Literal["info", "warning", "problem"]


class Event(BaseModel):
    """One event: a restart, a move, an act, an alarm."""

    n: Annotated[
        int, Field(ge=0, lt=2**53, description="Its place in the line.", examples=[1_795_000_000_000_000])
    ]
    at_ms: Millis
    kind: Annotated[str, Field(description="What happened.", examples=["role_replaced"])]
    subject: Annotated[str, Field(description="To what.", examples=["host-1"])]
    text: Annotated[str, Field(description="A sentence for people.")]
    level: Level
    by: Annotated[str | None, Field(description="Who did it, where someone did.")] = None
    more: Annotated[dict[str, Any], Field(description="What else is known, by kind.")] = {}
    stored: Annotated[bool, Field(description="False while the store is away and only memory has it.")] = True


class Events(BaseModel):
    """Events, the newest first."""

    events: list[Event]
    more: Annotated[bool, Field(description="Whether there are older ones.")]
