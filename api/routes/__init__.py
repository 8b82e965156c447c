"""The HTTP routes, one file for each part of the contract."""

from fastapi import APIRouter

from api.routes import (
    accounts,
    admin,
    blocks,
    conversations,
    credentials,
    devices,
    identities,
    keys,
    mailbox,
    media,
    messages,
    pages,
    rights,
    system,
    tus,
    users,
)
from api.routes.ops import ROUTERS as OPS


def routers() -> list[APIRouter]:
    """Return every router, in the order of the API document."""
    return [
        accounts.router,
        credentials.router,
        rights.router,
        devices.router,
        keys.router,
        identities.router,
        messages.router,
        mailbox.router,
        conversations.router,
        tus.router,
        media.router,
        users.router,
        blocks.router,
        admin.router,
        *OPS,
        system.router,
        pages.router,
    ]
