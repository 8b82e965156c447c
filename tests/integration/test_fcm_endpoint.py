"""The embedded FCM endpoint among the users of one machine."""

import os
import subprocess
from pathlib import Path

import aiohttp
import pytest

from cluster.local import peer_user
from cluster.local.embedded import fcm
from cluster.local.servers import free_port
from tests.real_servers import Servers

NOBODY = 65_534

ASK = """
exec 3<>/dev/tcp/127.0.0.1/$0
printf '%s /%s HTTP/1.0\\r\\nContent-Length: 0\\r\\n\\r\\n' "$1" "$2" >&3
read -r line <&3
echo "$line"
"""


@pytest.fixture(scope="module")
def port(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> int:
    return servers.start(fcm(free_port(), tmp_path_factory.mktemp("fcm"))).spec.port


async def test_its_own_user_needs_no_secret(port: int) -> None:
    async with aiohttp.ClientSession() as http:
        for _ in range(2):  # the second on the same connection
            async with http.get(f"http://127.0.0.1:{port}/pushes") as answer:
                assert (answer.status, await answer.json()) == (200, [])


@pytest.mark.attack("another user reads push tokens off the embedded FCM endpoint, or has it refuse pushes")
@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "pushes"), ("POST", "behaviour"), ("POST", "token"), ("POST", "v1/projects/p/messages:send")],
)
def test_another_user_is_refused(port: int, method: str, path: str) -> None:
    command = ("/bin/bash", "-c", ASK, str(port), method, path)
    asked = subprocess.run(
        command, user=NOBODY, capture_output=True, text=True, timeout=10, check=True, cwd="/"
    )
    assert asked.stdout.startswith("HTTP/1.0 403")


@pytest.mark.attack("another user closes the connection before he is looked at, and passes as no one")
def test_an_end_that_no_process_holds_is_no_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, peer = ("127.0.0.1", 0x1F90), ("127.0.0.1", 0xC000)
    row = "  1: 0100007F:C000 0100007F:1F90 {state} 0:0 00:0 0  {user}        0 {inode} 1"
    listed = tmp_path / "tcp"
    monkeypatch.setattr(peer_user, "_SOCKETS", listed)
    for state, user, inode, found in (
        ("01", 1000, 77, 1000),
        ("01", 0, 77, 0),
        ("01", 0, 0, None),
        ("06", 0, 0, None),
        ("05", 0, 0, None),
    ):
        listed.write_text("head\n" + row.format(state=state, user=user, inode=inode) + "\n")
        assert peer_user.owner(peer, here) == found
    assert peer_user.owner(here, peer) is None
