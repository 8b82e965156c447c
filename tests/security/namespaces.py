"""Machines that are nothing but a network: namespaces on one switch, each with its addresses. Needs root."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from roost.child_supervision import tied

_CALL_S: Final = 30
_NET4: Final = "10.98.0."
_NET6: Final = "fd98::"

_LISTEN: Final = """
import asyncio, sys
async def main():
    async def take(reader, writer):
        writer.close()
    for port in map(int, sys.argv[1:]):
        await asyncio.start_server(take, None, port)
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""

_TRY: Final = """
import asyncio, json, sys
wanted, within = json.loads(sys.argv[1]), float(sys.argv[2])
async def open_(address, port):
    try:
        async with asyncio.timeout(within):
            (await asyncio.open_connection(address, port))[1].close()
    except OSError:
        return None
    return address, port
async def main():
    tries = [open_(address, port) for address, ports in wanted.items() for port in ports]
    print(json.dumps([each for each in await asyncio.gather(*tries) if each]))
asyncio.run(main())
"""


class Machine:
    """One namespace.

    Attributes:
        name: What it stands for.
        addresses: Its IPv4 and its IPv6 address.
    """

    def __init__(self, name: str, number: int, pid: int) -> None:
        self.name, self._pid = name, pid
        self.addresses = (f"{_NET4}{number}", f"{_NET6}{number:x}")

    def command(self, *argv: str) -> list[str]:
        """Return the command that runs ``argv`` here."""
        return ["nsenter", "-t", str(self._pid), "--net", "--", *argv]

    def run(self, *argv: str, given: str = "") -> str:
        """Run a command here, and return what it prints."""
        done = subprocess.run(
            self.command(*argv), input=given, capture_output=True, text=True, timeout=_CALL_S, check=False
        )
        assert done.returncode == 0, f"{self.name}: {argv} ended with {done.returncode}:\n{done.stderr}"
        return done.stdout

    def opens(self, wanted: Mapping[str, Collection[int]], within: float = 1.0) -> set[tuple[str, int]]:
        """Return the addresses and ports that take a connection from here."""
        asked = {address: list(ports) for address, ports in wanted.items()}
        found: Any = json.loads(self.run(sys.executable, "-c", _TRY, json.dumps(asked), str(within)))
        return {(address, port) for address, port in found}


class Network:
    """A switch, and the machines on it, by name."""

    def __init__(self, kept: ExitStack) -> None:
        self._kept = kept
        self._switch = Machine("switch", 1, self._hold())
        self._switch.run("ip", "link", "add", "switch", "type", "bridge")
        self._switch.run("ip", "link", "set", "switch", "up")
        self.machines: dict[str, Machine] = {}

    def add(self, name: str) -> Machine:
        """Connect a machine."""
        number = len(self.machines) + 10
        pid = self._hold()
        made = Machine(name, number, pid)
        port = f"port{number}"
        self._switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        self._switch.run("ip", "link", "set", port, "master", "switch", "up")
        made.run("ip", "link", "set", "lo", "up")
        made.run("ip", "address", "add", f"{made.addresses[0]}/24", "dev", "eth0")
        made.run("ip", "address", "add", f"{made.addresses[1]}/64", "dev", "eth0", "nodad")
        made.run("ip", "link", "set", "eth0", "up")
        self.machines[name] = made
        return made

    def listen(self, machine: Machine, ports: Collection[int]) -> None:
        """Have something listen on these ports of a machine."""
        command = [*tied(), *machine.command(sys.executable, "-c", _LISTEN, *map(str, ports))]
        child = self._start(command)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"

    def _hold(self) -> int:
        """Make a namespace; returns a process that holds it."""
        child = self._start([*tied(), "unshare", "--net", "sh", "-c", "echo $$; exec sleep 1000"])
        assert child.stdout is not None
        return int(child.stdout.readline())

    def _start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self._kept.enter_context(child)
        self._kept.callback(child.kill)
        return child


@contextmanager
def network() -> Iterator[Network]:
    """Make a switch; with it everything ends."""
    assert os.geteuid() == 0, "Machines are network namespaces, and to make them needs root."
    missing = [each for each in ("nft", "ip", "unshare", "nsenter") if shutil.which(each) is None]
    assert not missing, f"{', '.join(missing)} cannot be found; `make security-test` installs it."
    with ExitStack() as kept:
        yield Network(kept)
