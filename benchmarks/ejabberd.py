"""ejabberd with its archive in PostgreSQL, both from Debian's packages, as child processes.

Nothing is a system service: configuration, data and ports are in a folder of the run, and only what was
started here is ended. PostgreSQL keeps its durable defaults (`fsync` and `synchronous_commit` are on).
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.accounts import Account
from benchmarks.ledger import Book
from benchmarks.xmpp import DOMAIN, XmppClient, payload
from cluster.local.servers import free_port
from sim.people.light_stream import Counts, Manner

PACKAGES = ("ejabberd", "erlang-p1-pgsql", "postgresql")
_SCHEMA = Path("/usr/share/ejabberd/sql/pg.sql")
_READY_S = 60.0
_STOP_S = 60.0
_SIGN_UP_AT_ONCE = 20

_CONFIG = """
hosts: ["{domain}"]
loglevel: warning
log_rotate_count: 0
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, shaper: none, backlog: 1000}}
auth_method: [sql]
auth_password_format: plain
default_db: sql
sql_type: pgsql
sql_server: "127.0.0.1"
sql_port: {sql_port}
sql_database: ejabberd
sql_username: ejabberd
sql_password: ""
registration_timeout: infinity
shaper_rules: {{max_user_offline_messages: infinity}}
modules:
  mod_disco: {{}}
  mod_mam: {{default: always, assume_mam_usage: true}}
  mod_offline: {{access_max_user_messages: max_user_offline_messages}}
  mod_register: {{ip_access: all}}
  mod_roster: {{}}
  mod_stream_mgmt: {{max_ack_queue: 100000, queue_type: ram}}
