"""A few threads, a queue with an end, and nobody's thread given away before it is free."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from restante.logins.workers import Workers, WorkersBusy


@pytest.fixture
def workers() -> Iterator[Workers]:
    """One thread, and two may wait."""
    one = Workers(threads=1, waiting=2)
    yield one
    one.close()


def always() -> bool:
    """Work may begin."""
    return True


async def test_work_is_done_elsewhere(workers: Workers) -> None:
    """Its result and its error come back."""
    assert await workers.run(always, threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await workers.run(always, lambda: 1 // 0)
    assert await workers.run(always, lambda: 7) == 7


async def test_the_queue_has_an_end(workers: Workers) -> None:
    """One works, two wait, the next hears so at once; afterwards there is room again."""
    gate = threading.Event()
    try:
        tasks = [asyncio.create_task(workers.run(always, gate.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(WorkersBusy):
            await workers.run(always, gate.wait)
    finally:
        gate.set()
    assert await asyncio.gather(*tasks) == [True, True, True]
    assert await workers.run(always, gate.wait)


async def test_work_that_may_not_begin_any_more_is_left(workers: Workers) -> None:
    """Asked when the thread is free, not when the queue is joined."""
    gate, may = threading.Event(), True
    first = asyncio.create_task(workers.run(always, gate.wait))
    second = asyncio.create_task(workers.run(lambda: may, gate.wait))
    await asyncio.sleep(0)
    may = False
    gate.set()
    assert await first is True
    assert await second is None
    assert await workers.run(always, gate.wait) is True


async def test_a_thread_is_not_free_before_its_work_has_ended(workers: Workers) -> None:
    """Whoever hangs up in the midst, again and again, still waits in line."""
    gate = threading.Event()
    try:
        first = asyncio.create_task(workers.run(always, gate.wait))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        waiting = [asyncio.create_task(workers.run(always, gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(WorkersBusy):
            await workers.run(always, gate.wait)
    finally:
        gate.set()
    assert await asyncio.gather(*waiting) == [True, True]


async def test_who_leaves_the_queue_makes_room(workers: Workers) -> None:
    """A cancelled wait is no wait."""
    gate = threading.Event()
    try:
        first = asyncio.create_task(workers.run(always, gate.wait))
        gone = [asyncio.create_task(workers.run(always, gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.wait(gone)
        again = asyncio.create_task(workers.run(always, gate.wait))
        await asyncio.sleep(0)
        assert not again.done()
    finally:
        gate.set()
    assert await first is True
    assert await again is True
