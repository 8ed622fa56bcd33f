"""A line of time: within what was asked for, in order, bounded; in local time, and as it was."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.admin.lanes import LEAST_MOMENTS, MOST_MOMENTS, Lanes, Opening, call_lanes, site_lanes
from restante.admin.timeline import MOST_SECONDS, Called, NoSpan, Outcome, Period, Phase, Span, Timeline
from restante.calls.plan import CallPlan
from restante.calls.window import Schedule
from restante.clock import TurnedClock
from restante.directory.entries import Directory, Entry, Held, Relayed, Retention
from restante.facts import CallEnded, CallStarted, ReleaseDecided, ReleaseEnded
from restante.model import CallView, DomainName, HostPort, Principal, Progress
from restante.release.past import Past

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = 3600.0, 86_400.0
NEW_YEAR = 1_767_225_600.0
OFFICE = HostPort("office.example")
HOP = HostPort("192.0.2.25")
CALLER = Principal(ipaddress.ip_address("192.0.2.25"))
EXPRESSIONS = ("* * * * *", "*/10 * * * *", "0 3 * * *", "30 2 * * 0", "0 8-18 * * 1-5")


def at(text: str) -> float:
    """A wall time, read in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def shown(spans: Iterable[Span]) -> list[str]:
    """Spans as Berlin reads them."""
    form = "%d %H:%M%z"
    return [
        f"{datetime.fromtimestamp(one.start, BERLIN).strftime(form)} {(one.end - one.start) / 60:.0f}m" for one in spans
    ]


@given(
    st.lists(st.sampled_from(EXPRESSIONS), max_size=2),
    st.floats(0, 3 * HOUR),
    st.sampled_from(["2026-03-28 12:00", "2026-10-24 12:00", "2026-06-01 00:00"]).map(at),
    st.tuples(st.floats(1, 3 * DAY), st.floats(-DAY, 4 * DAY)),
    st.integers(1, 600),
)
def test_windows_are_in_order_and_never_touch(
    expressions: list[str], seconds: float, start: float, until_and_now: tuple[float, float], most: int
) -> None:
    """All that meet the span are there, up to where they are cut; past, now and planned follow each other."""
    period = Period(start, *(start + later for later in until_and_now))
    schedule = Schedule.parse(tuple(expressions), BERLIN)
    spans, cut_at = Opening(schedule, seconds, most).spans(period)
    assert all(one.end < other.start for one, other in pairwise(spans))
    assert all(one.start < period.until and (one.end > start or one.start >= start) for one in spans)
    phases = [one.phase for one in spans]
    assert phases == sorted(phases, key=list(Phase).index)
    assert phases.count(Phase.NOW) <= 1
    moments = list(schedule.between(start - max(seconds, 1), period.until))
    assert (cut_at is None) == (len(moments) <= most)
    for moment in moments[:most]:
        met = moment + seconds > start or moment >= start
        inside = [one for one in spans if one.start <= moment and moment + seconds <= one.end]
        assert len(inside) == (1 if met else 0)
    assert sum(one.count for one in spans) == len([m for m in moments[:most] if m + seconds > start or m >= start])


def test_a_window_is_as_long_as_ever_when_the_clocks_change() -> None:
    """At its hour of local time; what falls into the hour that is skipped opens right after it."""
    opening = Opening(Schedule.parse(("30 2 * * *",), BERLIN), HOUR, 100)
    spring = opening.spans(Period(at("2026-03-28"), at("2026-03-31"), 0))
    assert shown(spring[0]) == ["28 02:30+0100 60m", "29 03:00+0200 60m", "30 02:30+0200 60m"]
    autumn = opening.spans(Period(at("2026-10-24"), at("2026-10-27"), 0))
    assert shown(autumn[0]) == ["24 02:30+0200 60m", "25 02:30+0200 60m", "26 02:30+0100 60m"]


