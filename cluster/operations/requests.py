"""Operators' requests: taken, carried out one at a time, and asked for until they are over."""

from collections.abc import Coroutine, Mapping
from typing import Any

import structlog

from actors.ray_actor import RoleFailed
from cluster.operations.plans import Operation, Plan, Plans
from cluster.operations.rollout import OperationRefused, Rollout
from cluster.operations.witness import Witness
from roost.errors import Unavailable

log = structlog.get_logger()


class Operations:
    """Takes requests, and tells how far they are.

    Args:
        plans: What a request comes to.
        rollout: Carries it out.
        witness: Writes it down.
        first: The number of the first operation: the time of the start, in ms. No coordinator then gives a
            number that an earlier one gave, and who asks how far theirs is never hears of another's.
    """

    def __init__(self, plans: Plans, rollout: Rollout, witness: Witness, first: int) -> None:
        self._plans, self._rollout, self._witness = plans, rollout, witness
        self._first = first
        self._submitted: list[Operation] = []

    def submit(self, request: Mapping[str, Any], by: str) -> tuple[int, Coroutine[Any, Any, None]]:
        """Return the number of an operation, to ask for it with `progress`, and what carries it out.

        Args:
            request: ``{"scale": {role: count}}``, ``{"grow": shards}``, ``{"drain": name of a role or
                machine}``, ``{"undrain": name of a machine}`` or ``{"upgrade": true}``.
            by: Whose request it is, for the audit log.

        Raises:
            OperationRefused: It makes no sense.
        """
        [(act, what)] = request.items()
        plans = self._plans
        match act:
            case "scale":
                plan = plans.scale(what)
            case "grow":
                plan = plans.grow(int(what))
            case "drain":
                plan = plans.drain(str(what))
            case "undrain":
                plan = plans.undrain(str(what))
            case _:
                plan = plans.upgrade
        operation = Operation([])
        self._submitted.append(operation)
        return self._first + len(self._submitted) - 1, self._witnessed(operation, plan, (by, act, what))

    def progress(self, number: int) -> Operation:
        """Return how far an operation is.

        Raises:
            OperationRefused: There is none of this number: the coordinator has restarted since.
        """
        place = number - self._first
        if not 0 <= place < len(self._submitted):
            raise OperationRefused(
                "The coordinator has restarted meanwhile. It finishes the step that it was at: "
                "see `roost status`, and ask again for what is left."
            )
        return self._submitted[place]

    async def _witnessed(self, operation: Operation, plan: Plan, act: tuple[str, str, Any]) -> None:
        try:
            await self._witness.requested(*act)
        except Unavailable as exc:
            operation.failure, operation.done = exc.detail, True
            return
        try:
            await self._carry_out(operation, plan)
        finally:
            outcome = f"failed: {operation.failure}" if operation.failure else "done"
            await self._witness.over(*act, outcome)

    async def _carry_out(self, operation: Operation, plan: Plan) -> None:
        try:
            async with self._rollout.exclusive:
                operation.lines += await self._rollout.finish()
                await plan(operation)
            operation.failure = " ".join(operation.given_up)
        except (Unavailable, OperationRefused, RoleFailed) as exc:
            operation.failure = str(getattr(exc, "detail", exc))
            log.warning("operation_failed", reason=operation.failure)
        except Exception:
            operation.failure = "It failed in an unforeseen way; see the coordinator's log."
            raise
        finally:
            operation.done = True
