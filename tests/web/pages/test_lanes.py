"""The lanes of a line of time: rectangles that can be seen, and that hide nothing."""

from __future__ import annotations

from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from restante.admin.timeline import Called, CallLane, Contact, Missed, Outcome, Phase, SiteLane, Span
from restante.web.pages.axis import Scale
from restante.web.pages.lanes import KINDS, LEAST_GAP, LEAST_WIDTH, Lane, call_lane, site_lane

HOUR, DAY = 3600.0, 86400.0
NOW = 10 * DAY
SCALE = Scale(NOW - DAY, NOW + DAY)


def called(start: float, end: float | None, outcome: Outcome = Outcome.OK, error: str = "") -> Called:
    """A call that took three messages and sent one."""
    return Called(start, end, "schedule", outcome, error, 3, 3000, 1, 500, None if end else start + HOUR)


def of_calls(*calls: Called, windows: tuple[Span, ...] = (), cut_at: float | None = None) -> Lane:
    """The lane of a call."""
    return call_lane(CallLane("office", "office.example:25", windows, calls, None, None, cut_at), SCALE, NOW)


def of_site(*contacts: Contact, missed: tuple[Missed, ...] = (), next_contact: float | None = None) -> Lane:
    """The lane of a domain."""
    return site_lane(SiteLane("test.example", (), contacts, missed, None, next_contact, None), SCALE, NOW)


def test_windows_are_where_they_are() -> None:
    """A quarter of the picture is twelve hours of two days."""
    windows = (Span(NOW - DAY, NOW - DAY / 2, Phase.PAST), Span(NOW + DAY / 2, NOW + 2 * DAY, Phase.PLANNED))
    past, planned = of_calls(windows=windows).boxes
    assert (past.kind, past.x, past.width) == ("past", 0, 25)
    assert (planned.kind, planned.x, planned.right) == ("planned", 75, 100)


def test_what_is_short_is_seen_and_what_would_touch_is_one() -> None:
    """Of two calls of a minute, five minutes apart, there is one rectangle, which says so."""
    [box] = of_calls(called(NOW - HOUR, NOW - HOUR + 60), called(NOW - HOUR + 300, NOW - HOUR + 360)).boxes
    assert box.width >= LEAST_WIDTH
    assert box.words == "2 calls: 6 messages came, 2 went, 7.0 kB"
    assert (box.start, box.end) == (NOW - HOUR, NOW - HOUR + 360)


def test_what_has_just_been_is_not_drawn_as_if_it_were_to_come() -> None:
    """It is made wider to the left, what is to come to the right."""
    planned, went = of_calls(called(NOW - 2, NOW), windows=(Span(NOW, NOW + 2, Phase.PLANNED),)).boxes
    assert (went.right, planned.x) == (50, 50)


def test_what_went_wrong_is_drawn_above_all_else() -> None:
    """However many went well around it; its words make no control characters of a peer's."""
    calls = [called(NOW - HOUR + n * 60, NOW - HOUR + n * 60 + 30) for n in range(50)]
    calls[20] = called(calls[20].start, calls[20].end, Outcome.NOTHING, "Connection\x1b[2J refused")
    went, failed = of_calls(*calls).boxes
    assert went.words.startswith("49 calls: 147 messages")
    assert failed.kind == "failed"
    assert "\x1b" not in failed.words
    assert failed.words.startswith("1 call failed: Connection")


def test_a_call_that_runs_goes_on_until_now_in_its_own_window() -> None:
    """Whatever its schedule says."""
    lane = of_calls(called(NOW - HOUR / 2, None, Outcome.RUNNING))
    window, call = lane.boxes
    assert (window.kind, call.kind, call.right) == ("open", "running", 50)
    assert window.right > 50
    assert (lane.state, call.end) == ("running", None)
    assert call.when.startswith("since ")


def test_windows_that_are_left_out_are_told() -> None:
    """Up to the end of the picture."""
    [box] = of_calls(cut_at=NOW + DAY / 2).boxes
    assert (box.kind, box.x, box.right, box.words) == ("cut", 75, 100, "more windows than are shown")


def test_a_site_that_has_not_come_says_so() -> None:
    """From when it was due until now, and first of all that is said of it."""
    lane = of_site(missed=(Missed(NOW - DAY / 2, None),), next_contact=NOW + HOUR)
    [box] = lane.boxes
    assert (box.kind, box.x, box.right) == ("missed", 25, 50)
    assert (lane.state, lane.due, lane.words) == ("missed", NOW - DAY / 2, "did not come")


def test_a_lane_is_told_in_words() -> None:
    """All of it, kind by kind; also where there is nothing."""
    contacts = (Contact(NOW - DAY, NOW - DAY + 60, 1, 1, 0, 4, 4000), Contact(NOW - HOUR, NOW - HOUR, 1, 1, 1, 2, 100))
    lane = of_site(*contacts, missed=(Missed(NOW - 5 * HOUR, NOW - HOUR),))
    assert lane.words == (
        "1 contact: 4 messages delivered, 4.0 kB; "
        "1 contact that went wrong: 2 messages delivered, 100 octets; did not come"
    )
    assert (of_site().words, of_site().state) == ("nothing", "none")


TIMES = st.floats(NOW - 3 * DAY, NOW + 3 * DAY)
LENGTHS = st.floats(0, 2 * DAY)
SPANS = st.builds(
    lambda start, length, phase: Span(start, start + length, phase), TIMES, LENGTHS, st.sampled_from(Phase)
)
ENDED = (Outcome.OK, Outcome.ERROR, Outcome.NOTHING)
CALLS = st.builds(
    lambda start, length, outcome: called(start, start + length, outcome), TIMES, LENGTHS, st.sampled_from(ENDED)
)
SCALES = st.builds(lambda start, length: Scale(start, start + length), TIMES, st.floats(HOUR, 31 * DAY))


@given(spans=st.lists(SPANS, max_size=60), calls=st.lists(CALLS, max_size=60), scale=SCALES)
def test_rectangles_are_in_the_picture_apart_and_in_order(spans: list[Span], calls: list[Called], scale: Scale) -> None:
    """Wide enough to be seen; nothing is left out, nothing is counted twice."""
    spans.sort(key=lambda span: span.start)
    calls.sort(key=lambda call: call.start)
    lane = call_lane(CallLane("office", "o", tuple(spans), tuple(calls), None, None, None), scale, NOW)
    assert all(box.x >= 0 and box.right <= 100 + 1e-6 and box.width >= LEAST_WIDTH - 1e-6 for box in lane.boxes)
    order = [KINDS.index(box.kind) for box in lane.boxes]
    assert order == sorted(order)
    for _, boxes in groupby(lane.boxes, key=lambda box: box.kind):
        assert all(one.right + LEAST_GAP < other.x + 1e-6 for one, other in pairwise(boxes))
    assert sum(box.tally.number for box in lane.boxes) == len(spans) + len(calls)
