"""The long run: all tests, with delays in every process (sitecustomize.py)."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from bench.ledger import Totals
from tests.crash.runs import Outcome
from tests.here import CHECKOUT

WORKERS = 5
"""They sleep much, so there are more than script/test has."""
TIMEOUT_SECONDS = 900
LAST_LINES = 200


async def suite(rounds: int, folder: Path) -> Outcome:
    """So many runs of it. Raises AssertionError with the end of what pytest said where a test fails."""
    here = str(Path(__file__).parent)
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    for number in range(1, rounds + 1):
        said = folder / f"pytest-{number}.log"
        with said.open("wb") as log:
            pytest = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "pytest", "-q", "-n", str(WORKERS), "--dist", "loadfile"),
                *("--no-loadscope-reorder", "--timeout", str(TIMEOUT_SECONDS)),
                cwd=CHECKOUT,
                env={**os.environ, "PYTHONPATH": path},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            status = await pytest.wait()
        assert status == 0, "\n".join(said.read_text(errors="replace").splitlines()[-LAST_LINES:])
    return Outcome(Totals(), f"{rounds} runs of the suite")