"""


class Ejabberd:
    """ejabberd and PostgreSQL in a folder of their own; the shape of `benchmarks.system.System`.

    Args:
        folder: For their data, configuration and logs.

    Attributes:
        http: ``host:port`` of the XMPP listener: what clients connect to.
    """

    client = XmppClient

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.http = ""
        self.ready_s = 0.0
        self._sql_port = free_port()
        self._running: dict[str, asyncio.subprocess.Process] = {}

    async def start(self) -> None:
        """Make the database and start both; return when clients can connect."""
        began = asyncio.get_running_loop().time()
        self.folder.chmod(0o755)
        await self._start_postgres()
        await self._start_ejabberd()
        self.ready_s = asyncio.get_running_loop().time() - began

    async def stop(self) -> int:
        """Stop both in order and return the first exit status that is not 0."""
        statuses = []
        for name, number in (("ejabberd", signal.SIGTERM), ("postgres", signal.SIGINT)):
            process = self._running.pop(name, None)
            if process is not None:
                if process.returncode is None:
                    process.send_signal(number)
                async with asyncio.timeout(_STOP_S):
                    statuses.append(await process.wait())
        return next((status for status in statuses if status), 0)

    async def sign_up(self, names: Sequence[str]) -> list[Account]:
        """Register so many users in band."""
        made = [Account(name, "", "") for name in names]
        for first in range(0, len(made), _SIGN_UP_AT_ONCE):
            clients = [
                XmppClient(each, Book(), Counts(), lambda: None, Manner())
                for each in made[first : first + _SIGN_UP_AT_ONCE]
            ]
            await asyncio.gather(*(client.connect(self.http) for client in clients))
            for client in clients:
                client.leave()
        return [Account(name, "", "registered") for name in names]

    async def processes(self) -> dict[int, str]:
        """Return every process with its role."""
        found: dict[int, str] = {}
        for name, process in self._running.items():
            parent = psutil.Process(process.pid)
            found |= dict.fromkeys((each.pid for each in parent.children(recursive=True)), name)
            found[process.pid] = name
        return found

    async def audit(self, _people: list[Account], book: Book, _first: object) -> None:
        """Start the database afresh, tell the ledgers what the recipients' archives hold, and stop it."""
        await self._start_postgres()
        query = "select username, split_part(bare_peer, '@', 1), txt from archive order by id"
        rows = await self._psql("ejabberd", "-At", "-F", " ", "-c", query)
        for row in rows.splitlines():
            owner, peer, text = row.split(" ")
            found = book.find(payload(text.encode()))
            if found is None:
                continue
            ledger, number = found
            # The sender's archive has a copy, too; only the recipient's is what the ledger asks for.
            if ledger.names(number) == (peer, owner):
                ledger.store(number, peer, owner)
        for ledger in book.ledgers:
            ledger.audited = True
        await self.stop()

    def log(self) -> str:
        """Return the ends of the logs."""
        files = [self.folder / "postgres.log", *self.folder.glob("ejabberd/*.log")]
        tails = (file.read_text(errors="replace").splitlines()[-20:] for file in files if file.exists())
        return "\n".join(line for tail in tails for line in tail)

    # --- the two servers --------------------------------------------------------------------------

    async def _start_postgres(self) -> None:
        data = self._own("postgres", "postgres")
        if not (data / "PG_VERSION").exists():
            await self._call(
                "postgres", str(_postgres("initdb")), "-D", str(data), "-A", "trust", "-U", "ejabberd"
            )
        options = ("-p", str(self._sql_port), "-c", "listen_addresses=127.0.0.1", "-k", str(data))
        await self._launch("postgres", "postgres", str(_postgres("postgres")), "-D", str(data), *options)
        await self._until_answers(self._sql_port)
        if "ejabberd" not in await self._psql("postgres", "-Atc", "select datname from pg_database"):
            await self._psql("postgres", "-c", "create database ejabberd")
            await self._psql("ejabberd", "-q", "-f", str(_SCHEMA))

    async def _start_ejabberd(self) -> None:
        home, port = self._own("ejabberd", "ejabberd"), free_port()
        config = home / "ejabberd.yml"
        config.write_text(_CONFIG.format(domain=DOMAIN, port=port, sql_port=self._sql_port))
        # Without a node name there is no distribution, and so no port mapper that would outlive it.
        await self._launch(
            "ejabberd", "ejabberd", "erl", "-noinput", "+K", "true", "+P", "250000", "-mnesia", "dir",
            f'"{home}/mnesia"', "-s", "ejabberd",
            EJABBERD_CONFIG_PATH=str(config), EJABBERD_LOG_PATH=str(home / "ejabberd.log"), HOME=str(home),
            ERL_INETRC="/etc/ejabberd/inetrc", ERL_LIBS=str(_erlang_libraries()),
            ERL_CRASH_DUMP=str(home / "crash.dump"),
        )  # fmt: skip
        self.http = f"127.0.0.1:{port}"
        await self._until_answers(port)

    def _own(self, name: str, user: str) -> Path:
        """Make a folder that the user owns under whom the server runs."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True, mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(folder, user, user)
        return folder

    async def _launch(self, name: str, user: str, *command: str, **variables: str) -> None:
        with (self.folder / f"{name}.log").open("a") as log:
            self._running[name] = await asyncio.create_subprocess_exec(
                *_as(user),
                *command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder / name,
                env=os.environ | variables,  # noqa: TID251 -- the child's
            )

    async def _call(self, user: str, *command: str) -> str:
        child = await asyncio.create_subprocess_exec(
            *_as(user), *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder
        )
        out, err = await child.communicate()
        if child.returncode:
            raise RuntimeError(f"{command[0]} ended with {child.returncode}: {err.decode()}")
        return out.decode()

    async def _psql(self, database: str, *arguments: str) -> str:
        there = ("-h", "127.0.0.1", "-p", str(self._sql_port), "-U", "ejabberd", "-v", "ON_ERROR_STOP=1")
        return await self._call("postgres", "psql", *there, *arguments, database)

    async def _until_answers(self, port: int) -> None:
        ends = asyncio.get_running_loop().time() + _READY_S
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                dead = [name for name, process in self._running.items() if process.returncode is not None]
                if dead or asyncio.get_running_loop().time() > ends:
                    raise RuntimeError(
                        f"nothing answers on port {port}; ended: {dead}\n{self.log()}"
                    ) from None
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def _erlang_libraries() -> Path:
    """Return the folder where Debian keeps ejabberd's modules, which depends on the architecture."""
    return max(Path("/usr/lib").glob("*/ejabberd-*")).parent


def _postgres(program: str) -> Path:
    """Return a program of the newest PostgreSQL that is installed."""
    return max(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))


def _as(user: str) -> list[str]:
    """Return how to run a command as a user: PostgreSQL does not run as root."""
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if os.geteuid() == 0 else []
