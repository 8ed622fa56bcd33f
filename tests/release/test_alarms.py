"""Alarms for mail that leaves by itself."""

from __future__ import annotations

import asyncio

import pytest

from restante.clock import TurnedClock
from restante.directory.entries import RETRY_SECONDS
from restante.release import alarms as alarms_module
from restante.release.alarms import Alarms

FAST = "fast.example"


def alarms() -> tuple[Alarms, TurnedClock, list[str]]:
    """Alarms, the clock that they go by, and who was rung for."""
    rung: list[str] = []
    clock = TurnedClock()
    return Alarms(clock, rung.append, lambda: 0.5), clock, rung


async def test_an_alarm_rings_once_and_on_time() -> None:
    """Not a second early."""
    made, clock, rung = alarms()
    made.set(FAST, 60)
    await clock.turn(59)
    assert rung == []
    await clock.turn(1)
    assert rung == [FAST]
    await clock.turn(3600)
    assert rung == [FAST]


async def test_a_new_alarm_replaces_the_one_before() -> None:
    """A destination has one at the most."""
    made, clock, rung = alarms()
    made.set(FAST, 60)
    made.set(FAST, 120)
    await clock.turn(61)
    assert rung == []
    await clock.turn(60)
    assert rung == [FAST]


async def test_cancelled_alarms_do_not_ring() -> None:
    """One by one, or all."""
    made, clock, rung = alarms()
    for entry in ("a.example", "b.example", "c.example"):
        made.set(entry, 60)
    made.cancel("a.example")
    await clock.turn(60)
    assert sorted(rung) == ["b.example", "c.example"]
    made.set("d.example", 60)
    made.cancel_all()
    await clock.turn(60)
    assert len(rung) == 2


async def test_each_failure_in_a_row_waits_longer() -> None:
    """1, 2, 4 minutes; after a success it begins again at one."""
    made, clock, rung = alarms()
    for minutes in (1, 2, 4):
        made.failed(FAST, RETRY_SECONDS, moved=False)
        await clock.turn(60 * minutes - 1)
        assert rung == []
        await clock.turn(1)
        assert rung == [FAST]
        rung.clear()
    made.worked(FAST)
    made.failed(FAST, RETRY_SECONDS, moved=False)
    await clock.turn(60)
    assert rung == [FAST]


async def test_a_failure_that_moved_something_is_the_first_in_its_row() -> None:
    """A link that drops now and then is not treated as one that is down."""
    made, clock, rung = alarms()
    made.failed(FAST, RETRY_SECONDS, moved=False)
    made.failed(FAST, RETRY_SECONDS, moved=False)
    made.failed(FAST, RETRY_SECONDS, moved=True)
    await clock.turn(60)
    assert rung == [FAST]


async def test_a_destination_is_down_until_its_alarm_rings() -> None:
    """An alarm without a failure says nothing about the next hop."""
    made, clock, _ = alarms()
    made.set(FAST, 60)
    assert not made.is_down(FAST)
    made.failed(FAST, RETRY_SECONDS, moved=False)
    assert made.is_down(FAST)
    await clock.turn(60)
    assert not made.is_down(FAST)


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 54), (0.25, 57), (1.0, 66)])
async def test_what_has_failed_together_does_not_come_again_together(chance: float, seconds: float) -> None:
    """A wait is up to a tenth shorter or longer."""
    clock, rung = TurnedClock(), list[str]()
    made = Alarms(clock, rung.append, lambda: chance)
    made.failed(FAST, (60.0,), moved=False)
    await clock.turn(seconds - 0.5)
    assert rung == []
    await clock.turn(1)
    assert rung == [FAST]


async def test_alarms_ring_in_the_order_of_their_times() -> None:
    """However they were set, and set again."""
    made, clock, rung = alarms()
    for seconds in (30, 10, 20, 5, 25):
        made.set(f"d{seconds}", seconds)
    made.set("d5", 15)
    made.cancel("d20")
    for _ in range(6):
        await clock.turn(5)
    assert rung == ["d10", "d5", "d25", "d30"]
    assert not any(made.is_set(name) for name in ("d5", "d10", "d20"))


async def test_one_that_fails_to_be_heard_keeps_nobody_else_from_ringing() -> None:
    """The error goes where such things go."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    clock, rung = TurnedClock(), list[str]()

    def ring(destination: str) -> None:
        rung.append(destination)
        if destination == "a.example":
            raise KeyError(destination)

    made = Alarms(clock, ring)
    made.set("a.example", 10)
    made.set("b.example", 20)
    await clock.turn(20)
    assert rung == ["a.example", "b.example"]
    assert [type(error) for error in told] == [KeyError]
    asyncio.get_running_loop().set_exception_handler(None)


async def test_a_hundred_thousand_that_are_down_are_one_task_and_nothing_when_forgotten() -> None:
    """Also when they are set again and again, as for those to which mail comes all the time."""
    made, clock, rung = alarms()
    tasks = len(asyncio.all_tasks())
    for number in range(100_000):
        made.failed(f"d{number}.example", RETRY_SECONDS, moved=False)
        made.set(FAST, 3000)
    assert len(asyncio.all_tasks()) == tasks + 1
    assert len(made._order) <= 2 * len(made._set) + alarms_module.MOST_OVER
    for number in range(100_000):
        made.forget(f"d{number}.example")
    made.set(FAST, 10)
    assert (len(made._set), len(made._failures)) == (1, 0)
    assert len(made._order) <= 2 + alarms_module.MOST_OVER
    await clock.turn(100)
    assert rung == [FAST]
    assert len(asyncio.all_tasks()) == tasks


async def test_very_many_alarms_at_once_let_the_loop_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few hundred ring in one turn."""
    monkeypatch.setattr(alarms_module, "RUNG_A_TURN", 10)
    made, clock, rung = alarms()
    for number in range(95):
        made.set(f"d{number}.example", 60)
    seen: list[int] = []

    async def look() -> None:
        while len(rung) < 95:
            seen.append(len(rung))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    await clock.turn(60)
    await looking
    assert {10, 20, 30, 40, 50, 60, 70, 80, 90} <= set(seen)
