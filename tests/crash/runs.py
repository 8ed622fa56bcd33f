"""What the real server must survive, as runs of any length: each gives Jepsen's numbers, or fails at a surprise.

script/test plays short ones (test_real_server.py), script/soak long ones (bench/soak.py). Each run takes a count and a
folder of its own, and is the same again for the same seed, as far as two processes and a clock can be.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.ledger import SIZES, Ledger, Load, Totals, drain, etrn
from bench.ledger_sink import Sink
from tests.crash.mounts import Ext4, Forgetful, NameModel
from tests.crash.office import Office
from tests.crash.operated import DOMAINS, Ends, Operator, domains

SAME_SPOOL = 5
"""Cuts or kills that one spool lives through before it is drained and compared."""
STOP_SECONDS = 90.0
"""When it is given up."""
MORE_SECONDS = 90.0
LEAST_ACKNOWLEDGED = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run's numbers, and what was done to the server: "50 cuts"."""

    totals: Totals
    done: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A ledger, the site's sink and the office, none of them busy yet."""

    ledger: Ledger
    sink: Sink
    office: Office
    operator: Operator | None = None

    @asynccontextmanager
    async def load(self, seed: int, sizes: Sequence[tuple[int, int, int]] = SIZES) -> AsyncIterator[None]:
        """Mail comes in, and if there is an operator it works; nobody waits for last words."""
        coming = Load(self.ledger, self.office.port, seed=seed, connections=6, sizes=sizes, is_patient=False)
        async with coming:
            if self.operator is None:
                yield
            else:
                async with self.operator.at_work(self.office.port):
                    yield

    @property
    def is_at_work(self) -> bool:
        """Whether mail has come, and an operator, if there is one, has changed some of it."""
        has_changed = self.operator is None or self.operator.changed > 0
        return has_changed and self.ledger.totals.acknowledged >= LEAST_ACKNOWLEDGED

    async def drain(self) -> None:
        """Everything is released that waits, and that an operator has stopped."""
        if self.operator is None:
            await drain(self.office.port)
            return
        await self.operator.let_all_go()
        for domain in DOMAINS:
            await drain(self.office.port, domain=domain)

    def outcome(self, done: str) -> Outcome:
        """A run that is over. Raises AssertionError where its numbers are not as promised."""
        if self.operator is not None:
            assert self.operator.changed, "the operator has done nothing"
            done = f"{done}; {self.operator.changed:,} changes by an operator"
        return Outcome(checked(self), done)


@asynccontextmanager
async def stage(folder: Path, data: Path, *, operator: int | None = None) -> AsyncIterator[Stage]:
    """Sets the scene; the office is killed at the end, whatever happened, and its log added to a failure.

    `operator`: the seed of one who works there; None for nobody.
    """
    is_operated = operator is not None
    ledger = Ends() if is_operated else Ledger()
    async with Sink(ledger) as sink:
        office = Office(folder, data, sink.port, domains(sink.port) if is_operated else "")
        try:
            yield Stage(ledger, sink, office, None if operator is None else Operator(data, operator))
        except BaseException as error:
            error.add_note(f"{ledger.report()}\n--- log of the office\n{office.log()[-4000:]}")
            raise
        finally:
            office.kill()


async def release_later(port: int, seconds: float) -> None:
    """Tells the office to release its mail after a while, if it is still there then."""
    await asyncio.sleep(seconds)
    with suppress(OSError, EOFError):
        await etrn(port)


async def power_cuts(
    cuts: int, folder: Path, *, names: NameModel = "strict", operator: int | None = None, seed: int = 1
) -> Outcome:
    """Mail comes in, and in every second round also goes out; kill -9 at a random moment; the power is cut; start."""
    chance = random.Random(seed)
    with Forgetful(folder / "disk", names) as disk:
        async with stage(folder, disk.path / "data", operator=operator) as on:
            for cut in range(cuts):
                await on.office.started()
                if cut % SAME_SPOOL == SAME_SPOOL - 1:
                    await on.drain()
                await _load_and_kill(on, chance.uniform(0.03, 0.25), chance, is_releasing=cut % 2 == 1)
                disk.cut()
            await on.office.started()
            await on.drain()
    return on.outcome(f"{cuts} cuts, names as {names}")