def test_a_call_each_minute_is_one_window() -> None:
    """For a day; for a month it is too many, and says from when on it tells no more."""
    opening = Opening(Schedule.parse(("* * * * *",)), 120, MOST_MOMENTS)
    (span,), cut_at = opening.spans(Period(NEW_YEAR, NEW_YEAR + DAY, NEW_YEAR + HOUR))
    assert (span, cut_at) == (Span(NEW_YEAR - 60, NEW_YEAR + DAY + 60, Phase.NOW, 1441), None)
    (span,), cut_at = opening.spans(Period(NEW_YEAR, NEW_YEAR + MOST_SECONDS, NEW_YEAR))
    assert (span.count, cut_at) == (MOST_MOMENTS, NEW_YEAR + (MOST_MOMENTS - 1) * 60)


def past(*entries: Entry, clock: TurnedClock | None = None) -> Past:
    """What has been of these, so far nothing."""
    return Past({}, lambda: Directory("office.example", entries), clock or TurnedClock())


def called(it: Past, clock: TurnedClock, error: str = "", *, received: int = 0) -> None:
    """A call of a minute is over now."""
    it.heard(CallStarted("office", str(OFFICE), "schedule"))
    it.heard(CallEnded("office", str(OFFICE), 60.0, 0, 0, received, 100 * received, 0, "counts", error))
    clock.jump(HOUR)


def test_calls_are_told_as_they_went() -> None:
    """Those of the span, with what came of them; the one that runs too."""
    clock = TurnedClock(NEW_YEAR)
    it = past(clock=clock)
    called(it, clock)
    called(it, clock, received=2)
    called(it, clock, "connection lost", received=1)
    called(it, clock, "no answer")
    now = clock.wall()
    plan = CallPlan("office", OFFICE, schedule=Schedule.parse(("0 3 * * *",)), window=600)
    running = CallView("office", str(OFFICE), Progress.RUNNING, "operator", started=now, window_ends=now + 600, sent=1)
    ended = CallView("other", str(OFFICE), Progress.ENDED, started=now, ended=now)
    (lane,) = call_lanes([plan], [running, ended], it, Period(NEW_YEAR + HOUR - 30, NEW_YEAR + DAY, now))
    assert [(one.start - NEW_YEAR, one.outcome.value) for one in lane.calls] == [
        (HOUR - 60, "ok"),
        (2 * HOUR - 60, "error"),
        (3 * HOUR - 60, "nothing"),
        (4 * HOUR, "running"),
    ]
    assert lane.calls[-1] == Called(now, None, "operator", Outcome.RUNNING, "", 0, 0, 1, 0, now + 600)
    assert (lane.next_start, lane.next_end) == (NEW_YEAR + DAY + 3 * HOUR, NEW_YEAR + DAY + 3 * HOUR + 600)
    assert [one.phase for one in lane.windows] == [Phase.PAST]


def test_a_call_without_a_schedule_has_no_windows() -> None:
    """It is made when a link comes up, or by an operator."""
    (lane,) = call_lanes([CallPlan("office", OFFICE)], [], None, Period.of(None, None, NEW_YEAR))
    assert (lane.windows, lane.calls, lane.next_start, lane.cut_at) == ((), (), None, None)


def test_a_site_is_told_with_when_it_came_and_was_missed() -> None:
    """And what is expected, with its grace, of all that expect the same."""
    site = Held("site.example", HOP, retention=Retention(30 * DAY, contact=("0 14 * * *",), grace=HOUR))
    other = Held("z.example", HOP)
    clock = TurnedClock(NEW_YEAR + 14 * HOUR)
    it = past(site, other, clock=clock)
    for _ in range(2):
        it.reached(ReleaseEnded(1, site.name, "", "", 3, 0, 0, 0, 500, 60.0, ""))
        clock.jump(2 * DAY)
        it.missed(site.name, clock.wall() - DAY)
    it.missed(site.name, clock.wall())
    now = clock.wall() + 2 * HOUR
    period = Period(now - 4 * DAY, now + DAY, now)
    first, second = site_lanes(
        [site, other], it, period, schedules=Schedule.parse, last_contact={"site.example": 5.0}.get
    )
    hours = [(one.start - NEW_YEAR) / HOUR for one in first.expected]
    assert (hours, {one.end - one.start for one in first.expected}) == ([38, 62, 86, 110, 134], {HOUR})
    assert [(one.end - NEW_YEAR) / HOUR for one in first.contacts] == [62]
    assert [((one.due - NEW_YEAR) / HOUR, one.until) for one in first.missed] == [
        (38, NEW_YEAR + 62 * HOUR - 60),
        (86, None),
        (110, None),
    ]
    assert (first.last_contact, first.next_contact) == (5.0, NEW_YEAR + 134 * HOUR)
    assert (second.expected, second.contacts, second.missed, second.next_contact) == ((), (), (), None)


