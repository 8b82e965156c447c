"""G5 in the log itself: who wrote to whom stands in its records, the text does not."""

import secrets
from collections.abc import AsyncIterator

import pytest

from roost.client import Accepted, Client, Options, connections
from storage.access import Access
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader
from tests.live.running import System
from tests.live.waiting import until

TOPICS = ("mailbox", "push", "mailbox.dead", "push.dead")


async def records(url: str, access: Access) -> AsyncIterator[tuple[str, bytes]]:
    """Yield every record of every topic, from the beginning."""
    admin = KafkaLogAdmin(url, replicas=1, access=access)
    await admin.start()
    for topic in TOPICS:
        reader = KafkaLogReader(url, topic, "test-blind", fetch_wait_ms=5, access=access)
        await reader.start()
        await reader.assign(dict.fromkeys(range(await admin.partitions(topic) or 0), 0))
        while found := await reader.poll(wait_ms=1000, limit=5000):
            for several in found.values():
                for record in several:
                    yield topic, record.value
        await reader.close()
    await admin.close()


@pytest.mark.attack("read messages in the log", "payloads are sealed by the clients")
async def test_no_text_is_in_the_log(system: System) -> None:
    tail, text = secrets.token_hex(3), f"plain {secrets.token_hex(12)}"
    ann, ben, told = f"ann_{tail}", f"ben_{tail}", list[object]()
    async with connections() as http:
        options = Options(on_event=told.append)
        receiver = await Client.register(system.http, ben, secrets.token_urlsafe(12), http=http)
        body = {"provider": "fcm", "token": f"phone-of-{ben}"}
        await receiver.api.call("PUT", "/v1/devices/current/push", body)
        sender = await Client.register(
            system.http, ann, secrets.token_urlsafe(12), http=http, options=options
        )
        await sender.start()
        await sender.send(ben, text)
        await until(lambda: "" if any(isinstance(each, Accepted) for each in told) else f"{told}", within=30)
        await sender.close()
        await receiver.close()
    found = [record async for record in records(system.kafka, system.log_access)]
    assert [topic for topic, value in found if ann.encode() in value] == ["mailbox"], (
        "the search finds nothing"
    )
    assert [
        topic for topic, value in found if text.encode() in value or text.split()[1].encode() in value
    ] == []
