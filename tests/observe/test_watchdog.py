"""systemd is told that all goes well, while it does."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from restante.clock import TurnedClock
from restante.observe import log
from restante.observe.watchdog import keep_watched, watchdog_seconds
from restante.spool.histogram import Histogram
from restante.spool.spool import Health

WELL = Health("", 1 << 30, None, 0, None, Histogram(()))


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_whether_systemd_watches_us(environ: dict[str, str], seconds: float | None) -> None:
    """sd_watchdog_enabled(3)."""
    assert watchdog_seconds(environ) == seconds


class Beats:
    """A watchdog of ten seconds, over a real socket; `health` is what the spool says."""

    def __init__(self, folder: Path) -> None:
        self.health = WELL
        self.clock = TurnedClock()
        self._systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._systemd.bind(str(folder / "notify"))
        self._systemd.setblocking(False)
        environ = {log.SOCKET_VARIABLE: str(folder / "notify")}
        watched = keep_watched(10.0, lambda: self.health, lambda state: log.notify(state, environ), self.clock)
        self._task = asyncio.get_running_loop().create_task(watched)

    async def after(self, seconds: float) -> int:
        """How many times systemd was told so in that time."""
        await self.clock.turn(seconds)
        beats = 0
        try:
            while True:
                assert self._systemd.recv(100) == b"WATCHDOG=1"
                beats += 1
        except BlockingIOError:
            return beats

    async def stop(self) -> None:
        """It is over."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._systemd.close()


async def test_it_is_told_at_half_the_interval(tmp_path: Path) -> None:
    """And at once."""
    beats = Beats(tmp_path)
    assert await beats.after(0) == 1
    assert await beats.after(4.9) == 0
    assert await beats.after(0.1) == 1
    assert await beats.after(50) == 10
    await beats.stop()


async def test_not_while_the_writer_does_not_answer(tmp_path: Path) -> None:
    """The same job at two looks; others that come and go are no reason, nor is one that has just come."""
    beats = Beats(tmp_path)
    assert await beats.after(0) == 1
    for number in range(5):
        beats.health = replace(WELL, unanswered=number)
        assert await beats.after(5) == 1
    assert await beats.after(10) == 0
    beats.health = replace(WELL, unanswered=5)
    assert await beats.after(5) == 1
    beats.health = WELL
    assert await beats.after(10) == 2
    await beats.stop()


async def test_not_with_a_broken_spool(tmp_path: Path) -> None:
    """It waits for a restart, which systemd does."""
    beats = Beats(tmp_path)
    await beats.after(0)
    beats.health = replace(WELL, broken="IOError")
    assert await beats.after(60) == 0
    await beats.stop()
