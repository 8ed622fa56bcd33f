"""Durations and sizes as the configuration writes them: a whole number and a unit, without a space.

Durations are `30s`, `10m`, `2h`, `5d`, `1w`. Sizes are `512KB`, `25MB`, `2GB`, in capitals or not, where 1 KB is 1024
octets; without a unit a size is octets. What is written here is read again as the same value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SECONDS: Mapping[str, int] = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
OCTETS: Mapping[str, int] = {"GB": 1 << 30, "MB": 1 << 20, "KB": 1 << 10}

_DURATION = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,15})([KMG]B)?", re.ASCII)


class UnitError(ValueError):
    """Text that is no duration or no size. Trying again does not help."""


def parse_duration(text: str) -> int:
    """Seconds. Raises UnitError."""
    if (found := _DURATION.fullmatch(text)) is None:
        raise UnitError(f"{text!r} is not a duration such as 30s, 10m, 2h, 5d or 1w")
    return int(found[1]) * SECONDS[found[2]]


def parse_size(text: str) -> int:
    """Octets. Raises UnitError."""
    if (found := _SIZE.fullmatch(text.upper())) is None:
        raise UnitError(f"{text!r} is not a size such as 512KB, 25MB or 2GB")
    return int(found[1]) * OCTETS.get(found[2], 1)


def write_duration(seconds: float) -> str:
    """Whole seconds, in the largest unit that needs no fraction."""
    whole = int(seconds)
    for unit, length in SECONDS.items():
        if whole and whole % length == 0:
            return f"{whole // length}{unit}"
    return "0s"


def write_size(octets: int) -> str:
    """Octets, in the largest unit that needs no fraction."""
    for unit, length in OCTETS.items():
        if octets and octets % length == 0:
            return f"{octets // length}{unit}"
    return str(octets)
