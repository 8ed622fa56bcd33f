"""How old mail is, by its ids alone."""

from __future__ import annotations

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from restante.clock import TurnedClock
from restante.model import MessageId
from restante.release.ages import JUMP_SECONDS, MARK_SECONDS, MOST_SECONDS, OFF_SECONDS, PARTS, Ages, Mark, SteadyClock

HOUR, DAY = 3600.0, 86_400.0


def ages_of(*marks: tuple[float, int]) -> Ages:
    """A log with these marks."""
    ages = Ages()
    for steady, last in marks:
        ages.note(Mark(steady, MessageId(last)))
    return ages


def test_what_was_the_last_id_then_is_told_of_each_moment() -> None:
    """Of the last mark by then; before the first nothing is known, so nothing is as old as that."""
    ages = ages_of((1000, 10), (2000, 20), (3000, 30))
    assert [ages.last_at(steady) for steady in (999, 1000, 1999, 2000, 1e9)] == [None, 10, 10, 20, 30]
    assert ages.steady == 3000
    assert Ages().last_at(1e9) is None


def test_when_a_message_came_lies_between_two_marks() -> None:
    """After the last mark with a lesser id, by the first with one that is not less."""
    ages = ages_of((1000, 10), (2000, 20))
    assert [ages.first_seen(MessageId(each)) for each in (5, 10, 11, 20, 21)] == [0, 0, 1000, 1000, 2000]
    assert [ages.seen_by(MessageId(each)) for each in (5, 10, 11, 20, 21)] == [1000, 1000, 2000, 2000, float("inf")]


@given(st.lists(st.floats(1, 200 * DAY), min_size=1, max_size=300), st.lists(st.floats(0, 1), min_size=1))
def test_a_thinned_log_is_never_wrong_and_seldom_late(waits: list[float], parts: list[float]) -> None:
    """What it says is old is old; and what is old by a hundredth more than is asked for is found to be."""
    ages, steady, last = Ages(), 0.0, 0
    true_steady, true_last = [], []
    for wait in waits:
        steady += wait
        last += 1 + int(wait) % 7
        ages.note(Mark(steady, MessageId(last)))
        true_steady.append(steady)
        true_last.append(last)

    def truly(moment: float) -> int:
        place = bisect_right(true_steady, moment)
        return true_last[place - 1] if place else 0

    for part in parts:
        asked = steady - part * min(steady, MOST_SECONDS)
        found = ages.last_at(asked) or 0
        late = max(MARK_SECONDS, (steady - asked) / PARTS * 1.02)
        assert truly(asked - 2 * late) <= found <= truly(asked)


def test_ten_years_of_marks_are_few() -> None:
    """One every few minutes would be a million."""
    ages, steady = Ages(), 0.0
    while steady < 11 * 365 * DAY:
        steady += 4 * DAY
        ages.note(Mark(steady, MessageId(int(steady))))
    for _ in range(1000):
        steady += MARK_SECONDS
        ages.note(Mark(steady, MessageId(int(steady))))
    assert len(ages.marks) < 2000
    oldest = ages.last_at(steady - 3650 * DAY)
    assert oldest is not None
    assert steady - oldest < 3700 * DAY


def test_what_is_no_longer_needed_is_told_so_that_it_can_be_forgotten() -> None:
    """What note() has left out, and no more, is missing from the marks."""
    ages = Ages()
    left: set[float] = set()
    for number in range(1, 2000):
        left.add(number * MARK_SECONDS)
        left.difference_update(ages.note(Mark(number * MARK_SECONDS, MessageId(number))))
    assert [mark.steady for mark in ages.marks] == sorted(left)
    assert len(left) < 1000


def test_ids_that_begin_anew_are_younger_than_all_marks() -> None:
    """An empty spool has forgotten its last id; what comes under a lesser one is not taken for old."""
    ages = ages_of((1000, 10), (2000, 2000), (3000, 3000))
    assert ages.begin_at(MessageId(100)) == [Mark(2000, MessageId(99)), Mark(3000, MessageId(99))]
    assert ages.last_at(3000) == 99
    assert ages.begin_at(MessageId(101)) == []
    ages.note(Mark(4000, MessageId(101)))
    again = Ages(ages.marks)
    assert (again.steady, again.last_at(3999), again.last_at(4000)) == (4000, 99, 101)


def test_marks_that_make_no_sense_are_left_out() -> None:
    """Ids never sink: such a mark was damaged, or is of another host."""
    ages = Ages([Mark(3000, MessageId(5)), Mark(1000, MessageId(10)), Mark(2000, MessageId(20))])
    assert ages.marks == [Mark(1000, MessageId(10)), Mark(2000, MessageId(20))]


async def test_the_steady_clock_counts_while_the_host_runs() -> None:
    """On from where the last process was; jumps of the wall clock are nothing to it."""
    clock = TurnedClock()
    steady = SteadyClock(clock, 500.0)
    await clock.turn(HOUR)
    clock.jump(-1e9)
    assert steady.now() == 500 + HOUR


async def test_it_knows_since_when_the_wall_clock_has_run_evenly() -> None:
    """A jump begins it anew, a small correction does not; nor a short time in which the host was off."""
    clock = TurnedClock()
    begun = clock.wall()
    steady = SteadyClock(clock, 0.0)
    await clock.turn(HOUR)
    clock.jump(JUMP_SECONDS / 2)
    assert (steady.look(), steady.since) == (clock.wall(), begun)
    assert steady.steady_at(clock.wall() - 100) == steady.now() - 100
    again = SteadyClock(clock, steady.now(), clock.wall() - OFF_SECONDS / 2, steady.since)
    assert again.since == begun
    for off in (OFF_SECONDS * 2, -10.0):
        assert SteadyClock(clock, 0.0, clock.wall() - off, begun).since == clock.wall()
    clock.jump(DAY)
    steady.look()
    assert steady.since == clock.wall()
    clock.jump(-DAY)
    steady.look()
    assert steady.since == clock.wall()
