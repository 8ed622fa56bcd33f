"""When to try again (RFC 5321 §4.5.4.1), for mail that leaves by itself; a held domain's mail waits to be asked for.

Pure: attempts in, seconds out. A schedule is the seconds between attempts, of which the last comes again and again: a
short first one heals a restart at the other end, later ones spare a host that is down.
"""

from __future__ import annotations

from collections.abc import Sequence

from restante.directory.entries import RETRY_SECONDS, Entry, Relayed
from restante.spool.spool import Due

FIRST_SECONDS = 60.0
EARLY_SECONDS = 1.0
"""What is due so soon goes along: the wall clock and the one that alarms ring by do not run as one."""
SLACK_SECONDS = 60.0
"""A clock that was set back by less has not made anything late."""


def schedule_of(entry: Entry) -> Sequence[float]:
    """The schedule for an entry's mail."""
    return entry.retry if isinstance(entry, Relayed) else RETRY_SECONDS


def delay(failures: int, schedule: Sequence[float] = RETRY_SECONDS) -> float:
    """Seconds to wait after so many failures in a row, 1 or more."""
    assert failures >= 1, failures
    return schedule[min(failures, len(schedule)) - 1]


def due_at(wall: float, schedule: Sequence[float]) -> Due:
    """What may be tried by itself at a wall time.

    What is to wait longer than the schedule ever does was written before the clock was set back: it is due, so that a
    clock that was a day ahead, or ten years, delays nothing for so long.
    """
    return Due(wall + EARLY_SECONDS, wall + max(schedule) + SLACK_SECONDS)
