"""The caller's devices and their push tokens."""

import structlog
from fastapi import APIRouter, Response

from api.collaborators import Collaborators
from api.http.dependencies import Caller, With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.devices import (
    DeviceInfo,
    DeviceList,
    FcmToken,
    PushRegistration,
    WebPushServer,
    WebPushSubscription,
)
from roost.errors import RoostError, Unavailable
from storage.account_rows import PushToken
from storage.subscriptions import SubscriptionKeys

router = APIRouter(route_class=ApiRoute, tags=["devices"])
_MINE = ("unauthenticated", "revoked", "rate_limited")

log = structlog.get_logger(__name__)


@router.get("/v1/devices", responses=responses(*_MINE))
async def list_devices(caller: Caller, collaborators: With) -> DeviceList:
    """List the caller's devices, oldest first."""
    devices = (await collaborators.store.accounts.devices_of([caller.user])).get(caller.user, [])
    return DeviceList(
        devices=[
            DeviceInfo(
                device_id=device.device,
                name=device.name,
                created_at_ms=device.created_at_ms,
                has_keys=device.keys is not None,
                push=device.push_token is not None,
                current=device.device == caller.device,
            )
            for device in devices
        ]
    )


@router.delete("/v1/devices/{device_id}", status_code=204, responses=responses(*_MINE, "unknown_device"))
async def remove_device(device_id: str, caller: Caller, collaborators: With) -> Response:
    """Remove a device: its sessions end, its streams close, and its keys are deleted."""
    devices = (await collaborators.store.accounts.devices_of([caller.user])).get(caller.user, [])
    device = next((device for device in devices if device.device == device_id), None)
    if device is None:
        raise RoostError("unknown_device", "This account has no such device.")
    await collaborators.sessions.end(caller.user, device_id)
    removed = await collaborators.store.accounts.remove_device(caller.user, device_id)
    await collaborators.sessions.end(caller.user, device_id)  # one that began in between
    if removed and device.keys is not None:
        await collaborators.key_announcements.announce(caller.user, caller.username, device_id, "removed")
    else:
        await collaborators.invalidation.user_changed(caller.user)
    return Response(status_code=204)


@router.get("/v1/push/webpush", responses=responses(*_MINE))
async def show_web_push(_: Caller, collaborators: With) -> WebPushServer:
    """Return what a browser, or an app with UnifiedPush, subscribes with. It changes when it is replaced."""
    return WebPushServer(application_server_key=collaborators.keyring.vapid_key().public)


@router.put(
    "/v1/devices/current/push", status_code=204, responses=responses(*_MINE, "unknown_device", "invalid")
)
async def set_push_token(body: PushRegistration, caller: Caller, collaborators: With) -> Response:
    """Register how this device is woken. It goes with the session, and no other device keeps it."""
    changed = await collaborators.store.push_tokens.register(
        caller.user, caller.device, _token(body, collaborators), caller.family, collaborators.clock()
    )
    if changed is None:
        raise RoostError("unknown_device", "This device was removed.")
    if changed:
        await _nothing_pending(collaborators, caller.device)
    for user in changed:
        renewed = caller.device if user == caller.user else ""
        await collaborators.invalidation.user_changed(user, renewed)
    return Response(status_code=204)


@router.delete("/v1/devices/current/push", status_code=204, responses=responses(*_MINE))
async def drop_push_token(caller: Caller, collaborators: With) -> Response:
    """Remove this device's push token."""
    if await collaborators.store.push_tokens.drop(caller.user, caller.device, None):
        await collaborators.invalidation.user_changed(caller.user)
    return Response(status_code=204)


def _token(body: FcmToken | WebPushSubscription, collaborators: Collaborators) -> PushToken:
    """Return what is kept of a registration.

    Raises:
        RoostError: ``invalid``.
    """
    if isinstance(body, FcmToken):
        if not collaborators.settings.fcm:
            raise RoostError("invalid", "This server sends nothing through FCM; register for Web Push.")
        return PushToken(body.provider, body.token)
    try:
        collaborators.settings.push_services.of(body.endpoint)
        vapid = collaborators.keyring.vapid_key().id
        keys = SubscriptionKeys.given(body.keys.p256dh, body.keys.auth, vapid)
    except ValueError as exc:
        raise RoostError("invalid", str(exc)) from exc
    return PushToken(body.provider, body.endpoint, keys.text)


async def _nothing_pending(collaborators: Collaborators, device: str) -> None:
    """Forget a wake-up that went to the token before: it says nothing of the new one."""
    try:
        await collaborators.cache.clear_wakeups([device])
    except Unavailable as exc:
        log.warning("mark_stays", reason=exc.detail)
