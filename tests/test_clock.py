"""Time in tests: it passes when it is turned, and never otherwise."""

from __future__ import annotations

import asyncio
import time

import pytest

from restante.clock import Clock, SystemClock, TurnedClock


async def test_sleepers_wake_each_at_its_own_moment() -> None:
    """In order of their hours, not of their coming; both clocks show the hour to each."""
    clock = TurnedClock(wall=5000.0)
    start = clock.monotonic()
    woken: list[tuple[str, float, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic() - start, clock.wall()))

    tasks = [asyncio.create_task(sleeper(*each)) for each in (("late", 30.0), ("early", 10.0), ("never", 99.0))]
    await asyncio.sleep(0)
    await clock.turn(9)
    assert woken == []
    await clock.turn(21)
    assert woken == [("early", 10.0, 5010.0), ("late", 30.0, 5030.0)]
    assert (clock.monotonic() - start, clock.wall()) == (30.0, 5030.0)
    tasks[2].cancel()


async def test_who_sleeps_again_is_woken_again_in_the_same_turn() -> None:
    """An hour of waits of ten minutes is one turn."""
    clock = TurnedClock(wall=0.0)
    seen: list[float] = []

    async def ticks() -> None:
        while True:
            await clock.sleep(600)
            seen.append(clock.wall())

    task = asyncio.create_task(ticks())
    await asyncio.sleep(0)
    await clock.turn(3600)
    assert seen == [600.0, 1200.0, 1800.0, 2400.0, 3000.0, 3600.0]
    task.cancel()


async def test_a_jump_of_the_wall_clock_wakes_nobody() -> None:
    """Forward or back: durations are monotonic."""
    clock = TurnedClock(wall=5000.0)
    task = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    before = clock.monotonic()
    clock.jump(-3600)
    await clock.turn(9)
    assert (clock.wall(), clock.monotonic()) == (1409.0, before + 9)
    clock.jump(7200)
    await clock.turn(0)
    assert not task.done()
    await clock.turn(1)
    assert task.done()


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    """It does not keep the others from waking."""
    clock = TurnedClock()
    gone, other = asyncio.create_task(clock.sleep(5)), asyncio.create_task(clock.sleep(5))
    await asyncio.sleep(0)
    gone.cancel()
    await clock.turn(5)
    assert gone.cancelled()
    assert other.done()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
@pytest.mark.parametrize("clock", [TurnedClock(), SystemClock()])
async def test_no_time_at_all_is_no_wait(clock: Clock, seconds: float) -> None:
    """A deadline that has passed does not hang a test."""
    await asyncio.wait_for(clock.sleep(seconds), 60)


async def test_the_system_s_clock_is_the_machine_s() -> None:
    """Both readings, and a wait in real time."""
    clock = SystemClock()
    before = time.time()
    assert before <= clock.wall() <= time.time()
    before = time.monotonic()
    began = clock.monotonic()
    await clock.sleep(0.02)
    assert 0.015 < clock.monotonic() - began <= time.monotonic() - before
