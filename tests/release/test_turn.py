"""Releases over a turned connection: which are begun, when, and what ends the others."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs
from tests.release.host import SITE, TEST, Host, ScriptedCarrier, ended, eventually, host

from restante.directory.entries import EVERY_OTHER, Directory, Grant, Held
from restante.facts import ReleaseEnded, ReleaseStarted
from restante.model import HostPort, Principal, Progress
from restante.release.answers import Busy, NothingWaiting, Queued, Unavailable
from restante.release.run import STOPPED
from restante.release.turn import Turn

TIM = Principal(ipaddress.ip_address("203.0.113.7"), "tim")
BOTH = (Grant.parse("user:tim"), Grant.parse("192.0.2.25"))
ONE = Held(TEST, HostPort("192.0.2.25"), BOTH)
TWO = Held("two.example", HostPort("192.0.2.25"), BOTH)
REST = Held(EVERY_OTHER, HostPort("192.0.2.25"), BOTH)


class ScriptedLine(ScriptedCarrier):
    """A carrier for several releases, that may be over."""

    is_over = False


@asynccontextmanager
async def turning(folder: Path, *entries: Held) -> AsyncIterator[tuple[Host, Turn, ScriptedLine]]:
    """A turn of what waits for some entries: a message for each of two domains."""
    async with host(folder, *(entries or (ONE, TWO)), at_once=1) as made:
        await made.mail("anna@test.example")
        await made.mail("anna@two.example")
        answer = made.releases.turn([entry for entry in made.directory.entries() if isinstance(entry, Held)], TIM)
        assert isinstance(answer, Turn)
        yield made, answer, ScriptedLine("203.0.113.7:40000")


async def test_each_is_a_release_of_its_own_and_begun_when_its_turn_has_come(tmp_path: Path) -> None:
    """With number, view and facts; who asked and where it goes are told."""
    async with turning(tmp_path) as (made, turn, line):
        assert made.releases.views() == []
        line.answered.clear()
        carrying = asyncio.create_task(turn.carry(line))
        await eventually(lambda: line.drawn)
        [view] = made.releases.views()
        assert (view.number, view.domain, view.progress) == (1, TEST, Progress.RUNNING)
        assert (view.requester, view.target) == ("203.0.113.7 user:tim by ATRN", "203.0.113.7:40000")
        line.answered.set()
        await ended(carrying)
        assert [(fact.release, fact.domain, fact.delivered) for fact in made.told(ReleaseEnded)] == [
            (1, TEST, 1),
            (2, "two.example", 1),
        ]
        assert await made.items() == []


async def test_what_has_no_mail_is_left_out_and_when_none_has_it_is_told(tmp_path: Path) -> None:
    """Rights are the caller's business; here it is what waits."""
    async with host(tmp_path, ONE, TWO) as made:
        assert made.releases.turn([ONE, TWO], TIM) == NothingWaiting()
        await made.mail("anna@two.example")
        answer = made.releases.turn([ONE, TWO], TIM)
        assert isinstance(answer, Turn)
        line = ScriptedLine()
        await ended(answer.carry(line))
        assert [view.domain for view in made.releases.views()] == ["two.example"]


async def test_what_is_being_released_already_is_not_turned(tmp_path: Path) -> None:
    """Nor what is queued to be: one release runs for each entry."""
    async with turning(tmp_path) as (made, _, _line):
        made.carrier().answered.clear()
        made.ask(TEST, SITE)
        assert made.releases.turn([ONE, TWO], TIM) == Busy()
        assert isinstance(made.releases.turn([TWO], TIM), Turn)
        made.carrier().answered.set()


async def test_an_etrn_never_joins_a_turned_release(tmp_path: Path) -> None:
    """Its mail goes elsewhere: it waits behind it, although that has not begun to carry."""
    async with turning(tmp_path) as (made, turn, line):
        line.dialled.clear()
        carrying = asyncio.create_task(turn.carry(line))
        await eventually(lambda: line.begun)
        assert made.ask(TEST, SITE) == Queued()
        await made.mail("bert@test.example")
        line.takes = 1
        line.dialled.set()
        await ended(carrying)
        await eventually(lambda: len(made.told(ReleaseEnded)) == 3)
        assert len(made.carrier().drawn) == 1


async def test_it_does_not_wait_for_a_place_among_others(tmp_path: Path) -> None:
    """The customer's connection is there now; but others wait while it runs, where only one may."""
    async with turning(tmp_path, ONE, TWO, structs.replace(ONE, name="slow.example")) as (made, turn, line):
        await made.mail("x@slow.example")
        slow = made.carrier("slow.example")
        slow.answered.clear()
        made.ask("slow.example", SITE)
        await eventually(lambda: slow.drawn)
        await ended(turn.carry(line))
        assert len(line.drawn) == 2
        slow.answered.set()


