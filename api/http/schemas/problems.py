"""The body of every error."""

from pydantic import BaseModel

from api.http.schemas.base import model


class Problem(BaseModel):
    """An error in the form of RFC 9457; `code` is the stable word to act on."""

    model_config = model(
        type="urn:roost:problem:unknown_user",
        title="There is no such user.",
        status=404,
        code="unknown_user",
        detail="There is no user 'bbo'.",
        request_id="5c1f0e8a9b7d4c3f",
    )
    type: str
    title: str
    status: int
    code: str
    detail: str
    retry_after_s: float | None = None
    request_id: str
