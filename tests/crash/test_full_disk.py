"""The real server on a disk that is full, and on one that has no inodes left; short runs of the soak's."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.crash import full
from tests.here import not_here


@pytest.mark.parametrize("scarce", ["octets", "inodes"])
async def test_a_full_disk_refuses_mail_and_loses_none(scarce: full.Scarce, tmp_path: Path) -> None:
    """452 4.3.1 at MAIL or after the content, never a 250 for what is not there; and mail again once there is space."""
    if reason := full.lacking_tmpfs():
        not_here(reason)
    outcome = await full.full_disk(25, tmp_path, scarce=scarce, most_seconds=60)
    print(outcome.done, outcome.totals)
    assert outcome.totals.acknowledged >= 10, outcome
    assert outcome.totals.attempted - outcome.totals.acknowledged >= 2, outcome
