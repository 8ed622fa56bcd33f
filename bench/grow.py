"""Cost as it grows: a spool of very many items for very many domains, against the goals, and against an empty one.

    script/bench grow                                  1,000,000 items of 1 KB for 100,000 domains
    script/bench grow --items 3000000 --where file     three times as many; the domains in the file, not in the store

First as many domains are imported into an empty store. Then one spool is filled, and started again and again. What is
measured, in order: the import; start to `ready` after a clean stop and after kill -9 under load; memory; the answer to
ETRN, over one connection and over new ones, while the releases before run into a closed port; the longest that another
session waits while one ETRN means a third of all domains; the listing of all domains on the control socket; mail in, in
turn with an office whose spool is empty.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from bench import load
from bench.figures import parse_size
from bench.grown import ABOVE, IN_FILE, IN_STORE, GrownOffice, domain_name, fill
from bench.ledger import reply
from bench.machine import BenchError, description, durable_folder, fresh_folder
from rich import box
from rich.console import Console
from rich.table import Table

ASKED = 1000
LISTINGS = 5
PING_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure must not exceed (or, `is_least`, must reach)."""

    name: str
    limit: float
    unit: str
    is_least: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a value will do."""
        return value >= self.limit if self.is_least else value <= self.limit


GOALS = (
    Goal("import of all domains", 60.0, "s"),
    Goal("start after a clean stop", 1.0, "s"),
    Goal("start after kill -9", 1.0, "s"),
    Goal("memory, server and writer", 500, "MB"),
    Goal("ETRN, one connection, p99", 10, "ms"),
    Goal("ETRN, new connections, p99", 10, "ms"),
    Goal("another session during a large ETRN", 20, "ms"),
    Goal("listing of all domains", 200, "ms"),
    Goal("4 KB in, of an empty spool", 80, "%", is_least=True),
)


@dataclass(slots=True)
class Figures:
    """What was measured, by the goals' names; of each the runs."""

    runs: dict[str, list[float]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, name: str, value: float) -> None:
        """One more run."""
        assert any(goal.name == name for goal in GOALS), name
        self.runs.setdefault(name, []).append(value)

    def value(self, name: str) -> float | None:
        """The median of the runs; None where there was none."""
        return statistics.median(self.runs[name]) if self.runs.get(name) else None


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which so large a part of the values lies: of a hundred, 0.99 gives the last but one."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(part * len(ordered)) - 1))]


def milliseconds(seconds: float) -> float:
    """The same in milliseconds."""
    return 1000 * seconds


# ETRN


async def _open(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reply(reader)
    writer.write(b"EHLO site.example\r\n")
    await reply(reader)
    return reader, writer


async def _answer_time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, node: str) -> float:
    """Seconds from an ETRN to its answer. Raises BenchError where that is not positive."""
    began = time.perf_counter()
    writer.write(f"ETRN {node}\r\n".encode())
    answer = await reply(reader)
    took = time.perf_counter() - began
    if not answer.startswith("25"):
        raise BenchError(f"ETRN {node}: {answer}")
    return took


async def ask_over_one(port: int, nodes: Sequence[str]) -> list[float]:
    """Seconds of each answer, over one connection."""
    reader, writer = await _open(port)
    times = [await _answer_time(reader, writer, node) for node in nodes]
    writer.close()
    return times


async def ask_over_new(port: int, nodes: Sequence[str]) -> list[float]:
    """The same, over a connection for each; only the answer's time counts."""
    times = []
    for node in nodes:
        reader, writer = await _open(port)
        times.append(await _answer_time(reader, writer, node))
        writer.close()
    return times


