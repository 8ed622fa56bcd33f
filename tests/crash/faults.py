"""The N-th system call of each thread fails, or is the last: strace stands between the real server and the kernel.

    Fault("fdatasync", "EIO", 7)     the seventh fdatasync of every thread is not done, and says EIO
    Fault("rename", "KILL", 3)       SIGKILL at the third rename

A failed call never reaches the disk, so on a disk that forgets what it should have made safe is gone at the cut.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.ledger import SIZES, etrn
from tests.crash.mounts import Forgetful, NameModel
from tests.crash.office import START_SECONDS
from tests.crash.runs import Outcome, Stage, release_later, stage
from tests.here import PEERS
from tests.stories.peers import ENVIRONMENT

CALLS = {"write": "write", "pwrite64": "pwrite64", "fsync": "fsync", "fdatasync": "fdatasync"}
CALLS |= {"rename": "/^rename", "unlink": "/^unlink"}  # and renameat2, unlinkat: as strace wants them
KINDS = ("KILL", "EIO", "ENOSPC")
BODIES = ((50, 100, 2_000), (50, 66_000, 80_000))
"""Sizes for the calls that only large messages make."""
REACH_SECONDS = 1.5
"""How long mail comes in and out for a fault to strike; if it does not, power is cut all the same."""
AFTERWARDS_SECONDS = 0.15
SAME_SPOOL = 6
STORE_IS_BROKEN = "cannot be written"


def strace() -> list[str]:
    """The command, where there is one: an installed program, or the one that script/peers has unpacked."""
    if (installed := shutil.which("strace")) is not None:
        return [installed]
    if not (PEERS / "usr/bin/strace").exists():
        return []
    libraries = f"LD_LIBRARY_PATH={ENVIRONMENT['LD_LIBRARY_PATH']}"  # for strace alone: -E takes it away again
    return ["env", libraries, f"{PEERS}/usr/bin/strace", "-E", "LD_LIBRARY_PATH"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong: a call (a key of CALLS), KILL or an error's name, and at which time."""

    call: str
    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind} at {self.call} number {self.number}"

    def command(self, log: Path) -> list[str]:
        """What stands before the server's own command."""
        name = CALLS[self.call]
        how = "signal=KILL" if self.kind == "KILL" else f"error={self.kind}"
        injected = f"inject={name}:{how}:when={self.number}"
        return [*strace(), "-D", "-f", "--seccomp-bpf", "-qq", "-o", str(log), "-e", f"trace={name}", "-e", injected]


def in_turn(numbers: Sequence[int], each: int) -> Iterator[Fault]:
    """For every number so many faults, of all kinds in turn."""
    kinds = itertools.cycle(itertools.product(CALLS, KINDS))
    for number in numbers:
        for call, kind in itertools.islice(kinds, each):
            yield Fault(call, kind, number)


async def faults(
    given: Sequence[Fault],
    folder: Path,
    *,
    names: NameModel = "strict",
    operator: int | None = None,
    seed: int = 5,
    reach: float = REACH_SECONDS,
) -> Outcome:
    """For each fault: a start, mail in and out until it strikes; then kill -9 and a power cut. Compared at times."""
    chance = random.Random(seed)
    reached = 0
    with Forgetful(folder / "disk", names) as disk:
        async with stage(folder, disk.path / "data", operator=operator) as on:
            for number, fault in enumerate(given):
                log = folder / "strace.log"
                log.write_text("")
                if await on.office.start(*fault.command(log)):
                    await _until_it_strikes(on, fault, log, chance.randrange(2**32), reach)
                reached += _has_struck(fault, log, on)
                on.office.kill()
                disk.cut()
                if number % SAME_SPOOL == SAME_SPOOL - 1:
                    await on.office.started()
                    await on.drain()
                    assert on.ledger.ok, f"{fault}, or one of the {SAME_SPOOL} before it: {on.ledger.report()}"
                    on.office.kill()
                    disk.cut()
            await on.office.started()
            await on.drain()
    return on.outcome(f"{len(given)} faults, of which {reached} struck")


async def _until_it_strikes(on: Stage, fault: Fault, log: Path, seed: int, reach: float) -> None:
    """Mail in and out. Once the store is broken nothing is accepted; and the server answers, or has gone."""
    known = len(on.ledger.refusals)
    sizes = SIZES if fault.call in ("write", "pwrite64", "fdatasync") else BODIES
    end = time.monotonic() + reach
    async with on.load(seed, sizes):
        releasing = asyncio.create_task(_release_again_and_again(on.office.port))
        while not _has_struck(fault, log, on) and time.monotonic() < end:
            await asyncio.sleep(0.02)
        await asyncio.sleep(AFTERWARDS_SECONDS)
        releasing.cancel()
        if on.office.is_running:
            await _answers(on, fault)
    broken = [each for each in on.ledger.refusals[known:] if STORE_IS_BROKEN in each.reply]
    if broken:
        moment = min(each.moment for each in broken)
        late = [name for name, each in on.ledger.entries.items() if each.attempted > moment and each.acknowledged]
        assert not late, f"{fault}: the store was broken, and yet {len(late)} messages were accepted after that"


async def _release_again_and_again(port: int) -> None:
    while True:
        await release_later(port, 0.1)


async def _answers(on: Stage, fault: Fault) -> None:
    try:
        await asyncio.wait_for(etrn(on.office.port), 60)
    except TimeoutError:
        raise AssertionError(f"{fault}: it runs, and does not answer") from None
    except (OSError, EOFError):
        await _ends(on, fault)


async def _ends(on: Stage, fault: Fault) -> None:
    """It hung up, so it must be at its end."""
    end = time.monotonic() + START_SECONDS
    while on.office.is_running:
        assert time.monotonic() < end, f"{fault}: it runs, and does not talk"
        await asyncio.sleep(0.02)


def _has_struck(fault: Fault, log: Path, on: Stage) -> bool:
    return "(INJECTED)" in log.read_text(errors="replace") or (fault.kind == "KILL" and not on.office.is_running)
