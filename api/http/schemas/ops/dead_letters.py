"""Bodies of the calls about dead letters."""

from typing import Annotated

from pydantic import BaseModel, Field

from api.http.schemas.base import EXAMPLE_ID, Millis, model


class Letter(BaseModel):
    """A record that could not be handled: its heading, never its content."""

    model_config = model(
        id="mailbox:3:1742:9f86d081884c7d65",
        topic="mailbox",
        at_ms=1_795_000_000_000,
        reason="ValueError: the cursor is behind the head",
        heading="a message from alice to bob",
        to="bob",
        cause=EXAMPLE_ID,
        bytes=1_312,
        retried=False,
        retried_at_ms=0,
        retried_by="",
        **{"from": "alice"},
    )
    id: str
    topic: str
    at_ms: Millis
    reason: str
    heading: str
    sender: Annotated[str, Field(serialization_alias="from")] = ""
    to: str = ""
    cause: str = ""
    bytes: int
    retried: bool
    retried_at_ms: int
    retried_by: str


class Letters(BaseModel):
    """Dead letters, newest first; `more` says whether there are older ones."""

    model_config = model(letters=[], more=False)
    letters: list[Letter]
    more: bool


class Retried(BaseModel):
    """The letter stands in its topic again, behind everything that is there."""

    model_config = model(id="mailbox:3:1742:9f86d081884c7d65", retried=True, topic="mailbox", shard=3)
    id: str
    retried: bool
    topic: str
    shard: int
