"""The long versions of cut connections, races and rights, as runs of script/soak.

All of them run on asyncio's own loop, in a thread: there a seed plays as it does under pytest, and what a proxy has
written is on its way before it resets the connection.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path

from bench.ledger import Totals
from tests.crash.runs import Outcome
from tests.cuts import runs
from tests.cuts.runs import Choice, Tally
from tests.here import lacking
from tests.races.race import Race
from tests.release.rights import DOMAINS, SITES, check_matrix, check_strangers
from tests.rights import sessions

SEEDS_AT_ONCE = 50
MATRIX_PART = 1000
"""Of so many tries by strangers, one further matrix."""
SESSION_MATRIX_PART = 10_000
"""The same, of those that are asked at sessions."""


def _cuts(play: Callable[[Path, Choice], Coroutine[None, None, Tally]]) -> Callable[[int, Path], Awaitable[Outcome]]:
    async def run(count: int, folder: Path) -> Outcome:
        tally = await asyncio.to_thread(lambda: asyncio.run(play(folder, runs.spread(count))))
        sent = len(tally.sent)
        return Outcome(
            Totals(attempted=sent, acknowledged=sent, duplicated=tally.duplicated), f"{len(tally.cuts)} cuts"
        )

    return run


cuts_to_restante = _cuts(runs.to_own_site)
cuts_by_tls = _cuts(runs.to_own_site_by_tls)
cuts_of_large_ones = _cuts(runs.to_own_site_with_large_ones)
cuts_to_postfix = _cuts(partial(runs.to_postfix, with_chunking=True))
cuts_to_postfix_by_data = _cuts(partial(runs.to_postfix, with_chunking=False))


def lacking_postfix() -> str:
    """Why Postfix cannot be a site here."""
    return lacking("peer") or ("" if os.geteuid() == 0 else "Postfix must be started by root")


async def races(count: int, folder: Path) -> Outcome:
    """ETRN races, seeds from 0 on; a failure names its seed."""

    async def play(first: int, last: int) -> None:
        for seed in range(first, last):
            await Race(seed, folder).run()
            shutil.rmtree(folder / f"race-{seed}")

    for first in range(0, count, SEEDS_AT_ONCE):
        await asyncio.to_thread(lambda at=first: asyncio.run(play(at, min(count, at + SEEDS_AT_ONCE))))  # type: ignore[misc]
    return Outcome(Totals(), f"{count} seeds")


async def rights(count: int, folder: Path) -> Outcome:
    """Strangers' ETRNs, and matrices of sites and domains: as decided, and at sessions, with ATRN and all proofs."""
    tries = check_strangers(count, seed=1)
    matrices = max(1, count // MATRIX_PART)
    asked = sum(check_matrix(seed) for seed in range(matrices))
    at_sessions = await asyncio.to_thread(lambda: asyncio.run(sessions.check_strangers(count, 1, folder)))
    of_sessions = max(1, count // SESSION_MATRIX_PART)
    for seed in range(of_sessions):
        asked += await asyncio.to_thread(lambda at=seed: asyncio.run(sessions.check_matrix(at, folder)))  # type: ignore[misc]
    return Outcome(
        Totals(),
        f"{tries} tries, {at_sessions} at sessions; {asked} questions in {matrices} and {of_sessions} matrices of "
        f"{SITES} sites, {DOMAINS} domains",
    )
