"""What is done by itself, in its rounds: with a host's own releases, over its stops and starts."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import apsw
from msgspec import structs
from tests.release.host import HELD, LATER, TEST, Host, eventually, host, relayed

from restante.calls.window import Schedule
from restante.directory.entries import Retention
from restante.facts import ItemExpired, ReleaseEnded
from restante.release.ages import MARK_SECONDS
from restante.release.allowance import Allowance
from restante.release.upkeep import ROUND_SECONDS, Upkeep, open_upkeep
from restante.spool.spool import SpoolBroken
from restante.store.history import DATABASE

HOUR, DAY = 3600.0, 86_400.0
WEEKLY = structs.replace(HELD, retention=Retention(7 * DAY, 1))


@asynccontextmanager
async def upkeep_of(made: Host) -> AsyncIterator[Upkeep]:
    """The upkeep of a host, started; it hears its facts."""
    upkeep = await open_upkeep(
        made.folder.parent,
        spool=made.spool,
        directory=lambda: made.directory,
        routes=made.releases,
        schedules=partial(Schedule),
        allowance=Allowance(made.clock.monotonic),
        announce=made.facts.append,
        clock=made.clock,
        hostname="office.example",
    )
    upkeep.start()
    try:
        yield upkeep
    finally:
        await upkeep.stop()


async def passes(made: Host, seconds: float, step: float) -> None:
    """So much time, by steps that are rounds: each ends when the next one is waited for."""
    clock = made.clock
    for _ in range(int(seconds / step)):
        clock._monotonic += step
        clock.jump(step)
        await clock.turn(0)  # no time passes while a round is at work
        await eventually(lambda: any(at - clock.monotonic() < ROUND_SECONDS + 1 for at, _ in clock._sleepers))


def rows(made: Host) -> dict[str, bytes]:
    """What is on disk."""
    with contextlib.closing(apsw.Connection(str(made.folder.parent / DATABASE))) as connection:
        return dict(connection.execute("SELECT name, value FROM rows"))


async def call(made: Host, upkeep: Upkeep) -> None:
    """The site asks for its mail, and takes none."""
    made.carrier().says = lambda *_: LATER
    before = len(made.told(ReleaseEnded))
    made.ask()
    await eventually(lambda: len(made.told(ReleaseEnded)) > before)
    upkeep.heard(made.told(ReleaseEnded)[-1])


async def test_it_goes_by_itself(tmp_path: Path) -> None:
    """A mark every few minutes, a sweep after it; a real release is the contact; the sender's domain is woken."""
    async with host(tmp_path, WEEKLY, relayed("far.example")) as made, upkeep_of(made) as upkeep:
        made.carrier("far.example").dialled.clear()
        await made.mail()
        await passes(made, 2 * HOUR, 1800)
        assert len([name for name in rows(made) if name.startswith("mark")]) > 3
        await call(made, upkeep)
        await passes(made, 120, 60)
        await eventually(lambda: f"contact {TEST}" in rows(made))  # a thread writes it
        assert made.told(ItemExpired) == []
        assert (upkeep.last_contact(TEST) or 0.0) + 120 == made.clock.wall()
        assert upkeep.last_contact("never.example") is None
        await passes(made, 8 * DAY, DAY / 2)
        await eventually(lambda: made.told(ItemExpired))
        assert made.carrier("far.example").begun == 1


async def test_what_it_knows_outlives_it(tmp_path: Path) -> None:
    """Age and contacts go on where they were, although the wall clock has been anywhere meanwhile."""
    async with host(tmp_path, WEEKLY, relayed("far.example")) as made:
        made.carrier("far.example").dialled.clear()
        async with upkeep_of(made) as upkeep:
            await made.mail()
            await passes(made, 4 * DAY, DAY / 2)
            await call(made, upkeep)
        made.clock.jump(400 * DAY)
        async with upkeep_of(made):
            await passes(made, 2 * DAY, DAY / 2)
            assert made.told(ItemExpired) == []
            await passes(made, 2 * DAY, DAY / 2)
            await eventually(lambda: made.told(ItemExpired))


async def test_a_round_that_fails_is_told_and_the_next_one_goes_well(tmp_path: Path) -> None:
    """A store that is broken ends the rounds; nothing is done half."""
    heard: list[dict[str, Any]] = []
    retention = Retention(DAY, 0)
    async with (
        host(tmp_path, structs.replace(HELD, retention=retention), relayed("far.example")) as made,
        upkeep_of(made) as upkeep,
    ):
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, context: heard.append(context))
        await made.mail()
        made.faulty.faults["aged"] = KeyError("oops")
        await passes(made, 2 * DAY, DAY / 2)
        loop.set_exception_handler(handler)
        assert {type(context["exception"]) for context in heard} == {KeyError}
        made.faulty.faults = {"settle": SpoolBroken("disk I/O error")}
        await made.clock.turn(DAY)
        await eventually(lambda: upkeep._rounds is not None and upkeep._rounds.done())
        assert made.told(ItemExpired) == []
        made.faulty.faults.clear()
        assert [item.state.value for item in await made.items(TEST)] == ["waiting"]


async def test_with_very_much_mail_the_sweeps_are_rare(tmp_path: Path) -> None:
    """They take a hundredth of the time at the most."""
    async with host(tmp_path, WEEKLY) as made, upkeep_of(made) as upkeep:
        swept: list[float] = []

        async def sweep() -> None:
            swept.append(made.clock.monotonic())
            made.clock._monotonic += 60.0

        upkeep.see_to_all = sweep  # type: ignore[method-assign]
        await passes(made, 4 * HOUR, 120)
        gaps = [after - before for before, after in itertools.pairwise(swept)]
        assert len(gaps) >= 2
        assert all(6000 <= gap <= 6000 + 60 + 2 * MARK_SECONDS for gap in gaps)
