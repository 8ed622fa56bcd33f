"""A spool that has grown: how it is filled, and the office that opens it, with an entry for each of its domains.

Filled by the spool's own door, from this process, before a server has it. Domain number N is `dN.sites.example`; all
of them go to a port at which nobody is, so that a release ends as soon as it has dialled.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench.load import LINE
from bench.machine import BenchError, free_port, member_pids
from bench.servers import DOMAIN
from tests.stories.restante_host import RESTANTE

from restante.admin import protocol as p
from restante.admin.control import ControlClient
from restante.model import DomainName, Envelope, Mailbox, Recipient
from restante.spool.spool import Arrival
from restante.store.book import open_book
from restante.store.sqlite import open_spool_apart

ABOVE = "sites.example"
BATCH = 2000
SUBTREES = 3
"""Every so-manyth domain lies below `big.sites.example`, so that one ETRN can mean very many."""
IN_FILE, IN_STORE = "file", "store"
READY_SECONDS = 120.0


def domain_name(number: int) -> str:
    """The name of a domain."""
    return f"d{number:06}.{'big.' if number % SUBTREES == 0 else ''}{ABOVE}"


def domain_table(next_hop: int) -> dict[str, object]:
    """What the configuration says of each."""
    return {"action": "hold", "next_hop": f"127.0.0.1:{next_hop}", "release_from": ["127.0.0.1"]}


def config_text(port: int, next_hop: int, names: Iterator[str]) -> str:
    """A configuration with an entry for each name, and one for what the load sends."""
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in domain_table(next_hop).items())
    head = f"""hostname = "office.example"
data = "data"

[[listen]]
address = "127.0.0.1:{port}"

[limits]
connection_rate = 100000
connections_per_address = 100000

[domains."{DOMAIN}"]
{table}
"""
    return head + "".join(f'\n[domains."{name}"]\n{table}\n' for name in names)


async def fill(folder: Path, *, items: int, domains: int, size: int) -> float:
    """Makes a spool of so many messages of `size` octets, spread evenly; the seconds that took."""
    chance = random.Random(items)
    began = time.monotonic()
    spool = await open_spool_apart(folder)
    sender = Mailbox.parse("ann@sender.example")
    body = LINE * (size // len(LINE) + 1)
    under_way: list[asyncio.Future[None]] = []
    try:
        for number in range(items):
            domain = DomainName(domain_name(number % domains))
            head = f"Message-ID: <{number}@sender.example>\r\nSubject: {chance.getrandbits(64):x}\r\n\r\n".encode()
            content = head + body[: size - len(head) - 2] + b"\r\n"
            envelope = Envelope(sender, (Recipient(Mailbox(f"user{chance.randrange(1000)}", domain)),))
            arrival = Arrival(spool.new_id(), content, len(content), [(domain, envelope)], time.time())
            under_way.append(spool.accept(arrival))
            if len(under_way) == BATCH:
                await asyncio.gather(*under_way[: BATCH // 2])  # the other half is written meanwhile
                del under_way[: BATCH // 2]
        await asyncio.gather(*under_way)
    finally:
        await spool.close()
    return time.monotonic() - began


class GrownOffice:
    """`restante serve` on a folder of its own, which stays when it ends: to be started again and again."""

    def __init__(self, folder: Path, domains: int, where: str) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        next_hop = free_port()
        self._config = folder / "restante.toml"
        self._log = folder / "log"
        names = [domain_name(number) for number in range(domains)]
        self._config.write_text(config_text(self.port, next_hop, iter(names if where == IN_FILE else ())))
        self.data.mkdir(mode=0o700)
        if where == IN_STORE:
            table = json.dumps(domain_table(next_hop))
            with closing(open_book(self.data)) as book:
                book.put("domains", ((name, table) for name in names))
        self._process: subprocess.Popen[bytes] | None = None

    def import_domains(self, domains: int) -> float:
        """Imports so many with `restante domain import`; the seconds that took. Raises BenchError."""
        file = self.folder / "domains.csv"
        lines = [f"{domain_name(number)},hold,192.0.2.25,192.0.2.25,customers" for number in range(domains)]
        file.write_text("\n".join(["name,action,next_hop,release_from,group", *lines, ""]))
        began = time.monotonic()
        argv = [str(RESTANTE), "domain", "import", str(file), "--config", str(self._config)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode or f"{domains:,} domain" not in done.stdout:
            raise BenchError(f"the import failed: {done.stdout}{done.stderr}")
        return time.monotonic() - began

    def start(self) -> float:
        """Starts it; the seconds from there to its `ready`. Raises BenchError."""
        seen = self._log.stat().st_size if self._log.exists() else 0
        began = time.monotonic()
        with self._log.open("ab") as log:
            argv = [str(RESTANTE), "serve", "--config", str(self._config)]
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_with_bytecode(self.folder)
            )
        with self._log.open("rb") as log:
            log.seek(seen)
            said = b""
            while b" ready " not in said:
                if self._process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                    raise BenchError(f"restante did not start:\n{said.decode()}")
                time.sleep(0.002)
                said += log.read()
        return time.monotonic() - began

    def stop(self) -> float:
        """Ends it in order; the seconds that took. Raises BenchError when it does not end well."""
        began, status = time.monotonic(), self._end(signal.SIGTERM)
        if status:
            raise BenchError(f"restante ended with status {status}")
        return time.monotonic() - began

    def kill(self) -> None:
        """Ends it as a power cut does, as far as a process can tell."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        writers = [pid for pid in member_pids(process.pid) if pid != process.pid]
        process.send_signal(number)
        status = process.wait(60)
        for pid in writers:  # which holds the spool as long as it lives
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.001)
        return status

    def memory(self) -> tuple[float, float]:
        """Megabytes resident: now, and at the peak; the server and the process that writes, added up."""
        assert self._process is not None, "it does not run"
        members = list(member_pids(self._process.pid))
        return _megabytes(members, "VmRSS"), _megabytes(members, "VmHWM")

    def status(self) -> p.StatusAnswer:
        """What the control socket says of all domains."""
        [answer] = ControlClient(self.data / p.SOCKET).ask(p.Status())
        if not isinstance(answer, p.StatusAnswer):
            raise BenchError(f"{answer}")
        return answer

    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text(errors="replace")

    def octets(self) -> int:
        """How much the spool's database and its log have on disk."""
        return sum(path.stat().st_size for path in (self.data / "spool").glob("spool.db*"))


def _with_bytecode(folder: Path) -> dict[str, str]:
    """The environment of a server whose modules were compiled before, as pip does when it installs them."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(folder.parent / "bytecode")}


def _megabytes(pids: list[int], key: str) -> float:
    total = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        total += next(int(line.split()[1]) for line in status.splitlines() if line.startswith(key))
    return total / 1024
