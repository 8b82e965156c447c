"""The HTTP routes, one file for each part of the contract."""

from fastapi import APIRouter

from api.routes import (
    accounts,
    blocks,
    conversations,
    devices,
    keys,
    mailbox,
    messages,
    pages,
    rights,
    system,
    users,
)


def routers() -> list[APIRouter]:
    """Return every router, in the order of the API document."""
    return [
        accounts.router,
        rights.router,
        devices.router,
        keys.router,
        messages.router,
        mailbox.router,
        conversations.router,
        users.router,
        blocks.router,
        system.router,
        pages.router,
    ]
