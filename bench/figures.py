"""Figures: what one run measured, and what several runs of both offices come to."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

RESTANTE, POSTFIX = "restante", "Postfix"
UNITS = {"K": 1024, "M": 1024 * 1024}


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. `cpu` is the office's processor time, `other_cpu` that of the load or the sink; seconds."""

    messages: int
    seconds: float
    cpu: float
    other_cpu: float
    memory: float
    """Megabytes resident at the peak."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cpu_each(self) -> float:
        """Milliseconds of the office's processor time for one message."""
        return 1000 * self.cpu / self.messages

    @property
    def other_each(self) -> float:
        """Milliseconds of the load's or sink's processor time for one message."""
        return 1000 * self.other_cpu / self.messages


@dataclass(slots=True)
class Line:
    """One line of the report: one kind of work at one size, and the runs of each office."""

    work: str
    size: int
    way: str
    goal: float | None = None
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def add(self, office: str, sample: Sample) -> None:
        """One more run."""
        self.samples.setdefault(office, []).append(sample)

    def rate(self, office: str) -> float | None:
        """The median of an office's rates; None where it did not run."""
        runs = self.samples.get(office)
        return statistics.median(run.rate for run in runs) if runs else None

    def cpu_each(self, office: str) -> float | None:
        """The median of its processor time for one message, in milliseconds."""
        runs = self.samples.get(office)
        return statistics.median(run.cpu_each for run in runs) if runs else None

    @property
    def ratio(self) -> float | None:
        """How many times as fast restante is, medians compared."""
        ours, theirs = self.rate(RESTANTE), self.rate(POSTFIX)
        return ours / theirs if ours and theirs else None


def parse_size(text: str) -> int:
    """`4K`, `5M` or `4096` in octets. Raises ValueError."""
    unit = UNITS.get(text[-1:].upper())
    size = int(text[:-1]) * unit if unit else int(text)
    if size < 512:
        raise ValueError(f"{text} is too small for a message")
    return size


def write_size(size: int) -> str:
    """Octets as they are typed: `4K`."""
    for letter, unit in reversed(UNITS.items()):
        if size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)
