"""Mail that leaves by itself: a destination for each domain by MX, what is down, what is due, and clocks that jump."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.release.host import LATER, TAKEN, Host, ScriptedCarrier, eventually, host, local, relayed

from restante.clock import TurnedClock
from restante.directory.entries import EVERY_OTHER, Directory, Held, Relayed
from restante.facts import ItemDeferred, ReleaseEnded, ReleaseStarted
from restante.model import ByMx, DomainName, HostPort, Item, Mailbox
from restante.release import byself
from restante.transport.outcome import CarryEnd, Feed, Outcome, Report

BY_MX = Relayed(EVERY_OTHER, ByMx(), retry=(60.0, 300.0, 3600.0))
FAST, X, Y = "fast.example", "x.example", "y.example"
DAY = 86_400.0


class Dead(ScriptedCarrier):
    """A host that is not there: it is dialled for half a minute."""

    def __init__(self, clock: TurnedClock) -> None:
        super().__init__()
        self._clock = clock

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:  # noqa: ARG002
        """In vain."""
        self.begun += 1
        await self._clock.sleep(30)
        return CarryEnd("no answer in 30 seconds")


def dead(made: Host, *names: str) -> None:
    """These are not there."""
    made.carriers.update((name, Dead(made.clock)) for name in names)


async def over(made: Host) -> None:
    """Until nothing runs, and it was looked when what is left is due."""
    await eventually(lambda: not len(made.releases._runs.register) and not made.releases._runs.by_itself._looking)


# a destination for each domain


async def test_by_mx_each_domain_is_released_by_itself(tmp_path: Path) -> None:
    """Each with a carrier, a number and an end of its own, named by the domain; also one with an entry of its own."""
    async with host(tmp_path, BY_MX, Relayed(FAST, ByMx())) as made:
        await made.mail(f"ann@{X}", f"bob@{Y}", f"cid@{FAST}")
        await over(made)
        assert sorted(view.domain for view in made.releases.views()) == [FAST, X, Y]
        assert sorted(made.carriers) == [FAST, X, Y]
        assert await made.items() == []


async def test_one_that_is_down_delays_no_other_and_counts_against_none(tmp_path: Path) -> None:
    """Its mail waits by the schedule of its entry; what comes for it meanwhile waits, too."""
    async with host(tmp_path, BY_MX) as made:
        made.carrier(X).takes, made.carrier(X).error = 0, "connection refused"
        await made.mail(f"ann@{X}")
        await over(made)
        for tries, wait in enumerate((60, 300, 3600, 3600), 1):
            await made.mail(f"bob@{Y}")
            await made.mail(f"cid@{X}")
            await over(made)
            await made.settles(wait - 1)
            assert made.carrier(X).begun == tries
            await made.settles(1)
            await over(made)
        assert made.carrier(X).begun == 5
        assert len(made.carrier(Y).drawn) == 4
        made.carrier(X).takes, made.carrier(X).error = None, ""
        await made.settles(3600)
        await over(made)
        assert await made.items() == []


async def test_what_is_deferred_waits_by_the_schedule_of_its_entry(tmp_path: Path) -> None:
    """Item by item."""
    async with host(tmp_path, BY_MX) as made:
        made.carrier(X).says = lambda *_: LATER
        await made.mail(f"ann@{X}")
        await over(made)
        for tries, wait in enumerate((60, 300, 3600, 3600), 1):
            await made.settles(wait - 2)
            assert len(made.carrier(X).drawn) == tries
            await made.settles(2)
            await over(made)
        assert len(made.carrier(X).drawn) == 5


async def test_what_waits_at_start_leaves_by_its_own_destination_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, everybody else has a turn between a few of them."""
    monkeypatch.setattr(byself, "WOKEN_A_TURN", 10)
    async with host(tmp_path, BY_MX) as made:
        names = [f"d{number}.example" for number in range(95)]
        await made.mail(*[f"ann@{name}" for name in names], arrives=False)
        made.releases.wake_all()
        assert len(made.releases.views()) == 10
        made.releases.wake_all()  # the directory has changed again: it begins anew
        await eventually(lambda: len(made.told(ReleaseEnded)) == 95)
        assert await made.items() == []
        assert sorted(made.carriers) == sorted(names)


async def test_a_look_at_all_releases_nothing_before_it_is_due(tmp_path: Path) -> None:
    """A reload dials none of those whose mail waits for its hour."""
    async with host(tmp_path, BY_MX) as made:
        made.carrier(X).says = lambda *_: LATER
        made.carrier(Y).takes, made.carrier(Y).error = 0, "connection refused"
        await made.mail(f"ann@{X}", f"bob@{Y}")
        await over(made)
        for _ in range(3):
            made.releases.wake_all()
            await over(made)
        assert [made.carrier(name).begun for name in (X, Y)] == [1, 1]