async def kills(seconds: float, folder: Path, *, operator: int | None = None, seed: int = 2) -> Outcome:
    """Kill -9 after 50 to 500 ms of mail in and out, and a start, again and again for so many seconds; on a slow
    machine for some more, until there was anything to lose.
    """
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    async with stage(folder, folder / "data", operator=operator) as on:
        rounds = 0
        while time.monotonic() < end or (time.monotonic() < end + MORE_SECONDS and not on.is_at_work):
            await on.office.started()
            await _load_and_kill(on, chance.uniform(0.05, 0.5), chance, is_releasing=rounds % 2 == 1)
            rounds += 1
            if rounds % SAME_SPOOL == 0:
                await on.office.started()
                await on.drain()
                on.office.kill()
        await on.office.started()
        await on.drain()
    return on.outcome(f"{rounds} kills")


async def _load_and_kill(on: Stage, seconds: float, chance: random.Random, *, is_releasing: bool) -> None:
    async with on.load(chance.randrange(2**32)):
        if is_releasing:
            await asyncio.gather(release_later(on.office.port, seconds / 3), asyncio.sleep(seconds))
        else:
            await asyncio.sleep(seconds)
        on.office.kill()


async def ends(times: int, folder: Path, *, seed: int = 3, most_seconds: float = 10.0) -> Outcome:
    """SIGTERM while mail comes in and goes out: exit 0 in time, nothing lost, and nothing sent twice."""
    chance = random.Random(seed)
    slowest = 0.0
    async with stage(folder, folder / "data") as on:
        for _ in range(times):
            await on.office.started()
            async with Load(on.ledger, on.office.port, seed=chance.randrange(2**32), connections=6):
                seconds = chance.uniform(0.1, 0.6)
                await asyncio.gather(release_later(on.office.port, seconds / 2), asyncio.sleep(seconds))
                status, took = await on.office.terminate(STOP_SECONDS)
            slowest = max(slowest, took)
            assert (status, took <= most_seconds) == (0, True), f"exit status {status} after {took:.1f} s"
        await on.office.started()
        await drain(on.office.port)
    totals = checked(on)
    assert totals.duplicated == 0, on.ledger.report()
    return Outcome(totals, f"{times} ends, the slowest {slowest:.1f} s")


async def snapshots(count: int, folder: Path, *, seed: int = 4) -> Outcome:
    """A real ext4 under load is copied at a moment, as a power cut would leave it; the copy must hold all of then."""
    chance = random.Random(seed)
    totals = Totals()
    with Ext4(folder / "disk") as disk:
        async with stage(folder, disk.path / "data") as on:
            await on.office.started()
            for number in range(count):
                began = time.monotonic()
                async with Load(on.ledger, on.office.port, seed=chance.randrange(2**32), connections=6):
                    releasing = asyncio.create_task(release_later(on.office.port, chance.uniform(0, 0.4)))
                    await asyncio.sleep(chance.uniform(0.1, 0.5))
                    on.office.stand_still()
                    moment = time.monotonic()
                    known = {name for name, entry in on.ledger.entries.items() if entry.attempted >= began}
                    there = {name for name in known if on.ledger.entries[name].copies}
                    disk.copy(folder / "copy.img")
                    on.office.go_on()
                    await releasing
                totals += await _drained_copy(on.ledger.as_of(moment), known, there, folder, number)
                await drain(on.office.port)  # so that each copy has mail of its own
            await on.office.terminate(STOP_SECONDS)
    checked(on)
    return Outcome(totals, f"{count} snapshots")


async def _drained_copy(past: Ledger, known: set[str], there: set[str], folder: Path, number: int) -> Totals:
    """Starts an office on a copied disk and compares what it has with what was acknowledged at the copy's moment."""
    for name in set(past.entries) - known:
        del past.entries[name]
    for name in there:  # it had come out already; it may come out again
        past.entries[name].copies = 1
    at = folder / f"copy-{number}"
    with Ext4(at, folder / "copy.img") as disk:
        async with stage(folder / f"office-{number}", disk.path / "data") as on:
            on.sink.ledger = past
            await on.office.started()
            await drain(on.office.port)
            await on.office.terminate(STOP_SECONDS)
    assert past.ok, past.report()
    return past.totals


def checked(on: Stage) -> Totals:
    """The numbers of a run that is over. Raises AssertionError where they are not as promised."""
    assert on.ledger.ok, on.ledger.report()
    return on.ledger.totals
