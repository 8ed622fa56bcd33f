"""The real server is killed, ended, cut off from power and given a failing disk, while mail comes in and goes out.

Short runs of what script/soak does for long (docs/reliability.md). Each fails by itself where an acknowledged message
is missing or altered, or where something comes out that was never tried.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.crash import faults, mounts, runs
from tests.crash.mounts import NameModel
from tests.crash.runs import Outcome
from tests.here import not_here

pytestmark = pytest.mark.timeout(300)  # a busy machine makes them longer


def need(reason: str) -> None:
    """Ends the test where there is a reason why it cannot run here."""
    if reason:
        not_here(reason)


def assert_much_happened(outcome: Outcome, messages: int) -> None:
    """Nothing lost, nothing made up, and not because nothing was tried."""
    print(outcome.done, outcome.totals)
    assert outcome.totals.ok, outcome
    assert outcome.totals.acknowledged >= messages, outcome


@pytest.mark.parametrize("names", ["strict", "ext4"])
async def test_what_was_acknowledged_survives_power_cuts(names: NameModel, tmp_path: Path) -> None:
    """Twenty-five with each model of names: kill -9 at any moment, and what was not synced is gone."""
    need(mounts.lacking_forgetful())
    assert_much_happened(await runs.power_cuts(25, tmp_path, names=names), 50)


async def test_what_was_acknowledged_is_in_a_copy_of_a_disk_in_use(tmp_path: Path) -> None:
    """Three copies of a real ext4 under load: each is checked, mounted, and has all that was known at its moment."""
    need(mounts.lacking_ext4())
    assert_much_happened(await runs.snapshots(3, tmp_path), 20)


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """After 50 to 500 ms of mail, again and again for six seconds."""
    assert_much_happened(await runs.kills(6, tmp_path), 20)


async def test_an_operators_changes_and_what_is_too_large_survive_kill_9(tmp_path: Path) -> None:
    """Sent back, sent elsewhere, frozen as it comes: a message has one end, and one notice where it is to have it."""
    outcome = await runs.kills(2, tmp_path, operator=11)
    assert_much_happened(outcome, 10)


async def test_no_250_for_what_a_failing_disk_did_not_take(tmp_path: Path) -> None:
    """SIGKILL, EIO and ENOSPC at the N-th write, sync, rename, unlink; once a sync has failed nothing is accepted."""
    need(mounts.lacking_forgetful() or ("" if faults.strace() else "no strace (Debian package: strace)"))
    assert_much_happened(await faults.faults(list(faults.in_turn(range(1, 19, 2), 2)), tmp_path, reach=0.7), 50)


async def test_sigterm_under_load_loses_nothing_and_sends_nothing_twice(tmp_path: Path) -> None:
    """Five times, each with exit status 0."""
    assert_much_happened(await runs.ends(5, tmp_path, most_seconds=60), 20)
