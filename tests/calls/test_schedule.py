"""Whole weeks of calls: on time, once each, made up after a gap, never doubled, through whatever the clock does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.calls.played import OFFICE, REFUSES, TEST, Feed, PlayedOffices, etrn, eventually, means

from restante.calls.memory import MOST_PAST
from restante.calls.plan import CallPlan
from restante.calls.schedule import LINK_UP_INTERVAL, Caller, NoCallNow, NoSuchCall
from restante.calls.window import Schedule
from restante.clock import TurnedClock
from restante.facts import CallEnded, CallStarted
from restante.model import Progress

HOUR, DAY = 3600.0, 86400.0
MORNING = datetime(2026, 1, 5, 8, tzinfo=UTC).timestamp()


class Switch:
    """A route to the office, switched by a test."""

    def __init__(self) -> None:
        self.on = False

    async def is_up(self) -> bool:
        """As the kernel would say."""
        return self.on


class Site:
    """A Caller with its clock and facts. Its offices refuse unless told otherwise: a call then lasts its window."""

    def __init__(self, clock: TurnedClock, *plans: CallPlan, state: Path | None, offices: PlayedOffices) -> None:
        self.clock, self.feed, self.switch = clock, Feed(), Switch()
        self.caller = Caller(plans, means(offices, clock, self.feed), state=state, probe=lambda _: self.switch)

    @property
    def calls(self) -> list[str]:
        """Every call so far: its reason."""
        return [fact.reason for fact in self.feed.facts if isinstance(fact, CallStarted)]

    @property
    def ends(self) -> int:
        """How many calls have ended."""
        return sum(isinstance(fact, CallEnded) for fact in self.feed.facts)


@asynccontextmanager
async def site(
    *plans: CallPlan,
    clock: TurnedClock | None = None,
    state: Path | None = None,
    offices: PlayedOffices | None = None,
) -> AsyncIterator[Site]:
    """A site that runs."""
    made = Site(clock or TurnedClock(MORNING), *plans, state=state, offices=offices or PlayedOffices(REFUSES))
    made.caller.start()
    await made.clock.turn(0)
    try:
        yield made
    finally:
        await made.caller.stop(5)
        if offices is not None:
            await offices.closed()


def plan(*expressions: str, name: str = "office", window: float = 600, on_link_up: bool = False) -> CallPlan:
    """A call by schedule."""
    schedule = Schedule.parse(expressions)
    return CallPlan(name, OFFICE, (TEST,), schedule=schedule, window=window, on_link_up=on_link_up)


async def test_a_month_of_calls() -> None:
    """Two a day, each when it is due."""
    async with site(plan("0 14 * * *", "30 22 * * *")) as here:
        for day in range(1, 31):
            await here.clock.turn(DAY)
            assert len(here.calls) == 2 * day
        assert set(here.calls) == {"schedule"}
        assert here.ends == 60


async def test_nothing_is_called_before_its_time() -> None:
    """A first start makes up nothing; the next window is told."""
    async with site(plan("0 14 * * *")) as here:
        window = here.caller.next_window("office")
        assert window is not None
        assert (window.start - MORNING, window.seconds) == (6 * HOUR, 600)
        assert [view.progress for view in here.caller.views()] == [Progress.QUEUED]
        await here.clock.turn(6 * HOUR - 1)
        assert here.calls == []
        await here.clock.turn(2)
        assert here.calls == ["schedule"]


async def test_a_call_that_still_runs_is_not_doubled() -> None:
    """Every five minutes, but each call takes its ten: what is due meanwhile is that call."""
    async with site(plan("*/5 * * * *")) as here:
        await here.clock.turn(HOUR)
        assert 4 <= len(here.calls) <= 6
        assert len(here.calls) - here.ends <= 1


async def test_what_was_missed_while_restante_was_off_is_made_up_once(tmp_path: Path) -> None:
    """Three days off, one call at once, and then by the schedule again."""
    state, clock = tmp_path / "state" / "calls.json", TurnedClock(MORNING)
    async with site(plan("0 14 * * *"), clock=clock, state=state) as here:
        await clock.turn(DAY)
        assert len(here.calls) == 1
    clock.jump(3 * DAY)
    async with site(plan("0 14 * * *"), clock=clock, state=state) as here:
        assert here.calls == ["schedule"]
        await clock.turn(HOUR)
        assert len(here.calls) == 1
        await clock.turn(DAY)
        assert len(here.calls) == 2


async def test_how_the_last_calls_have_ended_is_remembered(tmp_path: Path) -> None:
    """Over a restart too; not for ever."""
    state = tmp_path / "calls.json"
    async with site(plan("0 * * * *"), state=state) as made:
        await made.clock.turn(3 * HOUR + 700)
        assert made.caller.past("nobody") == ()
        began = [view.started for view in made.caller.past("office")]
        assert began == [MORNING + 3 * HOUR, MORNING + 2 * HOUR, MORNING + HOUR]
    async with site(plan("0 * * * *"), clock=made.clock, state=state) as again:
        assert [view.started for view in again.caller.past("office")] == began
        await again.clock.turn(40 * HOUR)
        assert len(again.caller.past("office")) == MOST_PAST + 1


async def test_a_quick_restart_makes_up_nothing(tmp_path: Path) -> None:
    """And the last call is still told of."""
    state, clock = tmp_path / "calls.json", TurnedClock(MORNING)
    async with site(plan("0 14 * * *"), clock=clock, state=state) as here:
        await clock.turn(DAY)
        last = here.caller.view("office")
    async with site(plan("0 14 * * *"), clock=clock, state=state) as here:
        await clock.turn(HOUR)
        assert here.calls == []
        assert here.caller.view("office") == last
        assert last is not None
        assert (last.progress, last.reason) == (Progress.ENDED, "schedule")


@pytest.mark.parametrize("days", [1, 3650])
async def test_a_clock_that_jumps_ahead_costs_one_call(days: int) -> None:
    """A day or ten years: what was passed over is made up once, within a minute or so."""
    async with site(plan("0 * * * *")) as here:
        await here.clock.turn(60)
        here.clock.jump(days * DAY)
        await here.clock.turn(120)
        assert len(here.calls) == 1
        await here.clock.turn(3 * HOUR)
        assert 3 <= len(here.calls) <= 5


@pytest.mark.parametrize("seconds", [600, DAY, 3650 * DAY])
async def test_a_clock_that_is_set_back_neither_repeats_nor_silences(seconds: float) -> None:
    """After a little step what was called is not called again; after a great one the schedule goes on from there."""
    async with site(plan("0 14 * * *")) as here:
        await here.clock.turn(6 * HOUR + 700)
        assert len(here.calls) == 1
        here.clock.jump(-seconds)
        await here.clock.turn(HOUR)
        assert len(here.calls) == 1
        await here.clock.turn(DAY)
        assert len(here.calls) == 2


@pytest.mark.parametrize("seconds", [300, 1.5 * HOUR, 2.9 * HOUR, DAY, 3650 * DAY])
@pytest.mark.parametrize(("expression", "period"), [("*/5 * * * *", 300), ("10 * * * *", HOUR), ("* 1-23 * * *", 60)])
async def test_what_follows_the_clock_misses_no_more_than_one_period_when_it_is_set_back(
    expression: str, period: float, seconds: float
) -> None:
    """Every few minutes, every hour: it goes on by the new time at once."""
    async with site(plan(expression, window=10)) as here:
        await here.clock.turn(2 * HOUR)
        before = len(here.calls)
        assert before >= 2
        here.clock.jump(-seconds)
        await here.clock.turn(period + 60)
        assert before < len(here.calls) <= before + 3


async def test_a_clock_that_is_put_right_by_a_second_repeats_no_call() -> None:
    """As a time server does it, just after the hour."""
    async with site(plan("0 * * * *", window=0.1)) as here:
        await here.clock.turn(HOUR + 0.5)
        assert len(here.calls) == 1
        here.clock.jump(-1)
        await here.clock.turn(60)
        assert len(here.calls) == 1


@pytest.mark.parametrize("days", [1, 3650])
@pytest.mark.parametrize("first", [1, -1])
async def test_a_clock_that_goes_wrong_and_is_put_right_costs_two_calls_at_the_most(days: int, first: int) -> None:
    """Ten years ahead and back, or back and ahead, also while a call runs; then the schedule goes on."""
    async with site(plan("0 * * * *", window=1200)) as here:
        await here.clock.turn(HOUR + 60)
        assert (len(here.calls), here.ends) == (1, 0)
        here.clock.jump(first * days * DAY)
        await here.clock.turn(1500)
        here.clock.jump(-first * days * DAY)
        await here.clock.turn(1500)
        assert len(here.calls) <= 3
        before = len(here.calls)
        await here.clock.turn(3 * HOUR)
        assert 2 <= len(here.calls) - before <= 4


async def test_a_machine_without_a_battery_makes_up_one_call(tmp_path: Path) -> None:
    """It starts in 1970, and learns the time a little later."""
    state, clock = tmp_path / "calls.json", TurnedClock(MORNING)
    async with site(plan("0 14 * * *"), clock=clock, state=state) as here:
        await clock.turn(DAY)
    clock.jump(-clock.wall())
    async with site(plan("0 14 * * *"), clock=clock, state=state) as here:
        await clock.turn(60)
        assert here.calls == []
        clock.jump(MORNING + 3 * DAY)
        await clock.turn(120)
        assert len(here.calls) == 1
        await clock.turn(DAY)
        assert len(here.calls) == 2


async def test_an_unreadable_memory_is_as_none(tmp_path: Path) -> None:
    """A torn or foreign file stops nobody, and is replaced."""
    state = tmp_path / "calls.json"
    for junk in (b"", b"{", b'{"office": 3}', b"\xff\xfe", b"[]"):
        state.write_bytes(junk)
        async with site(plan("0 14 * * *"), state=state) as here:
            await here.clock.turn(DAY)
            assert len(here.calls) == 1
        assert b"schedule" in state.read_bytes()
    assert list(tmp_path.iterdir()) == [state]


# asked for


async def test_an_operator_calls_and_a_second_one_joins() -> None:
    """One call a name at a time; wait() gives its end to both."""
    async with site(plan(), offices=PlayedOffices(etrn("250 OK"))) as here:
        first = here.caller.call_now("office")
        second = here.caller.call_now("office", "link-up")
        assert (first.reason, second.reason, first.progress) == ("operator", "operator", Progress.RUNNING)
        await eventually(lambda: here.caller.views()[0].replies)
        waiting = [asyncio.create_task(here.caller.wait("office")) for _ in range(2)]
        await eventually(lambda: here.caller.views()[0].step == "waiting")
        await here.clock.turn(40)
        ends = await asyncio.gather(*waiting)
        assert [view.step for view in ends if view] == ["idle", "idle"]
        assert here.calls == ["operator"]
        assert await here.caller.wait("office") == ends[0]


async def test_an_unknown_name_is_an_error() -> None:
    """It is quoted."""
    async with site(plan()) as here:
        with pytest.raises(NoSuchCall, match="'nobody'"):
            here.caller.call_now("nobody")
        assert await here.caller.wait("nobody") is None


async def test_two_offices_are_called_side_by_side() -> None:
    """One that is not there delays nobody."""
    async with site(plan("0 14 * * *", name="a"), plan("0 14 * * *", name="b")) as here:
        await here.clock.turn(6 * HOUR + 1)
        assert len(here.calls) == 2
        assert [view.name for view in here.caller.views() if view.progress is Progress.RUNNING] == ["a", "b"]


# reload and stop


async def test_new_plans_do_no_harm_to_a_call_that_runs() -> None:
    """It ends as it began, removed or changed; a new schedule counts from now and makes up nothing."""
    async with site(plan("0 14 * * *"), plan("0 14 * * *", name="gone")) as here:
        await here.clock.turn(6 * HOUR + 60)
        assert len(here.calls) == 2
        here.caller.replace_plans([plan("0 9 * * *", window=60)])
        await here.clock.turn(60)
        assert {view.name for view in here.caller.views()} == {"office", "gone"}
        assert here.ends == 0
        await here.clock.turn(600)
        assert here.ends == 2
        assert {view.name for view in here.caller.views()} == {"office"}
        await here.clock.turn(HOUR)
        assert len(here.calls) == 2
        await here.clock.turn(DAY)
        assert len(here.calls) == 3


async def test_the_same_plans_again_change_nothing() -> None:
    """A reload for another reason."""
    async with site(plan("0 14 * * *")) as here:
        for _ in range(8):
            here.caller.replace_plans([plan("0 14 * * *")])
            await here.clock.turn(HOUR)
        assert here.calls == ["schedule"]


async def test_a_stop_ends_the_call_and_begins_none() -> None:
    """Its record says why."""
    async with site(plan("0 14 * * *")) as here:
        here.caller.call_now("office")
        await here.clock.turn(1)
        await here.caller.stop(5)
        end = here.feed.facts[-1]
        assert isinstance(end, CallEnded)
        assert "stopping" in end.error
        with pytest.raises(NoCallNow):
            here.caller.call_now("office")


# link-up


async def test_a_route_that_appears_makes_a_call() -> None:
    """Each time it appears, and once only while it stays."""
    async with site(plan(on_link_up=True, window=10)) as here:
        await here.clock.turn(HOUR)
        assert here.calls == []
        here.switch.on = True
        await here.clock.turn(HOUR)
        assert here.calls == ["link-up"]
        here.switch.on = False
        await here.clock.turn(10)
        here.switch.on = True
        await here.clock.turn(10)
        assert here.calls == ["link-up", "link-up"]


async def test_new_plans_are_no_link_up() -> None:
    """A longer window, say, while the link is up and was called for."""
    async with site(plan(on_link_up=True, window=10)) as here:
        here.switch.on = True
        await here.clock.turn(HOUR)
        here.caller.replace_plans([plan(on_link_up=True, window=20)])
        await here.clock.turn(HOUR)
        assert here.calls == ["link-up"]


async def test_a_link_that_flaps_makes_few_calls() -> None:
    """At most one in LINK_UP_INTERVAL; the last appearance is not forgotten."""
    async with site(plan(on_link_up=True, window=10)) as here:
        for flap in range(60):
            here.switch.on = flap % 2 == 0
            await here.clock.turn(6)
        assert len(here.calls) <= 360 / LINK_UP_INTERVAL + 1
        before = len(here.calls)
        here.switch.on = True
        await here.clock.turn(LINK_UP_INTERVAL + 10)
        assert len(here.calls) == before + 1


async def test_a_boot_with_the_link_up_is_a_link_up_and_a_restart_is_not(tmp_path: Path) -> None:
    """What was called a moment ago is not called again because restante was restarted."""
    state, clock = tmp_path / "calls.json", TurnedClock(MORNING)
    for expected in (["link-up"], []):
        made = Site(clock, plan(on_link_up=True, window=1), state=state, offices=PlayedOffices(REFUSES))
        made.switch.on = True
        made.caller.start()
        await clock.turn(20)
        assert made.calls == expected
        await made.caller.stop(5)
