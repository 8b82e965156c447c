"""The node's scrape target: merged, handed on, and of no harm to anybody."""

import asyncio
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from cluster.folders import runtime_folder
from cluster.local.preflight import free_metrics_address
from cluster.local.servers import free_port
from cluster.settings import Settings
from roost.private_folders import make_private
from telemetry import exporter, metrics
from telemetry.exporter import Exporter, Shown

Collect = Callable[[], Awaitable[bytes]]
Values = dict[tuple[str, str], float]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    yield made / "m"
    shutil.rmtree(made)


@pytest.fixture
def port() -> int:
    return free_port()


def saying(text: str) -> Collect:
    async def collect() -> bytes:
        return text.encode()

    return collect


@asynccontextmanager
async def showing(folder: Path, port: int, **roles: str | Collect) -> AsyncIterator[dict[str, Exporter]]:
    """Show these roles on the port, each with its text or what makes it."""
    async with AsyncExitStack() as stack:
        made = {}
        for name, text in roles.items():
            collect = saying(text) if isinstance(text, str) else text
            role = name.rsplit("_", 1)[0]
            made[name] = Exporter(Shown(role, name), collect, folder, ("127.0.0.1", port))
            await made[name].start()
            stack.push_async_callback(made[name].stop)
        yield made


async def scrape(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.request(method, f"http://127.0.0.1:{port}{path}") as got:
        return got.status, await got.text()


async def scraped(port: int, within: float = 5.0) -> Values:
    """Return the values by metric and role name, as soon as there is an answer."""
    ends = asyncio.get_running_loop().time() + within
    while True:
        try:
            status, text = await scrape(port)
        except aiohttp.ClientConnectionError:
            assert asyncio.get_running_loop().time() < ends, "no role has the port"
            await asyncio.sleep(0.05)
            continue
        assert status == 200
        samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
        return {(each.name, each.labels["name"]): each.value for each in samples}


def list_sockets(folder: Path) -> list[Path]:
    return list(folder.glob("*.sock"))


def users(number: int) -> str:
    return f"# HELP roost_users Users.\n# TYPE roost_users gauge\nroost_users {number}\n"


async def test_all_roles_are_in_one_answer(folder: Path, port: int) -> None:
    async with showing(folder, port, host_1=users(3), host_2=users(4)):
        found = await scraped(port)
        _, text = await scrape(port)
    assert (found["roost_users", "host_1"], found["roost_users", "host_2"]) == (3, 4)
    assert (found["roost_role_scraped", "host_1"], found["roost_role_scraped", "host_2"]) == (1, 1)
    assert text.count("# TYPE roost_users gauge") == 1
    assert 'roost_users{name="host_1",role="host"} 3.0' in text


async def test_a_real_registrys_exposition_arrives_whole(folder: Path, port: int) -> None:
    own = metrics.exposition(metrics.HOST, metrics.WRITER)
    async with showing(folder, port, host_1=saying(own.decode())):
        await scraped(port)
        _, text = await scrape(port)

    def shape(exposition: str) -> dict[str, tuple[str, str, int]]:
        families = text_string_to_metric_families(exposition)
        return {each.name: (each.type, each.documentation, len(each.samples)) for each in families}

    merged = shape(text)
    del merged["roost_role_scraped"]
    assert merged == shape(own.decode())


def test_no_metric_has_the_labels_that_tell_roles_apart() -> None:
    registries = (
        *(metrics.PROCESS, metrics.WRITER, metrics.READER, metrics.GATEWAY, metrics.HOST),
        *(metrics.ROUTER, metrics.PUSHER, metrics.COORDINATOR),
    )
    samples = [
        sample for registry in registries for family in registry.collect() for sample in family.samples
    ]
    assert [each.name for each in samples if each.labels.keys() & {"role", "name"}] == []
    assert len(samples) > 100


async def test_when_the_holder_goes_another_role_takes_the_port(folder: Path, port: int) -> None:
    async with showing(folder, port, host_1=users(1), host_2=users(2)) as roles:
        assert len(await scraped(port)) == 4
        await roles["host_1"].stop()
        assert await scraped(port) == {("roost_users", "host_2"): 2, ("roost_role_scraped", "host_2"): 1}


async def test_a_port_that_another_system_has_is_no_failure(folder: Path, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), capture_logs() as logged:
        async with showing(folder, port, host_1=users(1), host_2=users(2)):
            await asyncio.sleep(2.5)
    assert [each["event"] for each in logged] == ["metrics_port_taken"]
    taken = socket.create_server(("127.0.0.1", port))
    async with showing(folder, port, host_1=users(1)):
        await asyncio.sleep(0.2)
        taken.close()
        assert (await scraped(port))["roost_users", "host_1"] == 1


async def test_an_unresponsive_role_is_shown_as_such(
    folder: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs() -> bytes:
        await asyncio.sleep(3600)
        return b""

    async def fails() -> bytes:
        raise RuntimeError("broken")

    monkeypatch.setattr(exporter, "_ANSWER_S", 0.2)
    with capture_logs() as logged:
        async with showing(folder, port, host_1=users(1), host_2=hangs, host_3=fails):
            found = await scraped(port)
    assert {name: found["roost_role_scraped", name] for name in ("host_1", "host_2", "host_3")} == {
        "host_1": 1,
        "host_2": 0,
        "host_3": 0,
    }
    assert found["roost_users", "host_1"] == 1
    assert "metrics_failed" in [each["event"] for each in logged]


async def test_half_an_answer_counts_as_none(folder: Path, port: int) -> None:
    async def dies_midway(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(users(7).encode())
        writer.close()

    async with showing(folder, port, host_1=users(1)):
        server = await asyncio.start_unix_server(dies_midway, folder / "host.host_2.sock")
        found = await scraped(port)
        server.close()
    assert found["roost_role_scraped", "host_2"] == 0
    assert ("roost_users", "host_2") not in found


async def test_a_role_that_never_comes_back_is_forgotten(
    folder: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with showing(folder, port, host_1=users(1)):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(folder / "host.host_2.sock"))
        assert (await scraped(port))["roost_role_scraped", "host_2"] == 0
        monkeypatch.setattr(exporter, "_GONE_S", 0.0)
        await scrape(port)
        assert ("roost_role_scraped", "host_2") not in await scraped(port)


async def test_a_new_incarnation_takes_over_the_previous_ones_socket(folder: Path, port: int) -> None:
    make_private(folder)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "host.host_1.sock"))
    async with showing(folder, port, host_1=users(5)):
        assert (await scraped(port))["roost_users", "host_1"] == 5
    assert not list_sockets(folder)


async def test_only_metrics_are_served(folder: Path, port: int) -> None:
    async with showing(folder, port, host_1=users(1)):
        await scraped(port)
        assert (await scrape(port, "/"))[0] == 404
        assert (await scrape(port, method="POST"))[0] == 405
        assert (await scrape(port, "/metrics?x=1"))[0] == 200


def test_the_ready_line_names_the_address_only_if_it_was_free(port: int) -> None:
    def shown(host: str, port: int) -> str | None:
        settings = Settings.model_validate({"telemetry": {"metrics_host": host, "metrics_port": port}})
        return free_metrics_address(settings)

    assert shown("127.0.0.1", port) == shown("0.0.0.0", port) == f"http://127.0.0.1:{port}/metrics"
    assert shown("127.0.0.1", 0) is None
    with socket.create_server(("127.0.0.1", port)):
        assert shown("127.0.0.1", port) is None


def test_the_folder_is_this_users_alone(folder: Path) -> None:
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o770)
    with pytest.raises(PermissionError):
        make_private(folder)


def test_a_folder_prepared_by_someone_else_is_refused(folder: Path, tmp_path: Path) -> None:
    folder.symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        make_private(folder)


def test_the_sockets_path_is_short_however_long_the_data_folders_is() -> None:
    data = Path("/a" * 100)
    assert len(str(runtime_folder(data) / "coordinator.coordinator-1000.sock").encode()) < 107
    assert runtime_folder(data) != runtime_folder(data / "b")
    assert str(os.getuid()) in str(runtime_folder(data))