def test_many_schedules_share_what_is_looked_at() -> None:
    """A thousand domains that are all expected each minute, each with another grace."""
    entries = [
        Held(f"s{n}.example", HOP, retention=Retention(DAY, contact=("* * * * *",), grace=n)) for n in range(1000)
    ]
    lanes = site_lanes(
        entries,
        None,
        Period(NEW_YEAR, NEW_YEAR + DAY, NEW_YEAR),
        schedules=Schedule.parse,
        last_contact=lambda _: None,
    )
    assert {sum(one.count for one in lane.expected) for lane in lanes} <= {LEAST_MOMENTS, LEAST_MOMENTS - 1}
    assert all(lane.cut_at is not None for lane in lanes)


names = st.sets(st.sampled_from([DomainName(f"{letter}.example") for letter in "abcdefgh"]))


@given(names, names, names, names | st.none(), st.integers(1, 4))
def test_pages_are_all_there_is(
    expected: set[DomainName],
    seen: set[DomainName],
    others: set[DomainName],
    within: set[DomainName] | None,
    limit: int,
) -> None:
    """Held domains that are expected or were seen, each once; for a user, those of his."""
    held = {name: Held(name, HOP) for name in seen | others}
    held |= {name: Held(name, HOP, retention=Retention(DAY, contact=("0 3 * * *",))) for name in expected}
    directory = Directory("office.example", [*held.values(), Held("*", HOP), Relayed("relayed.example", HOP)])
    it = Past({}, lambda: directory, TurnedClock())
    for name in seen:
        it.heard(ReleaseDecided(CALLER, name, (name,), "251 2.0.0 OK"))
    lanes, mine = Lanes(it, lambda _: None), None if within is None else frozenset(within)

    async def all_pages() -> list[str]:
        found, after = list[str](), ""
        while True:
            page = await lanes.timeline(
                Period.of(None, None, NEW_YEAR), directory, None, after=after, limit=limit, within=mine
            )
            assert len(page.domains) <= limit
            found += [lane.domain for lane in page.domains]
            if page.after is None:
                return found
            after = page.after

    wanted = expected | seen
    assert asyncio.run(all_pages()) == sorted(wanted if within is None else wanted & within)


async def test_another_directory_has_other_lanes() -> None:
    """What was put in order for one is not told of the next; without a server there is no past."""
    lanes = Lanes(None, lambda _: None)

    async def line(*entries: Entry) -> Timeline:
        directory = Directory("office.example", entries)
        return await lanes.timeline(Period.of(None, None, NEW_YEAR), directory, None, after="", limit=10, within=None)

    for name in ("a.example", "b.example"):
        page = await line(Held(name, HOP, retention=Retention(DAY, contact=("0 3 * * *",))))
        assert [lane.domain for lane in page.domains] == [name]


@pytest.mark.parametrize(
    ("start", "until"), [(5.0, 5.0), (6.0, 5.0), (0.0, MOST_SECONDS + 1), (NEW_YEAR + 3 * DAY, None), (None, 5.0)]
)
def test_what_is_no_span_is_refused(start: float | None, until: float | None) -> None:
    """One that ends before it begins, or is too long."""
    with pytest.raises(NoSpan, match="31 days later at the most"):
        Period.of(start, until, NEW_YEAR)