class Pinger:
    """A session that says NOOP again and again in a thread, and keeps the longest wait for an answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.recv(512)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ping)
        self.longest = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._socket.close()

    def _ping(self) -> None:
        while True:  # once at the least, however short the while is
            began = time.perf_counter()
            self._socket.sendall(b"NOOP\r\n")
            self._socket.recv(512)
            self.longest = max(self.longest, time.perf_counter() - began)
            if self._is_over.wait(PING_SECONDS):
                return


# the run


class Grow:
    """One run of everything. `say` gets a line for each step."""

    def __init__(self, given: argparse.Namespace, say: Callable[[str], None]) -> None:
        self._given = given
        self._say = say
        self._chance = random.Random(given.items)
        self.figures = Figures()

    def run(self) -> Figures:
        """All of it; the folders are gone afterwards."""
        grown_in, empty_in = fresh_folder("grown"), fresh_folder("grown-empty")
        try:
            self._importing(empty_in)
            self._measure(self._filled(grown_in / "office"), empty_in / "office")
        finally:
            if not self._given.keep:
                shutil.rmtree(grown_in)
            shutil.rmtree(empty_in)
        return self.figures

    def _importing(self, folder: Path) -> None:
        for number in range(self._given.runs):
            took = GrownOffice(folder / f"import-{number}", 0, IN_STORE).import_domains(self._given.domains)
            self.figures.add("import of all domains", took)
            self._say(f"restante domain import: {self._given.domains:,} domains in {took:.1f} s")

    def _filled(self, folder: Path) -> GrownOffice:
        given = self._given
        office = GrownOffice(folder, given.domains, given.where)
        took = asyncio.run(fill(office.data / "spool", items=given.items, domains=given.domains, size=given.size))
        megabytes = office.octets() / 1e6
        self._remark(
            f"{given.items:,} items for {given.domains:,} domains, entries in the {given.where}: {megabytes:,.0f} MB, "
            f"filled at {given.items / took:,.0f}/s"
        )
        return office

    def _remark(self, text: str) -> None:
        self.figures.remarks.append(text)
        self._say(text)

    def _measure(self, office: GrownOffice, empty_folder: Path) -> None:
        given = self._given
        for _ in range(given.runs):
            with self._started(office, "start after a clean stop"):
                pass
        with self._started(office, "start after a clean stop"):
            self._listing(office)
            self._asking(office)
            self._large_asking(office)
            now, peak = office.memory()
            self.figures.add("memory, server and writer", peak)
            self._remark(f"memory: {now:,.0f} MB at the end, {peak:,.0f} MB at the peak")
        self._ingest(office, GrownOffice(empty_folder, given.domains, given.where))
        for _ in range(given.runs):
            office.start()
            load.send("pipelined", office.port, messages=4000, size=4096, connections=20)
            office.kill()
            with self._started(office, "start after kill -9"):
                pass

    @contextmanager
    def _started(self, office: GrownOffice, name: str) -> Iterator[None]:
        try:
            took = office.start()
            self.figures.add(name, took)
            self._say(f"{name}: ready after {took:.2f} s, {office.memory()[0]:.0f} MB (load {os.getloadavg()[0]:.1f})")
            yield
            office.stop()
        except BaseException:
            office.kill()
            raise

    def _nodes(self) -> list[str]:
        return [domain_name(self._chance.randrange(self._given.domains)) for _ in range(ASKED)]

    def _asking(self, office: GrownOffice) -> None:
        for name, ask in (("one connection", ask_over_one), ("new connections", ask_over_new)):
            for _ in range(self._given.runs):
                times = asyncio.run(ask(office.port, self._nodes()))
                median, last, most = (milliseconds(percentile(times, part)) for part in (0.5, 0.99, 1.0))
                self.figures.add(f"ETRN, {name}, p99", last)
                self._say(f"ETRN, {name}: median {median:.2f} ms, p99 {last:.2f} ms, longest {most:.2f} ms")

    def _large_asking(self, office: GrownOffice) -> None:
        for _ in range(self._given.runs):
            time.sleep(1)  # what was asked for before has failed by then, or goes on beside it
            with Pinger(office.port) as pinger:
                [took] = asyncio.run(ask_over_one(office.port, [f"@big.{ABOVE}"]))
            self.figures.add("another session during a large ETRN", milliseconds(pinger.longest))
            self._say(f"ETRN @big.{ABOVE}: {took:.2f} s, others waited {milliseconds(pinger.longest):.1f} ms at most")

    def _listing(self, office: GrownOffice) -> None:
        for _ in range(LISTINGS):
            began = time.perf_counter()
            answer = office.status()
            took = time.perf_counter() - began
            items = sum(domain.items for domain in answer.domains)
            if items < self._given.items or answer.domains_left_out:
                raise BenchError(f"the listing has {items} items, and leaves out {answer.domains_left_out} domains")
            self.figures.add("listing of all domains", milliseconds(took))
        self._say(f"listing of {len(answer.domains):,} domains: {milliseconds(took):.0f} ms")

    def _ingest(self, office: GrownOffice, empty: GrownOffice) -> None:
        for _ in range(self._given.runs):
            rates = []
            for each in (empty, office):
                each.start()
                sent = load.send(self._given.way, each.port, messages=self._given.messages, size=4096, connections=20)
                each.stop()
                rates.append(self._given.messages / sent.seconds)
            self.figures.add("4 KB in, of an empty spool", 100 * rates[1] / rates[0])
            self._say(f"4 KB in, {self._given.way}: {rates[1]:,.0f}/s, empty {rates[0]:,.0f}/s")


def show(figures: Figures, console: Console) -> None:
    """A line for each goal: the median of its runs, least and most, the goal, and whether it is met."""
    table = Table(title="cost as it grows: median (least to most)", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("figure", "measured", "goal", ""):
        table.add_column(heading, no_wrap=True)
    for goal in GOALS:
        if (value := figures.value(goal.name)) is None:
            continue
        runs = figures.runs[goal.name]
        measured = f"{value:.3g} {goal.unit} ({min(runs):.3g} to {max(runs):.3g})"
        limit = f"{'at least' if goal.is_least else 'at most'} {goal.limit:g} {goal.unit}"
        table.add_row(goal.name, measured, limit, "met" if goal.is_met(value) else "missed")
    console.print(table)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        "script/bench grow", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000, help="items in the spool (default: 1000000)")
    parser.add_argument("--domains", type=int, default=100_000, help="domains that they are for (default: 100000)")
    parser.add_argument("--size", type=parse_size, default=1024, help="octets of each (default: 1K)")
    parser.add_argument(
        "--where", choices=[IN_STORE, IN_FILE], default=IN_STORE, help=f"where the domains are (default: {IN_STORE})"
    )
    parser.add_argument("--runs", type=int, default=3, help="runs of each figure (default: 3)")
    parser.add_argument("--messages", type=int, default=10_000, help="messages in a run of mail in (default: 10000)")
    parser.add_argument("--way", choices=load.WAYS, default="kept", help="how mail comes in (default: kept)")
    parser.add_argument("--keep", action="store_true", help="leave the grown spool under run/bench/grown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Runs it; 0 done, whether or not the goals were met; 1 could not."""
    given = arguments(argv)
    console = Console() if os.isatty(1) else Console(width=130)
    try:
        durable_folder()
        console.print(description(), highlight=False)
        figures = Grow(given, lambda text: console.print(text, highlight=False)).run()
    except BenchError as error:
        Console(stderr=True).print(str(error), highlight=False, markup=False)
        return 1
    show(figures, console)
    if given.json is not None:
        given.json.write_text(json.dumps({"machine": description(), **asdict(figures)}, indent=2) + "\n")
    return 0
