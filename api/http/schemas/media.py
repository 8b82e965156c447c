"""Bodies of the media calls."""

from pydantic import BaseModel

from api.http.schemas.base import Millis, model


class UploadedMedia(BaseModel):
    """A file that was uploaded."""

    media_id: str
    size: int
    sha256: str
    expires_at_ms: Millis

    model_config = model(
        media_id="pX0q1Jm0vY8G6b1Tn6Q7cJm9yF4o0S8a5h2d3e1kLrE",
        size=65_552,
        sha256="47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        expires_at_ms=1_795_000_000_000,
    )
