"""restante with a spool that stores nothing: what all else of it costs (script/bench ingest --only storeless).

    python bench/storeless.py serve --config restante.toml

A message is counted and forgotten, and its acceptance answered in the next turn of the event loop.
"""

from __future__ import annotations

import asyncio
import sys

from restante.cli import main
from restante.model import Waiting
from restante.spool.spool import Arrival
from restante.store import sqlite


class Storeless(sqlite.SqliteSpool):
    """The embedded spool, but for what comes in."""

    def accept(self, arrival: Arrival) -> asyncio.Future[None]:
        """Counts it."""
        done: asyncio.Future[None] = self._loop.create_future()
        assert isinstance(arrival.content, bytes), "for small messages"
        for domain, _ in arrival.envelopes:
            now = self._waiting.get(domain, Waiting())
            self._waiting[domain] = Waiting(now.items + 1, now.octets + arrival.size, now.oldest or arrival.arrived)
        self._loop.call_soon(done.set_result, None)
        return done


if __name__ == "__main__":
    sqlite.SqliteSpool = Storeless  # type: ignore[misc]
    sys.exit(main())
