"""Which domains are nearly at their quotas: all with mail are looked at, some at a turn, and not every second."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from restante.admin.listing import quota_of, quota_use
from restante.admin.protocol import QuotaUse
from restante.clock import Clock
from restante.directory.entries import Directory
from restante.model import DomainName, Waiting
from restante.spool.spool import Spool

NEARLY_PERCENT = 90
KEPT_SECONDS = 10.0
"""How long what was found of all domains is told again."""
LOOKED_AT_A_TURN = 5000

Full = tuple[str, QuotaUse]


class Fullness:
    """All that are nearly full, by the name of the domain, the fullest first."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._found: tuple[Full, ...] = ()
        self._of: Directory | None = None
        self._until = 0.0

    async def nearly_full(self, directory: Directory, within: Collection[DomainName] | None) -> tuple[Full, ...]:
        """Those that have a quota and NEARLY_PERCENT of it: of these domains, or of all."""
        if within is not None:
            return await self._look(directory, within)
        if directory is not self._of or self._clock.monotonic() >= self._until:
            self._found = await self._look(directory, None)
            self._of, self._until = directory, self._clock.monotonic() + KEPT_SECONDS
        return self._found

    async def _look(self, directory: Directory, within: Collection[DomainName] | None) -> tuple[Full, ...]:
        waiting = self._spool.domains() if within is None else {name: self._spool.waiting(name) for name in within}
        stopped = await self._spool.stopped_domains()
        found: list[Full] = []
        names = waiting if within is not None else dict.fromkeys((*waiting, *stopped))
        for number, name in enumerate(names, 1):
            if quota_of(directory, name) is not None:
                use = quota_use(directory, name, waiting.get(name, Waiting()), stopped)
                if use is not None and use.percent >= NEARLY_PERCENT:
                    found.append((name, use))
            if number % LOOKED_AT_A_TURN == 0:
                await asyncio.sleep(0)
        return tuple(sorted(found, key=lambda full: (-full[1].percent, full[0])))
