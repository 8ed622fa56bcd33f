"""systemd's watchdog (sd_watchdog_enabled(3)): it is told that all goes well from the event loop, at half its interval,
and not where the loop hangs, the spool is broken, or the writer has not answered since the last time. Then systemd
starts the server again, which is what a broken spool waits for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from restante.clock import Clock
from restante.spool.spool import Health

ALIVE = "WATCHDOG=1"


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """The interval after which systemd would act; None where it does not watch this process."""
    interval, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if process and process != str(os.getpid()):
        return None
    return int(interval) / 1e6 if interval.isascii() and interval.isdigit() and int(interval) else None


async def keep_watched(
    seconds: float, health: Callable[[], Health], notify: Callable[[str], None], clock: Clock
) -> None:
    """Tells systemd, until it is cancelled. `seconds`: its interval."""
    unanswered = None
    while True:
        now = health()
        is_stuck = now.unanswered is not None and now.unanswered == unanswered
        if not (now.broken or is_stuck):
            notify(ALIVE)
        unanswered = now.unanswered
        await clock.sleep(seconds / 2)
