"""Whatever the clock does, and however often the host stops: nothing goes early, what must go goes, and goes once."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec import structs
from tests.release.years import DAY, FAR, HELD, HOUR, RELAYED, SENDERS, SITE, WORLD, YEAR, Years

from restante.directory.entries import Held, Retention
from restante.facts import ItemExpired, ItemLate

_T = TypeVar("_T")

STEP = DAY
COARSE = 1.02 * 30 * DAY - 30 * DAY + 2 * STEP + HOUR
"""By so much later than it should the log, with marks that are thinned out and a step apart, may see that it is old."""
JUMPS = [DAY, -DAY, 10 * YEAR, -10 * YEAR, -56 * YEAR, 3 * HOUR, -40 * DAY, 400 * DAY]


async def sixty_days(years: Years, jumps: dict[int, float], stops: dict[int, float], calls: range) -> None:
    """Mail comes on the first day; the site calls at two o'clock on some days and takes none of it."""
    await years.open()
    for day in range(60):
        if day in jumps:
            years.clock.jump(jumps[day])
        if day in stops:
            await years.restart(off=stops[day])
        if day == 0:
            for sender in ("carla@far.example", "dora@far.example", ""):
                await years.mail(sender=sender)
        await years.wait(14 * HOUR, 7 * HOUR)
        if day in calls:
            years.release()
        await years.wait(10 * HOUR, 5 * HOUR)


@pytest.mark.parametrize(
    ("jumps", "stops"),
    [
        ({}, {}),
        ({3: DAY, 9: -DAY}, {20: 600}),
        ({5: 10 * YEAR, 6: -10 * YEAR}, {7: HOUR}),
        ({5: 10 * YEAR}, {5: 0, 40: 90 * DAY}),
        ({1: -56 * YEAR, 30: 56 * YEAR}, {2: 0, 31: 0}),
        ({day: JUMPS[day % len(JUMPS)] for day in range(0, 60, 2)}, dict.fromkeys(range(1, 60, 5), 7 * DAY)),
    ],
    ids=["even", "a day", "ten years", "ten years over a restart", "1970", "all the time"],
)
@pytest.mark.parametrize(
    ("calls", "goes_on"),
    [(range(60), 30), (range(0), None), (range(40, 60), 42)],
    ids=["calls daily", "never calls", "calls again after forty days"],
)
async def test_sixty_days_of_a_site(
    tmp_path: Path, jumps: dict[int, float], stops: dict[int, float], calls: range, goes_on: int | None
) -> None:
    """A site that is never there keeps its mail; else it goes in its time, with a report to each sender."""
    years = Years(tmp_path)
    await sixty_days(years, jumps, stops, calls)
    if goes_on is None:
        assert years.expired() == []
        assert len(await years.waiting()) == 3
    else:
        assert sorted(years.expired()) == sorted(years.letters)
        assert len([fact for fact in years.told(ItemExpired) if fact.dsn is not None]) == 2
    if calls == range(60):
        assert years.late() == []
    assert len(years.late()) in ({0} if calls == range(60) else {2} if not jumps else {0, 2})
    reports = await years.items(FAR)
    assert len(reports) == len([f for f in years.told(ItemExpired) if f.dsn is not None]) + len(years.late())
    assert len({report.id for report in reports}) == len(reports)
    await years.close()


