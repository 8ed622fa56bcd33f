"""What MAIL may ask for besides delivery: a time (DELIVERBY, RFC 2852) and a priority (MT-PRIORITY, RFC 6710)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

HIGHEST = 9
"""The highest priority; the lowest is as far below zero (RFC 6710 §3)."""
MOST_SECONDS = 999_999_999  # RFC 2852 §4: nine digits
_BY = re.compile(r"([+-]?[0-9]{1,9});([NR])(T?)", re.ASCII | re.IGNORECASE)
_PRIORITY = re.compile(r"0|-?[1-9]", re.ASCII)


class ByMode(StrEnum):
    """What is done with a message whose time is over."""

    NOTIFY = "N"
    """Its sender is told, and it goes on."""
    RETURN = "R"
    """It goes back."""


@dataclass(frozen=True, slots=True)
class By:
    """Within how many seconds a message is to be delivered; none or less: it is late. `trace`: each hop reports."""

    seconds: int
    mode: ByMode
    trace: bool = False

    def __str__(self) -> str:
        seconds = max(-MOST_SECONDS, min(self.seconds, MOST_SECONDS))
        return f"{seconds};{self.mode}{'T' if self.trace else ''}"


def parse_by(text: str) -> By:
    """The value of `BY=`. Raises ValueError, also for what should come back and is late already."""
    match = _BY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not seconds;N or seconds;R")
    by = By(int(match[1]), ByMode(match[2].upper()), bool(match[3]))
    if by.mode is ByMode.RETURN and by.seconds <= 0:
        raise ValueError(f"{text!r} leaves no time")
    return by


def parse_priority(text: str) -> int:
    """The value of `MT-PRIORITY=`. Raises ValueError."""
    if not _PRIORITY.fullmatch(text):
        raise ValueError(f"{text!r} is not a priority from -{HIGHEST} to {HIGHEST}")
    return int(text)
