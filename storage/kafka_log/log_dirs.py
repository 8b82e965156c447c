"""The request DescribeLogDirs, which aiokafka does not have: how many bytes each partition takes.

aiokafka has no types either, so mypy cannot see what the classes below are made from.
Source: https://kafka.apache.org/protocol.html#The_Messages_DescribeLogDirs, version 1.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String


class _Response(Response):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "dirs",
            Array(
                ("error_code", Int16),
                ("dir", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("name", String("utf-8")),
                        (
                            "partitions",
                            Array(
                                ("partition", Int32),
                                ("size", Int64),
                                ("offset_lag", Int64),
                                ("is_future", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Yield each partition with its bytes; one may come from several folders."""
        dirs: Any = self.dirs
        for _, _, topics in dirs:
            for _, partitions in topics:
                for partition, size, *_ in partitions:
                    yield partition, size


class _Struct(RequestStruct):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 1
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))),
    )


class DescribeLogDirs(Request[_Struct]):  # type: ignore[misc]
    """Asks one broker about one topic; the answer has ``sizes()``."""

    API_KEY = 35

    def __init__(self, topic: str, partitions: Sequence[int]) -> None:
        self._topic, self._partitions = topic, list(partitions)

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        """Return what goes over the wire."""
        return request_struct_class([(self._topic, self._partitions)])