async def test_mail_follows_its_entry_from_one_next_hop_to_mx_and_back(tmp_path: Path) -> None:
    """What waits for `*` waits for its domains then, and the other way round; what ran is stopped."""
    async with host(tmp_path, relayed(EVERY_OTHER)) as made:
        smart = made.carrier(EVERY_OTHER)
        smart.answered.clear()
        for domain in (X, X, Y):
            await made.mail(f"ann@{domain}")
        await eventually(lambda: smart.drawn)
        made.carrier(X).takes, made.carrier(X).error = 0, "connection refused"
        made.directory = Directory("office.example", [BY_MX])
        made.releases.wake_all()
        assert made.releases._destinations._others == set()
        smart.answered.set()
        await over(made)
        await made.settles()
        assert [item.domain for item in smart.drawn + made.carrier(Y).drawn] == [X, Y]
        assert [item.domain for item in await made.items()] == [X]
        made.directory = Directory("office.example", [relayed(EVERY_OTHER)])
        made.releases.wake_all()
        await over(made)
        assert await made.items() == []
        await made.settles(DAY)
        assert made.carrier(X).begun == 1


async def test_nothing_is_remembered_of_a_destination_for_which_nothing_waits(tmp_path: Path) -> None:
    """Delivered, removed by an operator, or held from now on: a spammer's domains leave nothing behind."""
    async with host(tmp_path, BY_MX, at_once=500) as made:
        names = [f"d{number}.example" for number in range(300)]
        for name in names:
            made.carrier(name).takes, made.carrier(name).error = 0, "no such host"
        await made.mail(*[f"ann@{name}" for name in names])
        await over(made)
        for name in names[:100]:
            made.carrier(name).takes, made.carrier(name).error = None, ""
        items = await made.items()
        await made.spool.remove([item.id for item in items[100:200]])
        alarms = made.releases._runs.by_itself._alarms
        assert (len(alarms._failures), len(alarms._set)) == (300, 300)
        await made.settles(60)
        await over(made)
        assert (len(alarms._failures), len(alarms._set)) == (100, 100)
        made.directory = Directory("office.example", [Held(EVERY_OTHER, HostPort("192.0.2.25"))])
        made.releases.wake_all()
        await made.settles(DAY)
        await over(made)
        runs = made.releases._runs
        assert not alarms._failures
        assert not alarms._set
        assert not runs._first
        assert not runs._places._taken
        assert len(await made.items()) == 100


async def test_a_connection_that_breaks_when_all_was_taken_keeps_nothing_waiting(tmp_path: Path) -> None:
    """What comes next is tried at once: there was somebody a moment ago."""
    async with host(tmp_path, BY_MX) as made:
        made.carrier(X).takes, made.carrier(X).error = 1, "connection reset"
        for _ in range(3):
            await made.mail(f"ann@{X}")
            await over(made)
        assert made.carrier(X).begun == 3
        assert await made.items() == []


async def test_a_look_that_takes_long_does_not_mix_with_the_next(tmp_path: Path) -> None:
    """Mail comes while the store is asked what is due: the release of it ends with a look of its own."""
    async with host(tmp_path, BY_MX) as made:
        asked: list[asyncio.Event] = []
        due = made.spool.due

        async def slowly(domains: Sequence[DomainName], beyond: float) -> float | None:
            asked.append(asyncio.Event())
            await asked[-1].wait()
            return await due(domains, beyond)

        made.faulty.due = slowly  # type: ignore[attr-defined]
        made.carrier(X).says = lambda *_: LATER
        for tries in (1, 2):
            await made.mail(f"ann@{X}")
            await eventually(lambda tries=tries: len(asked) == tries)  # type: ignore[misc]
        for event in asked:
            event.set()
        made.faulty.due = due  # type: ignore[attr-defined]
        await over(made)
        made.carrier(X).says = lambda *_: TAKEN
        await made.settles(60)
        await over(made)
        assert await made.items() == []
        assert made.carrier(X).begun == 3


# many at once


async def test_fifty_that_are_not_there_keep_no_thousand_others_waiting(tmp_path: Path) -> None:
    """The first time for as long as one is dialled at most; then, known to be down, not at all."""
    async with host(tmp_path, BY_MX, Held("test.example", HostPort("192.0.2.25"))) as made:
        gone = [f"dead{number}.example" for number in range(50)]
        dead(made, *gone)
        live = [f"d{number}.example" for number in range(1000)]

        def taken() -> int:
            return sum(len(made.carrier(name).drawn) for name in live)

        await made.mail(*[f"ann@{name}" for name in gone])
        for start in range(0, 1000, 500):
            await made.mail(*[f"ann@{name}" for name in live[start : start + 500]])
        await made.mail("anna@test.example")
        made.releases.request_by_operator("test.example")
        await eventually(lambda: made.carrier("test.example").drawn)  # a site's mail waits for none of them
        assert taken() == 0
        await made.settles(30)
        await eventually(lambda: taken() == 1000)
        await made.settles(30)
        assert sum(made.carrier(name).begun for name in gone) == 50
        began = made.clock.monotonic()
        again = len(made.told(ReleaseStarted))
        await made.settles(30)  # all fifty are due within these seconds, and each is dialled for half a minute
        assert 25 <= len(made.told(ReleaseStarted)) - again <= 50
        for start in range(0, 1000, 500):
            await made.mail(*[f"bob@{name}" for name in live[start : start + 500]])
        await eventually(lambda: taken() == 2000)
        assert made.clock.monotonic() == began + 30


