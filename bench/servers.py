"""The two offices under test, each a real process with its own folder under run/bench, both durable.

Each holds the mail of test.example until it is told ETRN, and then carries it to a port on 127.0.0.1. Postfix is
the one of tests/stories/, Debian's own package: its settings are those of its manual for held domains, with what would
slow it down in a comparison turned off (look-ups of names).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from bench.machine import CHECKOUT, RUN, BenchError, cpu_seconds, free_port, fresh_folder, peak_megabytes, wait_open
from tests.stories import peers

DOMAIN = "test.example"
RECIPIENT = f"anna@{DOMAIN}"
SENDER = "ann@sender.example"
PEERS = CHECKOUT / ".peers" / "root"
SETTINGS = """\
relay_domains = {domain}
fast_flush_domains = {domain}
transport_maps = inline:{{{domain}=hold:[{address}]:{port}}}
defer_transports = hold
"""


class Office(Protocol):
    """An office under test. Made fresh for each run, used once."""

    name: str
    port: int

    def start(self) -> None:
        """Starts it; returns when it greets. Raises BenchError."""
        ...

    def stop(self) -> None:
        """Ends it and removes its folder. May be called in any state."""
        ...

    def waiting(self) -> int:
        """How many messages it holds, come to rest."""
        ...

    def cpu(self) -> float:
        """Processor seconds that it has used so far, all its processes together."""
        ...

    def memory(self) -> float:
        """Megabytes resident at the peak."""
        ...

    def complaints(self) -> str:
        """The last lines of its log that tell of trouble."""
        ...


@contextmanager
def running(office: Office) -> Iterator[Office]:
    """Starts it, and ends it whatever happens. A BenchError from within tells what its log complains of, too."""
    try:
        office.start()
        yield office
    except BenchError as error:
        raise BenchError(f"{error}\n{office.complaints()}".strip()) from None
    finally:
        office.stop()


def release(office: Office) -> str:
    """Says ETRN to it, and gives the reply. Raises BenchError where that is not positive."""
    with socket.create_connection(("127.0.0.1", office.port), 10) as connection, connection.makefile("rwb") as lines:
        lines.readline()
        lines.write(b"EHLO site.example\r\n")
        lines.flush()
        while lines.readline()[3:4] == b"-":
            pass
        lines.write(f"ETRN {DOMAIN}\r\n".encode())
        lines.flush()
        answer = lines.readline().decode().strip()
        lines.write(b"QUIT\r\n")
        lines.flush()
    if not answer.startswith("25"):
        raise BenchError(f"{office.name} says {answer!r} to ETRN")
    return answer


def wait_for(office: Office, messages: int, seconds: float = 120.0) -> None:
    """Waits until it holds just so many messages. Raises BenchError."""
    end = time.monotonic() + seconds
    while (found := office.waiting()) != messages:
        if time.monotonic() > end:
            raise BenchError(f"{office.name} holds {found} messages where {messages} are expected")
        time.sleep(0.1)


class Restante:
    """`restante serve` with a configuration of its own. `next_hop` is a port here, or an address and a port."""

    def __init__(self, next_hop: int | tuple[str, int], settings: str = "") -> None:
        self.name = "restante"
        self.port = free_port()
        self._next_hop = "{}:{}".format(*_hop(next_hop))
        self._settings = settings
        self._folder = fresh_folder("restante")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Writes the configuration and starts it."""
        (self._folder / "restante.toml").write_text(
            f"""hostname = "office.example"
data     = "data"

[[listen]]
address = "127.0.0.1:{self.port}"
service = "mx"

[domains."{DOMAIN}"]
action       = "hold"
next_hop     = "{self._next_hop}"
release_from = ["127.0.0.1"]
{self._settings}
"""
        )
        log = self._folder / "log"
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(self._command("serve"), stderr=stderr, cwd=self._folder)
        end = time.monotonic() + 20
        while "ready" not in log.read_text():
            if self._process.poll() is not None or time.monotonic() > end:
                raise BenchError(f"restante did not start:\n{log.read_text()}")
            time.sleep(0.02)
        wait_open(self.port)

    def _command(self, verb: str, *more: str) -> list[str]:
        return [*self._program(), verb, "--config", str(self._folder / "restante.toml"), *more]

    def _program(self) -> list[str]:
        return [str(Path(sys.executable).parent / "restante")]

    def stop(self) -> None:
        """SIGTERM, then its folder goes."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def waiting(self) -> int:
        """What `restante status` says."""
        done = subprocess.run(self._command("status", "--json"), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"restante status: {done.stderr}")
        status = json.loads(done.stdout)
        return sum(int(domain["items"]) for domain in status["domains"] if domain["domain"] == DOMAIN)

    def cpu(self) -> float:
        """Of the one process."""
        return cpu_seconds(self.pid)

    def memory(self) -> float:
        """Of the one process."""
        return peak_megabytes(self.pid)

    def complaints(self) -> str:
        """The last lines, whatever they tell."""
        log = self._folder / "log"
        return "\n".join(log.read_text().splitlines()[-10:]) if log.exists() else ""


def _hop(next_hop: int | tuple[str, int]) -> tuple[str, int]:
    return ("127.0.0.1", next_hop) if isinstance(next_hop, int) else next_hop


def postfix_root() -> Path:
    """Where script/peers has unpacked Postfix; runs it where it has not yet. Raises BenchError."""
    if not (PEERS / "usr/sbin/smtp-source").exists():
        done = subprocess.run([CHECKOUT / "script" / "peers"], check=False)
        if done.returncode != 0:
            raise BenchError("script/peers could not fetch Postfix")
    return PEERS


class Storeless(Restante):
    """restante with a spool that stores nothing (bench/storeless.py)."""

    def __init__(self, next_hop: int | tuple[str, int], settings: str = "") -> None:
        super().__init__(next_hop, settings)
        self.name = "storeless"

    def _program(self) -> list[str]:
        return [sys.executable, str(CHECKOUT / "bench/storeless.py")]


class Postfix:
    """A stock Postfix that holds test.example until ETRN (its manual, ETRN_README)."""

    def __init__(self, next_hop: int | tuple[str, int], settings: str = "") -> None:
        if os.geteuid() != 0:
            raise BenchError("Postfix starts as root only; `--only restante` measures restante alone")
        postfix_root()
        self.name = "Postfix"
        RUN.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = str(RUN)  # where the stories' Postfix makes its folder: not in /tmp, which may be memory
        try:
            address, port = _hop(next_hop)
            text = SETTINGS.format(domain=DOMAIN, address=address, port=port) + settings
            self._postfix = peers.Postfix("office", text)
        finally:
            tempfile.tempdir = None
        self.port = self._postfix.port
        self._running = ExitStack()

    def start(self) -> None:
        """Starts its master; returns when its smtpd greets."""
        self._running.enter_context(self._postfix)
        wait_open(self.port)

    def stop(self) -> None:
        """Ends it and its processes; its folder goes."""
        self._running.close()
        shutil.rmtree(self._postfix.dir, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Its master process."""
        return int((self._postfix.dir / "spool/pid/master.pid").read_text())

    def waiting(self) -> int:
        """Files in its deferred queue; -1 while some are still on their way to it."""
        spool = self._postfix.dir / "spool"
        if any(_files(spool / queue) for queue in ("maildrop", "incoming", "active")):
            return -1
        return _files(spool / "deferred")

    def cpu(self) -> float:
        """Of the master and all that it started, also those that have ended."""
        return cpu_seconds(self.pid)

    def memory(self) -> float:
        """Of all its processes, what they share counted each time."""
        return peak_megabytes(self.pid)

    def complaints(self) -> str:
        """Warnings and worse."""
        words = ("warning", "fatal", "error", "panic", "lost connection", "timeout")
        return "\n".join([line for line in self._postfix.log().splitlines() if any(w in line for w in words)][-10:])


def _files(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))
