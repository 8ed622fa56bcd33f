"""What a line of time shows, lane by lane: of windows, calls and contacts, rectangles of a picture, with words. Pure.

Places and widths are percent of the picture's width. What is too short to be seen is made wider; things of a kind that
would touch then are one, which says how many they are: a picture has few rectangles, however much there was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from restante.admin.timeline import Called, CallLane, Contact, Missed, Outcome, Phase, SiteLane, Span
from restante.admin.words import counted, moment, size
from restante.observe import lines
from restante.web.pages.axis import Scale

LEAST_WIDTH = 0.7
LEAST_GAP = 0.25
"""What is nearer than that is one."""

_WINDOWS = {Phase.PAST: "past", Phase.NOW: "open", Phase.PLANNED: "planned"}
_OUTCOMES = {
    Outcome.OK: "went",
    Outcome.ERROR: "trouble",
    Outcome.NOTHING: "failed",
    Outcome.RUNNING: "running",
}
KINDS = ("past", "planned", "open", "cut", "went", "running", "trouble", "missed", "failed")
"""Of rectangles, those before behind those after: nothing hides what went wrong."""
_TO_COME = ("planned", "open", "cut")


@dataclass(frozen=True, slots=True)
class Tally:
    """What one rectangle stands for: `number` things of its kind, and what they came to."""

    number: int = 1
    received: int = 0
    sent: int = 0
    octets: int = 0
    asked: int = 0
    why: str = ""
    """The last error."""

    def plus(self, other: Tally) -> Tally:
        """Both."""
        return Tally(
            self.number + other.number,
            self.received + other.received,
            self.sent + other.sent,
            self.octets + other.octets,
            self.asked + other.asked,
            other.why or self.why,
        )


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: where it is, what it is (KINDS), from when to when (None: it goes on), and in words."""

    x: float
    width: float
    kind: str
    start: float
    end: float | None
    tally: Tally
    words: str = ""
    when: str = ""
    """From when to when, in words."""

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.x + self.width

    @property
    def middle(self) -> float:
        """Where a mark of it stands."""
        return self.x + self.width / 2


@dataclass(frozen=True, slots=True)
class Lane:
    """A call or a domain: its rectangles, in the order in which they are drawn, and all of it in words.

    `state`: how it stands now; `since` or `due` (wall times) belong to it.
    """

    name: str
    boxes: tuple[Box, ...]
    words: str
    state: str
    due: float | None = None
    office: str = ""


Words = Callable[[str, Tally], str]


def call_lane(lane: CallLane, scale: Scale, now: float) -> Lane:
    """A configured call."""
    found = [_window(one, scale) for one in lane.windows]
    found += [_called(one, scale, now) for one in lane.calls]
    if not any(one.phase is Phase.NOW for one in lane.windows):  # one that somebody has asked for has its own window
        found += [_box(scale, "open", one.start, one.window_ends, Tally()) for one in lane.calls if one.window_ends]
    boxes = _whole([*found, *_cut(lane.cut_at, scale)], _words_of_call)
    runs = any(one.outcome is Outcome.RUNNING for one in lane.calls)
    state = "running" if runs else "next" if lane.next_start is not None else "none"
    return Lane(lane.name, boxes, _summary(boxes, _words_of_call), state, lane.next_start, lane.office)


def site_lane(lane: SiteLane, scale: Scale, now: float) -> Lane:
    """A domain whose site is expected, or was there."""
    found = [_window(one, scale) for one in lane.expected]
    found += [_contact(one, scale) for one in lane.contacts]
    found += [_missed(one, scale, now) for one in lane.missed]
    boxes = _whole([*found, *_cut(lane.cut_at, scale)], _words_of_site)
    words = _summary(boxes, _words_of_site)
    overdue = [one.due for one in lane.missed if one.until is None]
    if overdue:
        return Lane(lane.domain, boxes, words, "missed", overdue[0])
    if lane.next_contact is not None:
        return Lane(lane.domain, boxes, words, "next", lane.next_contact)
    return Lane(lane.domain, boxes, words, "was" if lane.last_contact is not None else "none", lane.last_contact)


def _box(scale: Scale, kind: str, start: float, end: float | None, tally: Tally, *, drawn_to: float = 0) -> Box:
    """`drawn_to`: as far as something goes that has no end. What has been is made wider towards the past."""
    left, right = scale.x(start), scale.x(end if end is not None else drawn_to)
    width = max(right - left, LEAST_WIDTH)
    x = left if kind in _TO_COME else right - width
    return Box(min(max(x, 0.0), 100 - width), width, kind, start, end, tally)


