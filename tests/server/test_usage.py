"""How much a domain has in the spool: by the counters at once, and what is stopped as of a moment ago."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.contract.engines import A, B, put
from tests.waiting import until

from restante.clock import TurnedClock
from restante.model import Waiting
from restante.server.usage import LOOK_SECONDS, Usage
from restante.store.sqlite import open_spool


async def test_what_waits_and_what_is_stopped_is_added_up(tmp_path: Path) -> None:
    """The store is asked when somebody wants to know, and at most once a second."""
    spool, clock = await open_spool(tmp_path / "spool"), TurnedClock()
    usage = Usage(spool, clock)
    one = await put(spool, A)
    two = await put(spool, A)
    await spool.freeze([one])
    assert usage.of(A) == Waiting(1, 25, spool.waiting(A).oldest)  # it has just begun to look
    await until(lambda: usage.of(A).items == 2)
    assert usage.of(A).octets == 50
    assert usage.of(B) == Waiting()
    await spool.remove([one])
    await spool.freeze([two])
    await asyncio.sleep(0.02)
    assert usage.of(A).items == 1  # what it has seen, and nothing that waits
    await clock.turn(LOOK_SECONDS)
    usage.of(A)
    await spool.thaw([two])
    async with asyncio.timeout(60):
        while usage.of(A) != spool.waiting(A):  # a look that began before the thaw may end after it
            await clock.turn(LOOK_SECONDS)
            await asyncio.sleep(0.002)
    await spool.close()


async def test_what_is_frozen_as_it_comes_counts_at_once(tmp_path: Path) -> None:
    """Until the store is asked again, which knows it by then."""
    spool = await open_spool(tmp_path / "spool")
    usage = Usage(spool, TurnedClock())
    usage.froze(A, 8000)
    usage.froze(A, 500)
    assert (usage.of(A).items, usage.of(A).octets) == (2, 8500)
    await until(lambda: usage.of(A).items == 0)
    await spool.close()


async def test_a_spool_that_is_closed_is_no_trouble(tmp_path: Path) -> None:
    """Nothing more is taken there anyway."""
    spool = await open_spool(tmp_path / "spool")
    usage = Usage(spool, TurnedClock())
    await put(spool, A)
    await spool.close()
    assert usage.of(A).items == 1
    await asyncio.sleep(0.01)
    assert usage.of(A).items == 1