async def test_what_is_delivered_here_waits_for_none_of_the_world(tmp_path: Path) -> None:
    """Thousands that are dialled in vain stop no local mail."""
    async with host(tmp_path, BY_MX, local()) as made:
        gone = [f"dead{number}.example" for number in range(200)]
        dead(made, *gone)
        await made.mail(*[f"ann@{name}" for name in gone])
        await made.mail("lena@local.example")
        await eventually(lambda: made.carrier("local.example").drawn)
        assert sum(made.carrier(name).begun for name in gone) == 40


# clocks that jump (RELIABILITY 41)


@pytest.mark.parametrize("back", [30 * 60, DAY, 3652 * DAY])
async def test_a_clock_that_is_set_back_makes_no_mail_wait_longer_than_its_schedule(
    tmp_path: Path, back: float
) -> None:
    """By half an hour, a day, ten years: what was deferred before is tried within the longest wait."""
    async with host(tmp_path, BY_MX) as made:
        made.carrier(X).says = lambda *_: LATER
        await made.mail(f"ann@{X}")
        await over(made)
        made.clock.jump(-back)
        made.carrier(X).says = lambda *_: TAKEN
        for _ in range(61):
            await made.settles(60)
            await over(made)
        assert len(made.carrier(X).drawn) == 2
        assert await made.items() == []
        assert made.carrier(X).begun <= 3


@pytest.mark.parametrize("back", [DAY, 3652 * DAY])
async def test_nor_does_one_that_is_set_back_while_a_release_runs(tmp_path: Path, back: float) -> None:
    """What it had deferred by then has an hour of the clock before."""
    async with host(tmp_path, BY_MX) as made:
        carrier = made.carrier(X)

        def later(_item: Item, mailbox: Mailbox) -> Outcome:
            carrier.answered.clear()
            return LATER if mailbox.local == "ann" else TAKEN

        carrier.says = later
        carrier.dialled.clear()
        await made.mail(f"ann@{X}")
        await made.mail(f"bob@{X}")
        carrier.dialled.set()
        await eventually(lambda: len(carrier.drawn) == 2 and made.told(ItemDeferred))
        made.clock.jump(-back)
        carrier.answered.set()
        await eventually(lambda: len(carrier.drawn) == 3)
        carrier.says = lambda *_: TAKEN
        carrier.answered.set()
        await over(made)
        assert await made.items() == []


@pytest.mark.parametrize("back", [DAY, 3652 * DAY])
async def test_nor_does_it_after_a_restart(tmp_path: Path, back: float) -> None:
    """No alarm is left then, only what is on disk."""
    async with host(tmp_path, BY_MX) as made:
        made.carrier(X).says = lambda *_: LATER
        await made.mail(f"ann@{X}")
        await over(made)
    async with host(tmp_path, BY_MX) as made:
        made.clock.jump(-back)
        made.releases.wake_all()
        await over(made)
        assert await made.items() == []


@pytest.mark.parametrize("ahead", [DAY, 3652 * DAY])
async def test_a_clock_that_jumps_ahead_costs_one_early_attempt_at_the_most(tmp_path: Path, ahead: float) -> None:
    """And none before something else happens; then the schedule goes on as ever."""
    async with host(tmp_path, BY_MX) as made:
        made.carrier(X).says = lambda *_: LATER
        await made.mail(f"ann@{X}")
        await over(made)
        made.clock.jump(ahead)
        await made.settles(10)
        made.releases.wake_all()
        await over(made)
        assert len(made.carrier(X).drawn) == 1
        await made.mail(f"bob@{X}")
        await over(made)
        assert len(made.carrier(X).drawn) == 3
        for _ in range(5):
            await made.settles(10)
            made.releases.wake_all()
            await over(made)
        assert len(made.carrier(X).drawn) == 3


@pytest.mark.parametrize("jump", [-3652 * DAY, -DAY, DAY, 3652 * DAY])
async def test_what_is_down_waits_as_long_whatever_the_clock_says(tmp_path: Path, jump: float) -> None:
    """Its alarm goes by a clock that does not jump."""
    async with host(tmp_path, BY_MX) as made:
        made.carrier(X).takes, made.carrier(X).error = 0, "connection refused"
        await made.mail(f"ann@{X}")
        await over(made)
        made.clock.jump(jump)
        await made.settles(59)
        assert made.carrier(X).begun == 1
        await made.settles(1)
        assert made.carrier(X).begun == 2


async def test_mail_that_has_just_been_deferred_is_not_due_when_the_clock_is_put_right(tmp_path: Path) -> None:
    """By a second or so, as a time server does."""
    async with host(tmp_path, Relayed(EVERY_OTHER, ByMx(), retry=(60.0,))) as made:
        made.carrier(X).says = lambda *_: LATER
        await made.mail(f"ann@{X}")
        await over(made)
        made.clock.jump(-2)
        await made.mail(f"bob@{X}")
        await over(made)
        assert len(made.carrier(X).drawn) == 2
        assert made.releases.waiting_items(DomainName(X)) == 2
