"""The machine's time zone, as the C library finds it: TZ (a name or a POSIX rule), else /etc/localtime, else UTC."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

LOCALTIME = Path("/etc/localtime")
DEFAULT_CHANGES = ",M3.2.0,M11.1.0"  # what the C library takes for a rule that names no days
_HEADER = struct.Struct(">4sc15x6l")


def local_zone(environment: Mapping[str, str] = os.environ, localtime: Path = LOCALTIME) -> tzinfo:
    """The zone in which schedules are read. What cannot be understood is UTC, as it is for the C library."""
    name = environment.get("TZ")
    try:
        if name is None:
            with localtime.open("rb") as file:
                return ZoneInfo.from_file(file)
        return _named(name.removeprefix(":"))
    except (OSError, ValueError, struct.error):
        return UTC


def _named(name: str) -> tzinfo:
    if not name:
        return UTC
    if name.startswith("/"):
        with Path(name).open("rb") as file:
            return ZoneInfo.from_file(file)
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        pass
    try:
        return _by_rule(name)
    except ValueError:
        return _by_rule(name + DEFAULT_CHANGES)


def _by_rule(rule: str) -> tzinfo:
    """The zone of a POSIX rule such as `CET-1CEST,M3.5.0,M10.5.0/3`. Raises ValueError.

    A compiled zone file (RFC 8536) may end in such a rule: this is the smallest file that has nothing else.
    """
    header = _HEADER.pack(b"TZif", b"2", 0, 0, 0, 0, 1, 4)
    body = struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    return ZoneInfo.from_file(io.BytesIO(header + body + header + body + b"\n" + rule.encode() + b"\n"))
