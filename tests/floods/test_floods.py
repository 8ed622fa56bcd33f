"""Floods against the real server, in little; script/soak plays them at their full length."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import flood
from bench.ledger import DOMAIN, etrn
from tests.stories.wire import send


async def test_mail_and_a_site_do_not_notice_silent_strangers(tmp_path: Path) -> None:
    """More than there are places for come, from addresses of their own; no message fails, no ETRN is refused."""
    limits = "connections = 200\nreserved = 20"
    outcome = await flood.flood(6, tmp_path, idle=120, a_second=15, limits=limits, p99_seconds=30)
    assert outcome.totals.lost == 0


async def test_who_drips_is_closed_by_the_deadline(tmp_path: Path) -> None:
    """In a command and in content, in clear and under TLS."""
    await flood.drips(40, tmp_path, timeout=6, every=0.5, p99_seconds=30)


async def test_a_site_that_asks_a_thousand_times_and_hangs_up_leaves_no_work_behind(tmp_path: Path) -> None:
    """One release runs and one waits at the most."""
    await flood.etrns(1000, tmp_path, seconds=2, p99_seconds=30)


@pytest.mark.parametrize("aware", [True, False])
async def test_a_server_without_descriptors_lives_and_takes_connections_again(tmp_path: Path, aware: bool) -> None:
    """One that knows its limit keeps some for the spool and for sites; one that is surprised by it waits for some."""
    with flood.Office(tmp_path / "office", 9) as office:
        resource.prlimit(office.pid, resource.RLIMIT_NOFILE, (120, 120))
        if aware:
            office.cli("reload")
        strangers = flood.Strangers(office.port)
        for _ in range(200):
            await strangers.one_comes()
        if aware:
            await _until(lambda: all(one.said for one in strangers.come))
            assert sum(one.said.startswith(b"421 4.3.2 ") for one in strangers.come) > 80
            assert (await etrn(office.port, source=flood.SITE)).startswith("251")
            assert "listening" in await asyncio.to_thread(office.cli, "status")
        else:
            await _until(lambda: sum(bool(one.said) for one in strangers.come) > 80)
        strangers.leave()
        await asyncio.sleep(1)
        send(office.port, "ann@far.example", f"bert@{DOMAIN}", b"x" * 900 + b"\r\n" + 200 * (998 * b"y" + b"\r\n"))
        assert office.waiting() == 1


async def _until(so: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not so():
            await asyncio.sleep(0.05)
