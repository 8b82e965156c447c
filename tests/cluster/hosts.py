"""Machines for a test: network namespaces on a bridge, each with its own sshd.

A `Site` is one set of namespaces (network, mounts, processes, host name) and stands for the place where
the operator and the servers are. Its hosts are such sets inside it, each on a port of the site's bridge
and with an sshd. All of it hangs on one process: when that ends, for whatever reason, the kernel ends
everything and keeps nothing. Nothing has a name outside, so two sites do not meet, though they have the
same addresses. Needs root.
"""

import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from roost.child_supervision import tied

ADDRESS: Final = "10.99.0.1"
"""The site's own, on the bridge."""

ROOT: Final = Path(__file__).parents[2]

_NAMESPACES: Final = ("--net", "--mount", "--pid", "--uts")
_NEEDED: Final = ("unshare", "nsenter", "ip", "mount", "sshd", "ssh", "ssh-keygen", "rsync", "haproxy")
_FOLDERS: Final = Path("/var/tmp")
_MARK: Final = "roost-site-"
_CALL_S: Final = 30.0
_READY_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.05


class CannotMake(Exception):  # noqa: N818 -- named for what happened
    """There can be no hosts here; the sentence says why."""


class Place:
    """A set of namespaces, held by its first process.

    Attributes:
        name: Its host name.
        address: Its IP address.
        pid: Process id of its first process, as it is seen from outside.
    """

    def __init__(self, name: str, address: str, pid: int) -> None:
        self.name, self.address, self.pid = name, address, pid

    def command(self, *argv: str, env: Mapping[str, str] | None = None) -> list[str]:
        """Return the command that runs ``argv`` here, with the home of this place."""
        settings = [f"{name}={value}" for name, value in {"HOME": str(_home()), **(env or {})}.items()]
        return ["nsenter", "-t", str(self.pid), *_NAMESPACES, "--", "env", *settings, *argv]

    def run(self, *argv: str, env: Mapping[str, str] | None = None, within: float = _CALL_S) -> str:
        """Run a command here and return what it prints on both streams.

        Raises:
            AssertionError: It did not end with 0, or not in time; with what it said.
        """
        began = time.monotonic()
        # A file and not a pipe: what a command leaves running in the background would keep a pipe open.
        with tempfile.TemporaryFile("w+") as said:
            child = subprocess.Popen(
                self.command(*argv, env=env),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            try:
                status: int | None = child.wait(within)
            except subprocess.TimeoutExpired:
                end_family(child)
                status = None
            said.seek(0)
            text = said.read()
        took = time.monotonic() - began
        assert status == 0, f"{self.name}: {shlex.join(argv)} ended with {status} after {took:.1f} s:\n{text}"
        return text

    def write(self, path: str, text: str, mode: int = 0o600) -> None:
        """Write a file here, below the home or in a private folder."""
        inside = Path(f"/proc/{self.pid}/root") / path.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.write_text(text)
        inside.chmod(mode)

    def read(self, path: str) -> str:
        """Return the text of a file here."""
        return (Path(f"/proc/{self.pid}/root") / path.lstrip("/")).read_text(errors="replace")


class Host(Place):
    """A machine with an sshd; ``port`` is its place on the bridge."""

    def __init__(self, name: str, address: str, pid: int, site: "Site", port: str) -> None:
        super().__init__(name, address, pid)
        self._site, self._port = site, port

    def kill(self) -> None:
        """End all its processes at once."""
        process = psutil.Process(self.pid)
        process.kill()
        _until(lambda: not _lives(process), f"{self.name} does not end")

    @property
    def lives(self) -> bool:
        """Whether it was not killed."""
        return _lives(psutil.Process(self.pid)) if psutil.pid_exists(self.pid) else False

    def cut_off(self) -> None:
        """Take it off the network. What is in flight is lost, and no one is told."""
        self._site.outside("ip", "link", "set", self._port, "down")

    def let_back(self) -> None:
        """Undo `cut_off`."""
        self._site.outside("ip", "link", "set", self._port, "up")


class Site(Place):
    """The operator's place, with the bridge and the hosts on it.

    Attributes:
        folder: For keys and logs, the same everywhere.
        key: File with the private key that every host's sshd takes.
        hosts: Those that were made, by name; also those that were killed.
    """

    def __init__(self, folder: Path) -> None:
        pid, child = _hold(tied(), "site", folder)
        super().__init__("site", ADDRESS, pid)
        self.folder, self.key = folder, folder / "key"
        self.hosts: dict[str, Host] = {}
        self._children = [child]

    def start(self, *argv: str, log: Path) -> None:
        """Run a command here in the background, for as long as there is a site."""
        with log.open("ab") as said:
            child = subprocess.Popen(self.command(*argv), stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        self._children.append(child)

    def close(self) -> None:
        """End everything here and on the hosts at once."""
        process = psutil.Process(self.pid)
        process.kill()
        for child in self._children:
            # nsenter stops with what it started and does not go on with it. Until it does, it leaves a dead
            # process behind, and a site does not end before the last one.
            child.send_signal(signal.SIGCONT)
        _until(lambda: not _lives(process), "the site does not end")
        for child in self._children:
            child.wait(_CALL_S)

    def outside(self, *argv: str) -> None:
        """Run a command in the site's network with everything else as it is outside."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "--net", "--", *argv],
            capture_output=True,
            text=True,
            timeout=_CALL_S,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(argv)}: {done.stderr}"

    def program(self, path: str) -> Path:
        """Return a script that runs a program as `outside` would, for who can only be told a path."""
        script = self.folder / Path(path).name
        script.write_text(f'#!/bin/sh\nexec nsenter -t {self.pid} --net -- {shlex.quote(path)} "$@"\n')
        script.chmod(0o700)
        return script

    def add(self, name: str) -> Host:
        """Make a host and return once its sshd answers."""
        number = len(self.hosts) + 11
        address, port = f"{ADDRESS.rsplit('.', 1)[0]}.{number}", f"port{number}"
        pid, child = _hold(self.command(), name, self.folder)
        self._children.append(child)
        self.outside("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        self.outside("ip", "link", "set", port, "master", "bridge", "up")
        host = Host(name, address, pid, self, port)
        host.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        host.run("sh", "-c", _SSHD.format(folder=self.folder, address=address, name=name))
        self.hosts[name] = host
        _until(lambda: self._answers(host), f"the sshd of {name} does not answer")
        return host

    def known_hosts(self) -> None:
        """Make the first log-in from here need no question."""
        self.write(
            f"{_home()}/.ssh/config", "Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n"
        )

    def _answers(self, host: Host) -> bool:
        ask = (
            "ssh",
            "-i",
            str(self.key),
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=2",
            host.address,
            "true",
        )
        done = subprocess.run(self.command(*ask), capture_output=True, timeout=_CALL_S, check=False)
        return done.returncode == 0


@contextmanager
def site() -> Iterator[Site]:
    """Make a site; on leaving, or when this process dies, nothing of it is left.

    Raises:
        CannotMake: Something that it needs is not there.
    """
    _check()
    _remove_left_over()
    folder = Path(tempfile.mkdtemp(prefix=f"{_MARK}{os.getpid()}-", dir=_FOLDERS))
    try:
        made = Site(folder)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made.key)], check=True, timeout=_CALL_S
        )
        made.outside("ip", "link", "add", "bridge", "type", "bridge")
        made.outside("ip", "address", "add", f"{ADDRESS}/24", "dev", "bridge")
        made.outside("ip", "link", "set", "bridge", "up")
        made.known_hosts()
        try:
            yield made
        finally:
            made.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check() -> None:
    if os.geteuid() != 0:
        raise CannotMake("Hosts are network namespaces, and to make them needs root. Run it as root.")
    if missing := [each for each in _NEEDED if shutil.which(each, path=_path()) is None]:
        raise CannotMake(
            f"{', '.join(missing)} cannot be found. `make cluster-test` installs what is missing."
        )


def _remove_left_over() -> None:
    """Remove the folders of runs that were killed; of such a run nothing else is left."""
    for folder in _FOLDERS.glob(f"{_MARK}*"):
        if not psutil.pid_exists(int(folder.name.removeprefix(_MARK).partition("-")[0])):
            shutil.rmtree(folder, ignore_errors=True)


def _hold(prefix: Sequence[str], name: str, folder: Path) -> "tuple[int, subprocess.Popen[bytes]]":
    """Start the first process of a new set of namespaces, and wait until it is prepared.

    Returns:
        Its process id, and the child of ours that ends with it.
    """
    mark = f"{name}-{secrets.token_hex(6)}"
    script = folder / f"{mark}.sh"
    script.write_text(_first_process(name, folder / f"{mark}.ready"))
    unshare = ("unshare", *_NAMESPACES, "--fork", "--kill-child", "--mount-proc", "bash", str(script))
    with (folder / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            [*prefix, *unshare], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    _until(
        lambda: (folder / f"{mark}.ready").exists() or child.poll() is not None,
        f"{name} does not come up; see {folder / name}.log",
    )
    assert child.poll() is None, f"{name} did not come up:\n{(folder / f'{name}.log').read_text()}"
    (held,) = psutil.Process(child.pid).children()
    while held.cmdline()[:2] != ["bash", str(script)]:  # the topmost: its forks say the same
        (held,) = held.children()
    return held.pid, child


def _first_process(name: str, ready: Path) -> str:
    """Return the script of a place's first process: private folders, then collecting who is orphaned."""
    keeps = [each for each in _kept() if each.exists()]
    lines = [
        "set -e",
        f"hostname {name}",
        "ip link set lo up",
        f"stash=$(mktemp -d {ready.parent}/stash-XXXX)",
    ]
    private = [Path("/tmp"), Path("/dev/shm"), Path("/run"), _home()]
    for number, keep in enumerate(keeps):
        lines += [f"mkdir $stash/{number}", f"mount --bind {keep} $stash/{number}"]
    lines += [
        f"mount -t tmpfs -o mode={'1777' if each.name in ('tmp', 'shm') else '755'} tmpfs {each}"
        for each in private
    ]
    for number, keep in enumerate(keeps):
        if any(keep.is_relative_to(each) for each in private):
            lines += [f"mkdir -p {keep}", f"mount --bind $stash/{number} {keep}"]
    lines += [
        # A password that was never set counts as a locked account for an sshd without PAM.
        "sed 's/^root:[^:]*:/root:*:/' /etc/shadow > $stash/shadow",
        "mount --bind $stash/shadow /etc/shadow",
        f"touch {ready}",
        "while :; do sleep 1000 & wait $!; done",
    ]
    return "\n".join(lines) + "\n"


def _kept() -> list[Path]:
    """Return the folders that must be there in every place, wherever they are."""
    return [ROOT, Path(sys.prefix), Path(sys.base_prefix)]


def _home() -> Path:
    return Path("~root").expanduser()


def _path() -> str:
    return os.pathsep.join([*os.get_exec_path(), "/usr/sbin", "/sbin"])


_SSHD: Final = """set -e
mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f /run/host-key
/usr/sbin/sshd -f /dev/null -h /run/host-key -E {folder}/{name}-sshd.log -o ListenAddress={address} \
  -o AuthorizedKeysFile={folder}/key.pub -o StrictModes=no -o UsePAM=no -o PidFile=none -o MaxStartups=100
"""


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_family(child: "subprocess.Popen[bytes]") -> None:
    """End a child and its children: what runs in a place does not end with its `nsenter`."""
    family = psutil.Process(child.pid).children(recursive=True)
    for each in [*family, psutil.Process(child.pid)]:
        if each.is_running():
            each.kill()
    child.wait(_CALL_S)


def _until(condition: Callable[[], bool], sentence: str, within: float = _READY_S) -> None:
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends, f"after {within:g} s: {sentence}"
        time.sleep(_LOOK_EVERY_S)