@pytest.mark.parametrize("change", ["released", "removed", "taken away", "gone"])
async def test_what_has_changed_meanwhile_is_passed_over(change: str, tmp_path: Path) -> None:
    """The second entry is looked at again when its turn has come."""
    async with turning(tmp_path) as (made, turn, line):
        line.answered.clear()
        carrying = asyncio.create_task(turn.carry(line))
        await eventually(lambda: line.drawn)
        if change == "released":
            made.carrier("two.example").answered.clear()
            made.ask("two.example", SITE)
        elif change == "removed":
            await made.spool.remove([item.id for item in await made.items("two.example")])
        else:
            others = [structs.replace(TWO, grants=(Grant.parse("user:ann"),))] if change == "taken away" else []
            made.directory = Directory("office.example", [ONE, *others])
        line.answered.set()
        await ended(carrying)
        assert [item.domain for item in line.drawn] == [TEST]
        made.carrier("two.example").answered.set()


async def test_rights_that_go_stop_what_runs(tmp_path: Path) -> None:
    """The mail behind is another's now."""
    async with turning(tmp_path) as (made, turn, line):
        await made.mail("bert@test.example")
        line.answered.clear()
        carrying = asyncio.create_task(turn.carry(line))
        await eventually(lambda: line.drawn)
        made.directory = Directory("office.example", [structs.replace(ONE, grants=()), TWO])
        made.releases.wake_all()
        line.answered.set()
        await ended(carrying)
        assert [fact.error for fact in made.told(ReleaseEnded)] == ["the configuration has changed", ""]
        assert len(await made.items()) == 1


async def test_all_other_domains_go_too_where_they_are_granted(tmp_path: Path) -> None:
    """`*` is one entry, of all domains without their own."""
    async with turning(tmp_path, REST) as (made, turn, line):
        await ended(turn.carry(line))
        assert sorted(item.domain for item in line.drawn) == [TEST, "two.example"]
        [view] = made.releases.views()
        assert (view.domain, view.delivered) == (EVERY_OTHER, 2)


async def test_a_line_that_is_over_ends_it(tmp_path: Path) -> None:
    """What was to follow is not begun: no number, no fact."""
    async with turning(tmp_path) as (made, turn, line):
        line.takes, line.error = 0, "203.0.113.7:40000: hung up"
        line.is_over = True
        await ended(turn.carry(line))
        assert made.releases.views() == []
        line.is_over = False
        line.dialled.clear()
        carrying = asyncio.create_task(turn.carry(line))
        await eventually(lambda: line.begun)
        line.is_over = True
        line.dialled.set()
        await ended(carrying)
        assert [view.error for view in made.releases.views()] == ["203.0.113.7:40000: hung up"]
        assert len(await made.items()) == 2


async def test_stop_ends_it_behind_what_is_on_its_way(tmp_path: Path) -> None:
    """The rest of the first, and the second, wait."""
    async with turning(tmp_path) as (made, turn, line):
        await made.mail("bert@test.example")
        line.answered.clear()
        carrying = asyncio.create_task(turn.carry(line))
        await eventually(lambda: line.drawn)
        turn.stop()
        line.answered.set()
        await ended(carrying)
        assert [(view.delivered, view.error) for view in made.releases.views()] == [(1, STOPPED)]
        assert len(await made.items()) == 2


async def test_cancelling_cuts_the_one_that_runs(tmp_path: Path) -> None:
    """As when its connection is ended by force: what was not confirmed waits, and may be had at once."""
    async with turning(tmp_path) as (made, turn, line):
        line.answered.clear()
        carrying = asyncio.create_task(turn.carry(line))
        await eventually(lambda: line.drawn)
        carrying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await carrying
        await eventually(lambda: made.told(ReleaseEnded))
        assert len(await made.items()) == 2
        assert isinstance(made.releases.turn([ONE, TWO], TIM), Turn)


async def test_a_stopping_host_begins_none_and_ends_what_runs(tmp_path: Path) -> None:
    """451 to who asks then."""
    async with turning(tmp_path) as (made, turn, line):
        line.answered.clear()
        carrying = asyncio.create_task(turn.carry(line))
        await eventually(lambda: line.drawn)
        await made.releases.stop(0.05)
        await ended(carrying)
        assert made.releases.turn([ONE, TWO], TIM) == Unavailable()
        assert [fact.domain for fact in made.told(ReleaseStarted)] == [TEST]
        assert len(await made.items()) == 2
