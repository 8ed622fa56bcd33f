"""A damaged spool sends nothing altered and hides nothing; a few hundred of the soak's damages."""

from __future__ import annotations

from pathlib import Path

from tests.crash.damage import flips


async def test_damage_anywhere_is_noticed_and_touches_nothing_else(tmp_path: Path) -> None:
    """Single bits and early ends, in the database, its log and the body files."""
    ends = await flips(300, tmp_path)
    assert sum(ends.values()) == 300
    assert min(ends["unharmed"], ends["one quarantined"], ends["refused"]) > 10, ends
