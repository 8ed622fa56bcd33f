"""Benchmarks: restante and Postfix in the same run, as offices that hold mail, both durable.

    script/bench                                    both
    script/bench ingest --sizes 4K --runs 5         mail in
    script/bench drain --ways chunking --json FILE  mail out
    script/bench grow                               what a large spool costs; restante alone (grow --help)

The runs of the two alternate, so that what else happens on the machine hits both. docs/performance.md says what the
figures mean.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import drain, grow, ingest, load, report, sink
from bench.figures import POSTFIX, RESTANTE, Line, Sample, parse_size, write_size
from bench.machine import BenchError, description, durable_folder
from bench.servers import Office, Postfix, Restante, Storeless, postfix_root
from rich.console import Console

OFFICES: dict[str, Callable[[int], Office]] = {RESTANTE: Restante, POSTFIX: Postfix}
ALL_OFFICES = OFFICES | {"storeless": Storeless}
SIZES = "4K,200K,5M"


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of work, and the ways in which it is done; the first is the main one, and the only one for large mail."""

    name: str
    measure: Callable[..., Sample]
    ways: tuple[str, ...]
    goals: dict[tuple[str, int], float]


WORKS = {
    "ingest": Work("ingest", ingest.measure, load.WAYS, ingest.GOALS),
    "drain": Work("drain", drain.measure, sink.KINDS, drain.GOALS),
}


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("script/bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", nargs="?", choices=[*WORKS, "all"], default="all")
    parser.add_argument("--sizes", default=SIZES, help=f"sizes of messages (default: {SIZES})")
    parser.add_argument("--ways", default="", help=f"of {','.join((*load.WAYS, *sink.KINDS))} (default: all)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each office and line (default: 3)")
    parser.add_argument("--messages", type=int, help="messages in a run (default: by size)")
    parser.add_argument("--connections", type=int, default=20, help="connections of the load (default: 20)")
    parser.add_argument("--only", choices=[*ALL_OFFICES], help="measure one office alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    return parser.parse_args(argv)


def _lines(given: argparse.Namespace) -> list[Line]:
    """Which lines are asked for. Raises BenchError."""
    try:
        sizes = [parse_size(text) for text in given.sizes.split(",")]
    except ValueError as error:
        raise BenchError(f"--sizes: {error}") from None
    wanted = set(filter(None, given.ways.split(",")))
    if unknown := wanted - {*load.WAYS, *sink.KINDS}:
        raise BenchError(f"--ways: {', '.join(sorted(unknown))} is none of {', '.join((*load.WAYS, *sink.KINDS))}")
    works = list(WORKS.values()) if given.work == "all" else [WORKS[given.work]]
    lines = [
        Line(work.name, size, way, work.goals.get((way, size)))
        for work in works
        for size in sizes
        for way in work.ways
        if (way in wanted if wanted else size == sizes[0] or way == work.ways[0])
    ]
    if not lines:
        raise BenchError(f"{given.work} has none of these ways: {given.ways}")
    return lines


def _measure(line: Line, given: argparse.Namespace, console: Console) -> None:
    messages = given.messages or ingest.messages_of(line.size)
    for run in range(given.runs):
        for name in [given.only] if given.only else OFFICES:
            sample = WORKS[line.work].measure(
                ALL_OFFICES[name], line.way, line.size, messages=messages, connections=given.connections
            )
            line.add(name, sample)
            console.print(
                f"{line.work} {write_size(line.size)} {line.way}, run {run + 1}: {name} {sample.rate:,.0f}/s, "
                f"cpu {sample.cpu_each:.2f} ms each, {sample.memory:.0f} MB",
                highlight=False,
            )


def main(argv: Sequence[str]) -> int:
    """Runs what is asked for; 0 done, 1 could not, 2 a mistake in the arguments."""
    if argv[:1] == ["grow"]:
        return grow.main(argv[1:])
    given = _arguments(argv)
    console = Console() if sys.stdout.isatty() else Console(width=130)
    complaints = Console(stderr=True)
    try:
        lines = _lines(given)
    except BenchError as error:
        complaints.print(str(error), highlight=False)
        return 2
    try:
        durable_folder()
        postfix_root()  # smtp-source and smtp-sink are its, too
        console.print(description(), highlight=False)
        for line in lines:
            _measure(line, given, console)
    except BenchError as error:
        complaints.print(str(error), highlight=False, markup=False)
        return 1
    report.show(lines, console)
    if given.json is not None:
        report.write_json(lines, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
