"""The power is cut after every single operation of the store, and any part of what was not synced is gone.

A short run of the soak's: every subset where there are few, some where there are many.
"""

from __future__ import annotations

from pathlib import Path

from tests.crash.states import every_cut


async def test_a_power_cut_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Nor does it bring back what has left, or show what was never accepted."""
    outcome = await every_cut(3, tmp_path)
    print(outcome.done)
