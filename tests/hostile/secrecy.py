"""Can somebody tell by the time it takes which domains an office holds? Times over TCP from a real one, compared.

Two samples are of one distribution by the test of Kolmogorov and Smirnov, or they are not. That takes a machine with
nothing else to do: script/soak has it; script/test counts the work instead (test_etrn_secrecy.py).
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from bench.ledger import Totals
from tests.crash.runs import Outcome
from tests.hostile.attack import connect
from tests.hostile.office import AttackedOffice, started

ALIKE = [
    ("foreign.example", "fareign.example"),
    ("@foreign.example", "@fareign.example"),
    ("below.foreign.example", "belaw.foreign.example"),
    ("#strangers", "#strungers"),
    ("xn--bcher-kva.example", "xn--bchel-kva.example"),
    ("held.example", "heid.example"),
    ("local.example", "locol.example"),
]
"""What is known here, as it is to nobody but its site; and what is not."""
STRANGER = "127.50.50.50"
ROUNDS = 3
"""By chance alone one round in a hundred finds a difference; a true one is found in all."""
ON_ONE_CONNECTION = 50
"""Questions for each of two nodes: a session bears no more than 200 refusals."""


def difference(one: Sequence[float], other: Sequence[float]) -> float:
    """The probability that two samples of one distribution differ as much as these (Kolmogorov, Smirnov)."""
    ones, others = sorted(one), sorted(other)
    at_one = at_other = 0
    most = 0.0
    while at_one < len(ones) and at_other < len(others):
        value = min(ones[at_one], others[at_other])
        while at_one < len(ones) and ones[at_one] <= value:
            at_one += 1
        while at_other < len(others) and others[at_other] <= value:
            at_other += 1
        most = max(most, abs(at_one / len(ones) - at_other / len(others)))
    size = math.sqrt(len(ones) * len(others) / (len(ones) + len(others)))
    reach = (size + 0.12 + 0.11 / size) * most
    terms = ((-1) ** (k - 1) * math.exp(-2 * k * k * reach * reach) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * sum(terms))) if reach > 0.2 else 1.0


def _seconds(connection: socket.socket, line: bytes) -> float:
    """How long one reply takes."""
    began = time.perf_counter()
    connection.sendall(line)
    heard = connection.recv(512)
    took = time.perf_counter() - began
    assert heard.startswith(b"459 "), heard
    return took


def _sampled(
    office: AttackedOffice, known: str, unknown: str, samples: int, chance: random.Random
) -> tuple[list[float], list[float]]:
    """The times of both, asked in turns and in an order left to chance: what else goes on here, goes on for both."""
    lines = {known: f"ETRN {known}\r\n".encode(), unknown: f"ETRN {unknown}\r\n".encode()}
    times: dict[str, list[float]] = {known: [], unknown: []}
    while len(times[known]) < samples:
        with connect(office.port, STRANGER) as connection:
            connection.recv(512)
            for line in lines.values():
                _seconds(connection, line)
            for _ in range(ON_ONE_CONNECTION):
                for node in chance.sample([known, unknown], 2):
                    times[node].append(_seconds(connection, lines[node]))
    return times[known], times[unknown]


def check_times(office: AttackedOffice, samples: int, chance: random.Random) -> None:
    """No pair of ALIKE can be told apart at one in a hundred, in each of ROUNDS."""
    for known, unknown in ALIKE:
        found: list[float] = []
        while len(found) < ROUNDS:
            found.append(difference(*_sampled(office, known, unknown, samples, chance)))
            if found[-1] > 0.01:
                break
        assert found[-1] > 0.01, f"{known} and {unknown} can be told apart: {found}"


async def times(count: int, folder: Path) -> Outcome:
    """Samples of every pair, from an office that serves nobody else."""

    def play() -> None:
        with started(folder / "office") as office:
            check_times(office, count, random.Random(25))

    await asyncio.to_thread(play)
    return Outcome(Totals(), f"{count} samples of each of {2 * len(ALIKE)} nodes")
