"""When to try again (RFC 5321 §4.5.4.1), for mail that leaves by itself; a held domain's mail waits to be asked for.

Pure: attempts in, seconds out. A short first wait heals a restart at the other end; later ones spare a host that
is down.
"""

from __future__ import annotations

FIRST_SECONDS = 60.0
LONGEST_SECONDS = 3600.0


def delay(failures: int) -> float:
    """Seconds to wait after so many failures in a row, 1 or more: 1, 2, 4, ... minutes, an hour at most."""
    assert failures >= 1, failures
    return float(min(FIRST_SECONDS * 2 ** min(failures - 1, 16), LONGEST_SECONDS))
