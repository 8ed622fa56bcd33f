"""The report: a table for people, and the same as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.figures import POSTFIX, RESTANTE, Line, write_size
from bench.machine import description
from rich import box
from rich.console import Console
from rich.table import Table


def show(lines: Sequence[Line], console: Console) -> None:
    """Prints all lines: messages a second (median, and least to most), the ratio, processor time for one message."""
    table = Table(title="messages a second: median (least to most)", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("work", no_wrap=True)
    for heading in (RESTANTE, POSTFIX, "ratio", "goal", "cpu ms each:\nrestante", "\nPostfix", "\nload or sink"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            f"{line.work} {write_size(line.size)} {line.way}",
            _rate(line, RESTANTE),
            _rate(line, POSTFIX),
            "" if line.ratio is None else f"{line.ratio:.1f}x",
            "" if line.goal is None else f"{line.goal:g}x",
            _cpu(line, RESTANTE),
            _cpu(line, POSTFIX),
            " / ".join(f"{runs[-1].other_each:.2f}" for runs in line.samples.values()),
        )
    console.print(table)


def _rate(line: Line, office: str) -> str:
    runs, median = line.samples.get(office), line.rate(office)
    if not runs or median is None:
        return "-"
    rates = [run.rate for run in runs]
    digits = 0 if median >= 100 else 1
    if len(rates) == 1:
        return f"{median:,.{digits}f}"
    return f"{median:,.{digits}f} ({min(rates):,.{digits}f} to {max(rates):,.{digits}f})"


def _cpu(line: Line, office: str) -> str:
    each = line.cpu_each(office)
    return "-" if each is None else f"{each:.2f}"


def write_json(lines: Sequence[Line], file: Path) -> None:
    """Every run of every line, with the machine and the time."""
    data = {
        "machine": description(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "lines": [
            {**asdict(line), "restante": line.rate(RESTANTE), "postfix": line.rate(POSTFIX), "ratio": line.ratio}
            for line in lines
        ],
    }
    file.write_text(json.dumps(data, indent=2) + "\n")
