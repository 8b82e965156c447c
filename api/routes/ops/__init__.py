"""Calls behind the operators' dashboard."""

from typing import Final

from fastapi import APIRouter

from api.routes.ops import events, stream

ROUTERS: Final[tuple[APIRouter, ...]] = (stream.router, events.router)
"""In the order of the API document."""
