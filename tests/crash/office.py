"""`restante serve` as a process that is killed, cut off and started again: an office that holds the ledger's mail."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.ledger import DOMAIN
from bench.machine import free_port

RESTANTE = Path(sys.executable).with_name("restante")
START_SECONDS = 90.0


class Office:
    """One office: its configuration and log in `folder`, its data in `data`, its mail for the site at `next_hop`.

    The port stays the same over all its starts. `more` follows in the configuration, first in the domain's table.
    """

    def __init__(self, folder: Path, data: Path, next_hop: int, more: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._config = folder / "restante.toml"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._config.write_text(
            f"""hostname = "office.example"
data     = "{data}"

[[listen]]
address = "127.0.0.1:{self.port}"
service = "mx"

[domains."{DOMAIN}"]
action       = "hold"
next_hop     = "127.0.0.1:{next_hop}"
release_from = ["127.0.0.1"]
{more}"""
        )

    async def start(self, *before: str) -> bool:
        """Starts it, with a command `before` it if wanted; whether it greets, or else has ended.

        Its log is not asked: a disk that fails may fail under the log, too.
        """
        assert self._process is None, "it runs already"
        argv = [*before, str(RESTANTE), "serve", "--config", str(self._config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while not await self._greets():
            if self._process.poll() is not None:
                return False
            assert time.monotonic() < end, f"not ready after {START_SECONDS:.0f} s\n{self.log()[-3000:]}"
            await asyncio.sleep(0.01)
        return True

    async def _greets(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                greeting = await asyncio.wait_for(reader.readline(), 5)
            finally:
                writer.close()
        except OSError:  # TimeoutError is one
            return False
        return greeting.startswith(b"220")

    async def started(self) -> None:
        """Starts it; that must succeed."""
        assert await self.start(), f"it ended at its start\n{self.log()[-3000:]}"

    @property
    def is_running(self) -> bool:
        """Whether it has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL; on return the process is gone, with all that it had open."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def terminate(self, seconds: float) -> tuple[int | None, float]:
        """SIGTERM: its exit status and how long that took; None where it had to be killed after `seconds`."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        while (status := self._process.poll()) is None and time.monotonic() < began + seconds:
            await asyncio.sleep(0.005)
        took = time.monotonic() - began
        self.kill()
        return status, took

    def stand_still(self) -> None:
        """Stops it in the middle of whatever it does; go_on() ends that. On return none of its threads runs."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)

    def go_on(self) -> None:
        """Ends a standstill."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def log(self) -> str:
        """What it has logged, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def log_has(self, words: Sequence[str]) -> list[str]:
        """The lines of its log with any of these words."""
        return [line for line in self.log().splitlines() if any(word in line for word in words)]
