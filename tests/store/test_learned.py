"""What was learned of recipients outlives the process; a file that cannot be read or written costs nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import random
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from restante.clock import TurnedClock
from restante.directory.learned import Learned, Verdict
from restante.model import DomainName, Mailbox
from restante.store.book import BookUnusable
from restante.store.learned import DATABASE, RECALLED_AT_ONCE, WRITE_SECONDS, LearnedFile, LearnedKeeper, learned_of

TEST = DomainName("test.example")
ANNA, BERT = Mailbox("anna", TEST), Mailbox("bert", TEST)
DAY = 86_400.0


class Host:
    """One process: what it has learned, and how it keeps that."""

    def __init__(self, data: Path, clock: TurnedClock) -> None:
        self.clock = clock
        self.learned = Learned()
        self.complaints: list[str] = []
        self.keeper = LearnedKeeper(self.learned, data, clock, self.complaints.append)

    def refuses(self, mailbox: Mailbox) -> bool:
        """Whether it would."""
        return self.learned.is_unknown(mailbox, DAY, self.clock.wall())

    async def until(self, so: Callable[[], object]) -> None:
        """Lets seconds pass until it is so."""
        async with asyncio.timeout(60):
            while not so():
                await self.clock.turn(WRITE_SECONDS)
                await asyncio.sleep(0.005)


@asynccontextmanager
async def host(data: Path, clock: TurnedClock | None = None) -> AsyncIterator[Host]:
    """A process from its start to its orderly end."""
    made = Host(data, clock or TurnedClock())
    made.keeper.start()
    yield made
    await made.keeper.stop()


async def test_what_was_learned_is_there_at_the_next_start(tmp_path: Path) -> None:
    """With its age: what was over by then is not refused; what the clock has left in the future is not either."""
    clock = TurnedClock()
    async with host(tmp_path, clock) as first:
        first.learned.refused(ANNA, clock.wall())
        first.learned.taken(BERT, clock.wall())
    clock.jump(DAY - 10)
    async with host(tmp_path, clock) as second:
        await second.until(lambda: len(second.learned) == 2)
        assert second.refuses(ANNA)
        assert not second.refuses(BERT)
        await clock.turn(20)
        assert not second.refuses(ANNA)
    clock.jump(-10 * 365 * DAY)
    async with host(tmp_path, clock) as third:
        third.learned.refused(Mailbox("new", TEST), clock.wall())
        await third.until(lambda: "new" in learned_of(tmp_path, TEST))
        assert len(third.learned) == 1
    assert stat.S_IMODE((tmp_path / DATABASE).stat().st_mode) == 0o600


async def test_it_is_written_within_a_second_and_seen_by_others(tmp_path: Path) -> None:
    """Many at once; what is forgotten is gone there too."""
    async with host(tmp_path) as made:
        now = made.clock.wall()
        for number in range(RECALLED_AT_ONCE + 7):
            made.learned.refused(Mailbox(f"u{number}", TEST), now)
        made.learned.taken(ANNA, now + 1)
        await made.until(lambda: len(learned_of(tmp_path, TEST)) == RECALLED_AT_ONCE + 8)
        assert learned_of(tmp_path, TEST)["anna"] == Verdict(is_unknown=False, since=now + 1)
        assert learned_of(tmp_path, TEST)["u7"] == Verdict(is_unknown=True, since=now)
        assert learned_of(tmp_path, DomainName("other.example")) == {}
        made.clock.jump(DAY)
        assert not made.refuses(Mailbox("u7", TEST))
        await made.until(lambda: "u7" not in learned_of(tmp_path, TEST))
    async with host(tmp_path) as again:
        await again.until(lambda: len(again.learned) == RECALLED_AT_ONCE + 7)
        assert again.refuses(Mailbox("u8", TEST))


def test_a_file_that_is_only_just_being_made_has_nothing(tmp_path: Path) -> None:
    """Who asks in that moment is told so, and not that it cannot be used."""
    (tmp_path / DATABASE).touch()
    assert learned_of(tmp_path, TEST) == {}


async def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    """Whatever is in it; it is told, once."""
    for damage in (b"no database at all, and long enough to be looked at" * 100, b""):
        (tmp_path / DATABASE).write_bytes(damage)
        if damage:
            with pytest.raises(BookUnusable, match="not a database"):
                learned_of(tmp_path, TEST)
        async with host(tmp_path) as made:
            made.learned.refused(ANNA, made.clock.wall())
        assert "anna" in learned_of(tmp_path, TEST)
        (complaint,) = made.complaints
        assert "learned.db: what was learned of recipients is forgotten: " in complaint


async def test_a_fallen_bit_refuses_nobody_else(tmp_path: Path) -> None:
    """Nor does it make anybody known: what is recalled was learned, and if some of it is not, that is told."""
    async with host(tmp_path) as made:
        for number in range(40):
            made.learned.refused(Mailbox(f"u{number}", TEST), made.clock.wall())
            made.learned.taken(Mailbox(f"k{number}", TEST), made.clock.wall())
    written = learned_of(tmp_path, TEST)
    assert len(written) == 80
    whole, chance = (tmp_path / DATABASE).read_bytes(), random.Random(6)
    told = 0
    for _ in range(150):
        place = chance.randrange(len(whole))
        flipped = bytes([whole[place] ^ 1 << chance.randrange(8)])
        (tmp_path / DATABASE).write_bytes(whole[:place] + flipped + whole[place + 1 :])
        file = LearnedFile(tmp_path)
        found = {local: verdict for portion in file.load() for (_, local), verdict in portion}
        file.close()
        assert found.items() <= written.items()
        assert len(found) == 80 or file.lost
        told += bool(file.lost)
    assert told > 20


async def test_a_file_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    """What it says may mean something else."""
    async with host(tmp_path) as made:
        made.learned.refused(ANNA, made.clock.wall())
    with contextlib.closing(apsw.Connection(str(tmp_path / DATABASE))) as connection:
        connection.pragma("user_version", 99)
    async with host(tmp_path) as made:
        await made.until(lambda: made.complaints)
        assert "it has version 99; this restante knows 2" in made.complaints[0]
        made.learned.refused(BERT, made.clock.wall())
    assert learned_of(tmp_path, TEST).keys() == {"bert"}


async def test_what_cannot_be_kept_is_complained_of_once(tmp_path: Path) -> None:
    """And holds all the same, until this process ends."""
    async with host(tmp_path / "missing") as made:
        made.learned.refused(ANNA, made.clock.wall())
        await made.until(lambda: made.complaints)
        made.learned.refused(BERT, made.clock.wall())
        await made.clock.turn(5 * WRITE_SECONDS)
        assert made.refuses(ANNA)
    (complaint,) = made.complaints
    assert "learned.db: what is learned of recipients is not kept" in complaint
    assert learned_of(tmp_path / "missing", TEST) == {}