def _window(span: Span, scale: Scale) -> Box:
    return _box(scale, _WINDOWS[span.phase], span.start, span.end, Tally(span.count))


def _called(call: Called, scale: Scale, now: float) -> Box:
    octets = call.received_octets + call.sent_octets
    tally = Tally(1, call.received, call.sent, octets, why=lines.escape(call.error))
    return _box(scale, _OUTCOMES[call.outcome], call.start, call.end, tally, drawn_to=now)


def _contact(contact: Contact, scale: Scale) -> Box:
    tally = Tally(1, 0, contact.delivered, contact.octets, contact.asked)
    return _box(scale, "trouble" if contact.failed else "went", contact.start, contact.end, tally)


def _missed(missed: Missed, scale: Scale, now: float) -> Box:
    return _box(scale, "missed", missed.due, missed.until, Tally(), drawn_to=now)


def _cut(cut_at: float | None, scale: Scale) -> Iterable[Box]:
    if cut_at is not None and cut_at < scale.until:
        yield _box(scale, "cut", cut_at, scale.until, Tally())


def _whole(boxes: Iterable[Box], words: Words) -> tuple[Box, ...]:
    """In the order in which they are drawn; what would touch is one."""
    found: list[Box] = []
    for box in sorted(boxes, key=lambda box: (KINDS.index(box.kind), box.x, box.start)):
        if found and found[-1].kind == box.kind and box.x <= found[-1].right + LEAST_GAP:
            found[-1] = _joined(found[-1], box)
        else:
            found.append(box)
    return tuple(replace(box, words=words(box.kind, box.tally), when=_when(box.start, box.end)) for box in found)


def _when(start: float, end: float | None) -> str:
    """To the minute, in this host's local time; the day once where it is one."""
    begins = moment(start)[:-3]
    if end is None:
        return f"since {begins}"
    ends = moment(end)[:-3]
    if ends == begins:
        return begins
    is_one_day = ends.split()[0] == begins.split()[0]
    return f"{begins} to {ends.split()[1] if is_one_day else ends}"


def _joined(one: Box, other: Box) -> Box:
    end = None if one.end is None or other.end is None else max(one.end, other.end)
    width = min(100.0, max(one.right, other.right)) - one.x
    return Box(one.x, width, one.kind, min(one.start, other.start), end, one.tally.plus(other.tally))


def _summary(boxes: Sequence[Box], words: Words) -> str:
    """All that a lane shows, kind by kind."""
    tallies: dict[str, Tally] = {}
    for box in boxes:
        tallies[box.kind] = tallies[box.kind].plus(box.tally) if box.kind in tallies else box.tally
    return "; ".join(words(kind, tally) for kind, tally in tallies.items()) or "nothing"


def _words_of_call(kind: str, tally: Tally) -> str:
    calls = counted(tally.number, "call")
    moved = f"{counted(tally.received, 'message')} came, {tally.sent:,} went, {size(tally.octets)}"
    match kind:
        case "went":
            return f"{calls}: {moved}"
        case "running":
            return f"a call that runs: {moved} so far"
        case "trouble":
            return f"{calls} with an error: {moved}: {tally.why}"
        case "failed":
            return f"{calls} failed: {tally.why}"
        case "past":
            return f"{counted(tally.number, 'window')} before"
        case "open":
            return "a window is open" if tally.number == 1 else f"{counted(tally.number, 'window')} without a gap"
        case "planned":
            return f"{counted(tally.number, 'window')} to come"
    return "more windows than are shown"


def _words_of_site(kind: str, tally: Tally) -> str:
    took = f"{counted(tally.sent, 'message')} delivered, {size(tally.octets)}"
    match kind:
        case "went":
            return f"{counted(tally.number, 'contact')}: {took}"
        case "trouble":
            return f"{counted(tally.number, 'contact')} that went wrong: {took}"
        case "missed":
            return "did not come" if tally.number == 1 else f"did not come {_times(tally.number)}"
        case "past":
            return f"was expected {_times(tally.number)}"
        case "open":
            return "is expected now" if tally.number == 1 else f"is expected {_times(tally.number)} without a gap"
        case "planned":
            return f"is expected {_times(tally.number)} more"
    return "is expected more often than is shown"


def _times(number: int) -> str:
    return "once" if number == 1 else counted(number, "time")
