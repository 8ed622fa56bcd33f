"""Sizes, spans, times and rates in words, as people are shown them: on a terminal and on a page."""

from __future__ import annotations

import time

_UNITS = ("octets", "kB", "MB", "GB", "TB")
_SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def size(octets: float) -> str:
    """`812 octets`, `4.1 kB`, `25 MB`: of a thousand each."""
    unit = 0
    while octets >= 999.5 and unit < len(_UNITS) - 1:
        octets /= 1000
        unit += 1
    digits = 1 if unit and octets < 9.95 else 0
    return f"{octets:.{digits}f} {_UNITS[unit]}"


def span(seconds: float) -> str:
    """`12 s`, `5 min 3 s`, `2 h 10 min`, `3 d 4 h`: two units at most."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for length, unit in _SPANS:
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts)) or "0 s"


def moment(wall: float | None) -> str:
    """A wall time in local time, to the second; nothing for None."""
    return "" if wall is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))


def counted(number: int, noun: str) -> str:
    """`1 message`, `2 messages`, `12,345 messages`."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def rate(octets: int, seconds: float) -> str:
    """Octets a second; nothing can be said of no time."""
    return f"{size(octets / seconds)}/s" if seconds >= 0.001 else f"{size(octets)}/s"