class ForYears(RuleBasedStateMachine):
    """Plays a life, and looks after each step at what must be true."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory()
        quiet = structs.replace(HELD, retention=Retention(30 * DAY, 3))
        others = Held("other.example", HELD.next_hop, retention=Retention(30 * DAY, 0))
        self._years = Years(Path(self._folder.name), (quiet, others, RELAYED, SENDERS))

    def _do(self, call: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(call)

    @initialize()
    def open(self) -> None:
        """The host starts."""
        self._do(self._years.open())

    def teardown(self) -> None:
        """And ends."""
        self._do(self._years.close())
        self._runner.close()
        self._folder.cleanup()

    @rule(sender=st.sampled_from(["carla@far.example", "dora@far.example", ""]), count=st.integers(1, 3))
    def mail(self, sender: str, count: int) -> None:
        """Some messages come in."""
        for _ in range(count):
            self._do(self._years.mail(SITE, sender))

    @rule(days=st.floats(0.01, 12))
    def wait(self, days: float) -> None:
        """Time passes."""
        self._do(self._years.wait(days * DAY, STEP))

    @rule(error=st.sampled_from(["", "", "connection refused"]), deferred=st.integers(0, 1))
    def call(self, error: str, deferred: int) -> None:
        """The site calls, or was not there, or its call was cut."""
        self._years.release(error=error, deferred=deferred)

    @rule(seconds=st.sampled_from(JUMPS))
    def jump(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self._years.clock.jump(seconds)

    @rule(off=st.sampled_from([0.0, 600.0, 3 * DAY, 400 * DAY]), jump=st.sampled_from([0.0, *JUMPS]))
    def restart(self, off: float, jump: float) -> None:
        """The host is off for a while, and may come back with another clock."""
        self._do(self._years.restart(off, jump))

    @rule()
    def die(self) -> None:
        """The process is killed."""
        self._do(self._years.die())

    @rule()
    def lose_history(self) -> None:
        """All that was remembered is lost."""
        self._do(self._years.lose_history())

    @rule()
    def deliver_all(self) -> None:
        """The spool is empty: it forgets the last id."""
        self._do(self._deliver_all())

    async def _deliver_all(self) -> None:
        years = self._years
        await years.spool.remove([item.id for item in await years.items()])
        years.letters.clear()
        years.facts.clear()

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        """Who is gone was old enough and offered often enough; who was both for long enough is gone; each once."""
        years = self._years
        waiting = self._do(years.waiting())
        gone = years.expired()
        assert len(gone) == len(set(gone))
        assert sorted(gone) == sorted(years.letters.keys() - waiting)
        for one in gone:
            letter = years.letters[one]
            if not letter.is_gone:
                assert years.ran - letter.ran >= 30 * DAY, "too early"
                assert letter.calls >= 3, "not offered"
                letter.is_gone = True
        assert years.told(ItemLate) == []
        reports = [fact.dsn for fact in years.told(ItemExpired) if fact.dsn is not None]
        assert len(reports) == len([one for one in gone if not years.letters[one].is_report])
        assert {item.message for item in self._do(years.items(FAR))} == set(reports)

    @rule()
    def see(self) -> None:
        """What was old enough long ago, and was offered since, is gone by now."""
        years = self._years
        self._do(years.round())
        for one in self._do(years.waiting()):
            letter = years.letters[one]
            assert letter.calls < 3 or years.ran - letter.due_from < 30 * DAY + COARSE, "too late"


def test_any_life_expires_what_it_should() -> None:
    """Mail, waits, calls, cuts, jumps of the clock, restarts, crashes, a lost history: in any order."""
    run_state_machine_as_test(
        ForYears,
        settings=settings(
            max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_relayed_mail_for_a_year() -> None:
    """Each is told of once and goes once, five days of the host's own after it came, whatever the clock says."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_a_year(Years(Path(folder))))


async def _a_year(years: Years) -> None:
    await years.open()
    came: dict[int, float] = {}
    for day in range(0, 365, 3):
        came[await years.mail(WORLD)] = years.ran
        years.clock.jump(JUMPS[day % len(JUMPS)])
        await years.wait(2 * HOUR)
        years.release(WORLD, error="192.0.2.26:25: connection refused", deferred=0)
        await years.wait(22 * HOUR, 11 * HOUR)
        if day % 4 == 0:
            await years.restart(off=HOUR)
        before = set(years.expired())
        await years.wait(2 * DAY, 12 * HOUR)
        for one in set(years.expired()) - before:
            assert 5 * DAY <= years.ran - came[one] < 9 * DAY
    await years.wait(6 * DAY)
    assert years.late() == list(came)
    assert years.expired() == list(came)
    await years.close()
