"""The axis of a line of time: where days and hours begin, in local time, and which of them have room for a label.

Pure. Places are percent of the picture's width. A time of day that is skipped where clocks are set forward has no tick,
one that comes twice where they are set back has one, at the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from itertools import pairwise

HOUR = 3600.0
DAY = 24 * HOUR
WHOLE_DAY = 24
LEVELS = (3, 6, 12, WHOLE_DAY, 2 * WHOLE_DAY, 7 * WHOLE_DAY, 14 * WHOLE_DAY)
"""Every so many hours there may be a label; days are counted from a Monday."""
WIDE_PIXELS, NARROW_PIXELS = 660, 310
"""So wide is the picture at least, on a screen and on a phone."""
PIXELS_PER_LETTER = 6.5
PIXELS_BETWEEN = 10


@dataclass(frozen=True, slots=True)
class Scale:
    """From `start` up to `until`, wall times, as wide as the picture."""

    start: float
    until: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.until - self.start

    def x(self, wall: float) -> float:
        """Where a moment is, in percent; what is outside is at the edge."""
        return 100 * min(1.0, max(0.0, (wall - self.start) / self.seconds))

    def shows(self, wall: float) -> bool:
        """Whether that is within the picture."""
        return self.start <= wall < self.until


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment that has a name; there is room for it on a screen (`fits`), or on a phone, too (`fits_narrow`)."""

    at: float
    x: float
    label: str
    hours: int
    """Since a Monday of long ago, by the clock."""
    fits: bool = False
    fits_narrow: bool = False

    @property
    def is_day(self) -> bool:
        """Whether a day begins there."""
        return self.hours % WHOLE_DAY == 0


def ticks(scale: Scale, zone: tzinfo) -> tuple[Tick, ...]:
    """Where days begin, and hours between them while that can be read; in order."""
    found = [tick for day in _days(scale, zone) for tick in _of_day(scale, day, zone) if scale.shows(tick.at)]
    wide, narrow = _level(found, WIDE_PIXELS), _level(found, NARROW_PIXELS)
    return tuple(
        replace(tick, fits=_fits(tick, wide, WIDE_PIXELS), fits_narrow=_fits(tick, narrow, NARROW_PIXELS))
        for tick in found
    )


def room(label: str, pixels: int) -> float:
    """How much a label takes of a picture of so many pixels, in percent."""
    return 100 * (len(label) * PIXELS_PER_LETTER + PIXELS_BETWEEN) / pixels


def _days(scale: Scale, zone: tzinfo) -> Iterator[date]:
    day = datetime.fromtimestamp(scale.start, zone).date()
    last = datetime.fromtimestamp(scale.until, zone).date()
    while day <= last:
        yield day
        day += timedelta(days=1)


def _of_day(scale: Scale, day: date, zone: tzinfo) -> Iterator[Tick]:
    days = day.toordinal() - 1  # day 1 of year 1 was a Monday, as this calendar reckons
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
    if datetime.fromtimestamp(midnight, zone).date() == day:  # no day of an island that went over the date line
        yield Tick(midnight, scale.x(midnight), _label(scale, day), days * WHOLE_DAY)
    between = 3 if scale.seconds <= 1.5 * DAY else 6 if scale.seconds <= 4 * DAY else WHOLE_DAY
    for hour in range(between, WHOLE_DAY, between):
        at = datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp()
        if datetime.fromtimestamp(at, zone).hour == hour:
            yield Tick(at, scale.x(at), f"{hour:02}:00", days * WHOLE_DAY + hour)


def _label(scale: Scale, day: date) -> str:
    if scale.seconds <= 4 * DAY:
        return f"{day:%a} {day.day} {day:%b}"
    return f"{day:%a} {day.day}" if scale.seconds <= 10 * DAY else f"{day.day} {day:%b}"


def _level(found: Sequence[Tick], pixels: int) -> int:
    """The finest at which no label overlaps the next."""
    for level in LEVELS:
        some = [tick for tick in found if tick.hours % level == 0]
        if all(tick.x + room(tick.label, pixels) <= after.x for tick, after in pairwise(some)):
            return level
    return LEVELS[-1]


def _fits(tick: Tick, level: int, pixels: int) -> bool:
    return tick.hours % level == 0 and tick.x + room(tick.label, pixels) <= 100
