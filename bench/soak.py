"""The long runs: what script/test does briefly to the real server, here for as long as it takes to believe it.

    script/soak                             every run, at its full length (more than an hour in all)
    script/soak kills ends                  only these
    script/soak power-cuts --count 5000     another length: cuts, faults, or what the run counts
    script/soak kills --minutes 30          another length, for runs that last a time
    script/soak --tenth --json totals.json  every run at a tenth of its length; the figures as JSON, too
    script/soak --list                      what there is

Each run ends at its first failure; the table at the end has Jepsen's numbers of all. The status is 0 when nothing was
lost and nothing made up. A further run is an entry of RUNS: a name, a length, and a function that gives an Outcome.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from bench import flood, fuzz, parsers
from bench.ledger import Totals
from bench.machine import RUN, description, durable_folder
from rich import box
from rich.console import Console
from rich.table import Table
from tests.crash import damage, faults, full, mounts, runs, states
from tests.crash.runs import Outcome
from tests.cuts import soak as cuts
from tests.delays import suite as delays
from tests.hostile import secrecy
from tests.web.conformance import api

FAULT_REACH_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Run:
    """One kind of run: what it does, how long it is, and why it cannot be done here ("" when it can)."""

    about: str
    full: int
    unit: str
    """What `full` counts; "seconds" is what --minutes changes."""
    play: Callable[[int, Path], Awaitable[Outcome]]
    lacking: Callable[[], str] = lambda: ""


@dataclass(frozen=True, slots=True)
class Played:
    """A run that is over. `failure` is "" where all was as promised, else what was not, or why it was not played."""

    name: str
    done: str
    totals: Totals
    seconds: float
    failure: str = ""


async def _faults_in_turn(count: int, folder: Path, *, operator: int | None = None) -> Outcome:
    given = list(faults.in_turn(range(1, count + 1), 1))
    return await faults.faults(given, folder, operator=operator, reach=FAULT_REACH_SECONDS)


async def _every_fault(count: int, folder: Path) -> Outcome:
    every = len(faults.CALLS) * len(faults.KINDS)
    given = list(faults.in_turn(range(1, count + 1), every))
    return await faults.faults(given, folder, reach=FAULT_REACH_SECONDS)


def _lacking_faults() -> str:
    return mounts.lacking_forgetful() or ("" if faults.strace() else "no strace (Debian package: strace)")


RUNS: dict[str, Run] = {
    "power-cuts": Run(
        "kill -9 and a power cut; names are safe once their folder is synced",
        *(1000, "cuts", lambda count, folder: runs.power_cuts(count, folder, names="strict")),
        lacking=mounts.lacking_forgetful,
    ),
    "power-cuts-ext4": Run(
        "the same; names are safe once any file is synced",
        *(1000, "cuts", lambda count, folder: runs.power_cuts(count, folder, names="ext4")),
        lacking=mounts.lacking_forgetful,
    ),
    "snapshots": Run(
        "a real ext4 is copied under load; the copy is checked, mounted and drained",
        *(100, "snapshots", runs.snapshots),
        lacking=mounts.lacking_ext4,
    ),
    "kills": Run("kill -9 after 50 to 500 ms of mail in and out", 120, "seconds", runs.kills),
    "faults": Run(
        "SIGKILL, EIO or ENOSPC at the N-th write, sync, rename or unlink, N = 1 to 300, kinds in turn; then a cut",
        *(300, "faults", _faults_in_turn),
        lacking=_lacking_faults,
    ),
    "every-fault": Run(
        "each of these 18 at every N from 1 to 40; then a cut",
        *(40, "numbers", _every_fault),
        lacking=_lacking_faults,
    ),
    "operated-cuts": Run(
        "power-cuts, and an operator sends mail back and elsewhere; some is too large for its link",
        *(500, "cuts", lambda count, folder: runs.power_cuts(count, folder, operator=10)),
        lacking=mounts.lacking_forgetful,
    ),
    "operated-kills": Run(
        "kills with the same operator",
        *(120, "seconds", lambda seconds, folder: runs.kills(seconds, folder, operator=11)),
    ),
    "operated-faults": Run(
        "faults with the same operator",
        *(150, "faults", lambda count, folder: _faults_in_turn(count, folder, operator=12)),
        lacking=_lacking_faults,
    ),
    "ends": Run("SIGTERM while mail comes in and goes out", 100, "ends", runs.ends),
    "damage": Run("one bit flips, or a file ends early: database, log, body files", 10_000, "damages", damage.damages),
    "states": Run(
        "a cut after each operation of the store, with subsets of the rest", 160, "subsets", states.every_cut
    ),
    "full-disk": Run(
        "a disk without room under the server", *(1000, "tries", full.full_disk), lacking=full.lacking_tmpfs
    ),
    "no-inodes": Run(
        "the same without inodes",
        *(1000, "tries", lambda count, folder: full.full_disk(count, folder, scarce="inodes")),
        lacking=full.lacking_tmpfs,
    ),
    "cuts-restante": Run("a release is cut after each octet, to restante", 4000, "cuts", cuts.cuts_to_restante),
    "cuts-tls": Run("the same under TLS", 2000, "cuts", cuts.cuts_by_tls),
    "cuts-large": Run("the same with messages of 1.3 MB, spread", 1000, "cuts", cuts.cuts_of_large_ones),
    "cuts-postfix": Run(
        "the same; Postfix is the site", 4000, "cuts", cuts.cuts_to_postfix, lacking=cuts.lacking_postfix
    ),
    "cuts-postfix-data": Run(
        "the same without CHUNKING", *(4000, "cuts", cuts.cuts_to_postfix_by_data), lacking=cuts.lacking_postfix
    ),
    "races": Run("ETRN against arrivals, failing releases, restarts, kills", 10_000, "seeds", cuts.races),
    "flood": Run("1,000 silent strangers and 50 more a second; mail and a site get in", 60, "seconds", flood.flood),
    "drips": Run("strangers that send an octet in 10 s, in commands and content", 1000, "strangers", flood.drips),
    "etrns": Run("a site asks in 10 s, and hangs up; twice", 1000, "ETRNs", flood.etrns),
    "fuzz-wire": Run("mutated sessions over TCP, to all services", 50_000, "mutations", fuzz.wire),
    "fuzz-parsers": Run(
        "atheris on every parser and both engines", *(3000, "seconds", parsers.parsers), lacking=parsers.lacking
    ),
    "rights": Run(
        "ETRN and ATRN from who may not, in 60 forms; sites and their domains", 100_000, "tries", cuts.rights
    ),
    "api": Run("schemathesis on every route of the API: no 5xx, all as described", 500, "examples", api),
    "delays": Run("all tests, while threads and loops of all processes stop for moments", 3, "rounds", delays.suite),
    "secrecy": Run("ETRN of unknown and of others' domains takes one time", 2000, "samples", secrecy.times),
}


def _length(run: Run, given: argparse.Namespace) -> int:
    wanted: int | None = given.count
    if run.unit == "seconds":
        wanted = None if given.minutes is None else round(given.minutes * 60)
    if wanted is None:
        wanted = run.full // 10 if given.tenth else run.full
    return max(1, wanted)


def play(name: str, length: int) -> Played:
    """Plays one run to its end, in a folder of its own on a disk that keeps what is synced."""
    run = RUNS[name]
    if reason := run.lacking():
        return Played(name, "not run here", Totals(), 0.0, reason)
    durable_folder()
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=RUN))
    began = time.monotonic()
    try:
        outcome = uvloop.run(_awaited(run.play(length, folder)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other runs go on and the table shows it
        traceback.print_exc()
        return Played(name, f"failed; {folder} has the rest", Totals(), time.monotonic() - began, str(error))
    shutil.rmtree(folder, ignore_errors=True)
    failure = "" if outcome.totals.ok else "mail was lost or made up"
    return Played(name, outcome.done, outcome.totals, time.monotonic() - began, failure)


async def _awaited(running: Awaitable[Outcome]) -> Outcome:
    return await running


def show(played: Sequence[Played], console: Console) -> None:
    """The table."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("run", no_wrap=True)
    table.add_column("what was done")
    for heading in ("attempted", "acknowledged", "lost", "unexpected", "duplicated", "recovered", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in played:
        numbers = [f"{number:,}" for number in asdict(each.totals).values()]
        table.add_row(each.name, each.done, *numbers, f"{each.seconds:,.0f}")
    total = sum((each.totals for each in played), Totals())
    table.add_section()
    numbers = [f"{number:,}" for number in asdict(total).values()]
    table.add_row("all", "", *numbers, f"{sum(each.seconds for each in played):,.0f}")
    console.print(table)
    for each in played:
        if each.failure:
            console.print(f"{each.name}: {each.failure}", markup=False, highlight=False)


def write_json(played: Sequence[Played], file: Path) -> None:
    """The same for programs, with the machine and the time."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    data = {"machine": description(), "time": when, "runs": [asdict(each) for each in played]}
    file.write_text(json.dumps(data, indent=2) + "\n")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("script/soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(RUNS)} (default: all)")
    parser.add_argument("--count", type=int, help="length of runs that count something")
    parser.add_argument("--minutes", type=float, help="length of runs that last a time")
    parser.add_argument("--tenth", action="store_true", help="a tenth of the length that is not given")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--list", action="store_true", help="say what there is, and do nothing")
    given = parser.parse_args(argv)
    if unknown := [name for name in given.name if name not in RUNS]:
        parser.error(f"{', '.join(unknown)}: there is {', '.join(RUNS)}")
    return given


def main(argv: Sequence[str]) -> int:
    """Plays what is asked for; 0 all as promised, 1 not, 2 a mistake in the arguments."""
    given = _arguments(argv)
    console = Console() if sys.stdout.isatty() else Console(width=130)
    if given.list:
        for name, run in RUNS.items():
            console.print(f"{name:16} {run.full:>5} {run.unit:10} {run.about}", markup=False, highlight=False)
        return 0
    console.print(description(), highlight=False)
    played = []
    for name in given.name or RUNS:
        length = _length(RUNS[name], given)
        console.print(f"{name}: {length} {RUNS[name].unit}", highlight=False)
        played.append(play(name, length))
        console.print(f"  {played[-1].done}: {played[-1].totals}", markup=False, highlight=False)
    show(played, console)
    if given.json is not None:
        write_json(played, given.json)
    return int(any(each.failure for each in played))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
