"""A history that the disk has changed makes no mail older, and misses no contact that there was."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from tests.release.years import DAY, HELD, HOUR, RELAYED, SENDERS, Years

from restante.clock import TurnedClock
from restante.store.history import DATABASE


@pytest.fixture
async def years(tmp_path: Path) -> AsyncIterator[Years]:
    """A host whose site comes every day, for some days; mail waits that it does not take."""
    made = Years(tmp_path, entries=(HELD, RELAYED, SENDERS))
    await made.open()
    await made.wait(15 * HOUR)
    await made.mail()
    for _ in range(5):
        made.release()
        await made.wait(DAY)
    yield made
    await made.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE rows SET value = x'5b31' WHERE name LIKE 'contact %'",
        "UPDATE rows SET name = 'contact other.example' WHERE name LIKE 'contact %'",
        "UPDATE rows SET seal = x'00' WHERE name LIKE 'mark %'",
        "UPDATE rows SET value = x'ff' WHERE name = 'clock'",
    ],
)
async def test_of_a_contact_whose_row_is_damaged_nobody_is_told_that_it_was_missed(years: Years, damage: str) -> None:
    """What else the history says is not enough to say that: the site was there, and only that is not known any more."""
    years.release()
    await years.wait(HOUR)
    await years.close()
    with contextlib.closing(apsw.Connection(str(years.folder / DATABASE))) as connection:
        connection.execute(damage)
        assert connection.changes()
    years.clock = TurnedClock(years.clock.wall())
    await years.open()
    assert years.upkeep.lost == "a row is not as it was written"
    await years.round()
    await years.wait(2 * HOUR)
    assert years.late() == []
    assert years.expired() == []
