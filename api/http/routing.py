"""The route class of the API: it knows who calls, and has the whole body, before anything is parsed."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from api.http.bodies import read_body
from api.http.dependencies import authenticate, caller_of, check_still
from api.http.problems import problem_response, request_id_of
from roost.errors import RoostError


class ApiRoute(APIRoute):
    """A route that spends nothing on a stranger's body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, with what comes before the framework's part of it."""
        handle = super().get_route_handler()
        private, has_body = _asks_who_calls(self.dependant), self.body_field is not None

        async def handler(request: Request) -> Response:
            if private:
                authenticate(request)
            if has_body:
                try:
                    await read_body(request)
                except ClientDisconnect:
                    broken = RoostError("bad_request", "The request broke off.")
                    return problem_response(broken, request_id_of(request))
                if private:
                    check_still(request)  # it may have taken minutes
            return await handle(request)

        return handler


def _asks_who_calls(dependant: Dependant) -> bool:
    return any(each.call is caller_of or _asks_who_calls(each) for each in dependant.dependencies)
