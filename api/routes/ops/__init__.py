"""Calls behind the operators' dashboard."""

from typing import Final

from fastapi import APIRouter

from api.routes.ops import connections, dead_letters, events, roles, stream, traces, users

ROUTERS: Final[tuple[APIRouter, ...]] = (
    stream.router,
    events.router,
    users.router,
    connections.router,
    dead_letters.router,
    roles.router,
    traces.router,
)
"""In the order of the API document."""
