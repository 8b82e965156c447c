"""The FastAPI application, made from its collaborators; no state is kept at module level."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.collaborators import Collaborators
from api.http import examples
from api.http.middleware import App, Middleware
from api.http.problems import from_http, from_validation, problem_response, request_id_of
from api.http.schemas.problems import Problem
from api.routes import pages, routers, web_client
from api.routes.ops import stream
from roost.errors import RoostError

_ABOUT = """End-to-end encrypted one-to-one messaging: the server relays and stores what it cannot read.

Errors are `application/problem+json` (RFC 9457); `code` is the stable word to act on. Times are
Unix milliseconds; binary values are unpadded standard base64. Live delivery is the WebSocket
`GET /v1/stream` (subprotocols `roost.v1.json`, `roost.v1.msgpack`)."""


def create_app(collaborators: Collaborators) -> App:
    """Return the ASGI application: `fastapi_app` behind the middleware."""
    return Middleware(
        fastapi_app(collaborators),
        collaborators.streams,
        collaborators.metrics,
        collaborators.settings.cors_origins,
        collaborators.settings.hsts_s,
        collaborators.settings.proxies,
    )


def fastapi_app(collaborators: Collaborators) -> FastAPI:
    """Return the routes with their error handlers and documents."""
    app = FastAPI(
        title="Roost",
        version=collaborators.settings.version,
        description=_ABOUT,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.state.collaborators = collaborators
    for router in routers():
        app.include_router(router)
    for path, served in pages.static_files().items():
        app.mount(path, served)
    client = web_client.built()
    app.router.routes.extend(web_client.routes(client) if client else [pages.stand_in()])
    add_handlers(app)
    _describe(app)
    return app


def add_handlers(app: FastAPI) -> None:
    """Have every error answered in the contract's form."""
    app.add_exception_handler(RoostError, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)


def _describe(app: FastAPI) -> None:
    """Put the problem document into the API document, and drop the framework's own error form."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = make()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema()
            schemas |= stream.schemas()
            schemas.pop("HTTPValidationError", None)
            schemas.pop("ValidationError", None)
            examples.complete(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


async def _on_refusal(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RoostError)  # noqa: S101 -- registered for this type
    return problem_response(exc, request_id_of(request))


async def _on_invalid(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)  # noqa: S101 -- registered for this type
    return problem_response(from_validation(exc), request_id_of(request))


async def _on_bug(request: Request, _exc: Exception) -> Response:
    # The framework raises it again after this answer, and the middleware logs it.
    error = RoostError(
        "internal", "Something went wrong; the server's logs have the reason under this request_id."
    )
    return problem_response(error, request_id_of(request))


async def _on_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101 -- registered for this type
    response = problem_response(from_http(exc), request_id_of(request))
    for name, value in (exc.headers or {}).items():
        response.headers[name] = value
    return response
