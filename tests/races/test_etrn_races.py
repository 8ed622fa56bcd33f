"""ETRN against arrivals, releases that fail, restarts and kills, in every order that a seed makes of their steps."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.races import race
from tests.races.race import Race

from restante.release.run import Run
from restante.release.runs import Request
from restante.store.transaction import Transaction


async def play(seed: int, folder: Path) -> list[str]:
    """One seed, and what happened."""
    played = Race(seed, folder)
    await played.run()
    shutil.rmtree(folder / f"race-{seed}")
    return played.trace


async def first_failure(folder: Path, seeds: int = 150) -> int | None:
    """The first seed that fails."""
    for seed in range(seeds):
        try:
            await play(seed, folder / f"{seed}")
        except Exception:  # noqa: BLE001 - whatever it finds
            return seed
    return None


@pytest.mark.parametrize("hundred", range(5))
async def test_an_etrn_releases_all_that_was_safe_before_it(hundred: int, tmp_path: Path) -> None:
    """And nothing is lost, made up, or offered again after it was recorded: 500 seeds. A failure names its seed."""
    for seed in range(100 * hundred, 100 * hundred + 100):
        await play(seed, tmp_path)


async def test_a_seed_plays_the_same_again(tmp_path: Path) -> None:
    """What failed once can be looked at as often as need be; another seed is another story."""
    traces = [await play(seed, tmp_path / str(n)) for n, seed in enumerate((7, 7, 8))]
    assert traces[0] == traces[1] != traces[2]


async def test_a_seed_has_many_things_in_it(tmp_path: Path) -> None:
    """Else the promise would be easily kept."""
    told = "\n".join([line for seed in range(60) for line in await play(seed, tmp_path)])
    for what in (
        "Started",
        "Queued",
        "NothingWaiting",
        "hung up",
        "by a kill",
        "patiently",
        "are not taken",
        " offers ",
    ):
        assert told.count(what) > 3, what


async def test_joining_a_release_too_late_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an ETRN were told that what runs already is for it, too."""
    monkeypatch.setattr(Request, "is_joinable", property(lambda self: self.run is None or not self.run.is_stopped))
    monkeypatch.setattr(Run, "joined", lambda *_: None)
    assert await first_failure(tmp_path) is not None


async def test_joining_a_release_that_has_failed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an ETRN joined one whose next hop was not there, in the moment before its end is known."""
    monkeypatch.setattr(Run, "has_begun", property(lambda self: self._feed.has_begun or self.is_stopped))
    assert await first_failure(tmp_path, seeds=1000) is not None


async def test_a_record_that_is_not_written_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If what was delivered were recorded in memory, and not on disk."""
    monkeypatch.setattr(race, "LONGEST", 0.5)
    monkeypatch.setattr(Transaction, "settle", lambda *_: None)
    assert await first_failure(tmp_path) is not None
