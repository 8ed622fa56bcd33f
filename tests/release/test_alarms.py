"""Alarms for mail that leaves by itself."""

from __future__ import annotations

from restante.clock import TurnedClock
from restante.release.alarms import Alarms

FAST = "fast.example"


def alarms() -> tuple[Alarms, TurnedClock, list[str]]:
    """Alarms, the clock that they go by, and who was rung for."""
    rung: list[str] = []
    clock = TurnedClock()
    return Alarms(clock, rung.append), clock, rung


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
    """An entry has one at the most."""
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
        made.failed(FAST, moved=False)
        await clock.turn(60 * minutes - 1)
        assert rung == []
        await clock.turn(1)
        assert rung == [FAST]
        rung.clear()
    made.worked(FAST)
    made.failed(FAST, moved=False)
    await clock.turn(60)
    assert rung == [FAST]


async def test_a_failure_that_moved_something_is_the_first_in_its_row() -> None:
    """A link that drops now and then is not treated as one that is down."""
    made, clock, rung = alarms()
    made.failed(FAST, moved=False)
    made.failed(FAST, moved=False)
    made.failed(FAST, moved=True)
    await clock.turn(60)
    assert rung == [FAST]


async def test_an_entry_is_down_until_its_alarm_rings() -> None:
    """An alarm without a failure says nothing about the next hop."""
    made, clock, _ = alarms()
    made.set(FAST, 60)
    assert not made.is_down(FAST)
    made.failed(FAST, moved=False)
    assert made.is_down(FAST)
    await clock.turn(60)
    assert not made.is_down(FAST)
