"""Who asks for mail that goes by MX: ETRN, ATRN, calls and operators, for one destination or for all of an entry."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from tests.release.host import HELD, LATER, SITE, STRANGER, TEST, Host, ScriptedCarrier, ended, eventually, host

from restante.directory.entries import EVERY_OTHER, Directory, Grant, Held, Rejected, Relayed
from restante.model import ByMx, DomainName, HostPort, Progress
from restante.release import requests
from restante.release.answers import Busy, NoSuchEntry, NotAllowed, NothingWaiting, Queued, Started, Stopping
from restante.release.run import STOPPED
from restante.release.turn import Turn
from restante.smtp.node import parse_node

X, Y = "x.example", "y.example"
OUT = Held(EVERY_OTHER, ByMx(), (Grant.parse("192.0.2.25"), Grant.parse("user:site")), group="out")
LOGGED_IN = replace(SITE, login="site")


class Line(ScriptedCarrier):
    """A connection that is there."""

    is_over = False


async def all_over(made: Host) -> None:
    """Until nothing runs and nothing is queued."""
    await eventually(lambda: not len(made.releases._runs.register))


async def mail_for(made: Host, *domains: str) -> None:
    """One message for each."""
    for domain in domains:
        await made.mail(f"ann@{domain}")


# ETRN


async def test_an_etrn_for_an_entry_by_mx_releases_each_domain_with_mail(tmp_path: Path) -> None:
    """The count is of all; what has an entry of its own is not part of it; one that hangs holds up no other."""
    async with host(tmp_path, OUT, structs.replace(HELD, group="other")) as made:
        made.carrier(X).dialled.clear()
        await mail_for(made, X, X, Y, TEST)
        assert made.ask("#out") == Started(3)
        await eventually(lambda: made.carrier(Y).drawn)
        await made.mail(f"bob@{Y}")
        assert made.ask("#out") == Started(3)
        made.carrier(X).dialled.set()
        await all_over(made)
        assert sorted(view.domain for view in made.releases.views()) == [X, Y, Y]
        assert [item.domain for item in await made.items()] == [TEST]
        assert made.ask("#out") == NothingWaiting(251)


async def test_250_when_every_destination_runs_already(tmp_path: Path) -> None:
    """253 where one is begun, and the count where it is to be told."""
    async with host(tmp_path, OUT) as made:
        for name in (X, Y):
            made.carrier(name).answered.clear()
        await mail_for(made, X, Y)
        assert made.ask("#out") == Started(2)
        await eventually(lambda: made.carrier(X).drawn and made.carrier(Y).drawn)
        assert made.ask("#out") == Queued()
        await made.mail("cid@z.example")
        assert made.ask("#out") == Started(3)
        for name in (X, Y):
            made.carrier(name).answered.set()
        await all_over(made)


@pytest.mark.parametrize("node", ["#out", X, "@example", "192.0.2.25"])
async def test_a_stranger_is_told_the_same_as_ever(tmp_path: Path, node: str) -> None:
    """And nothing happens; a domain of `*` is no node for its site either."""
    async with host(tmp_path, OUT) as made:
        await mail_for(made, X)
        assert made.ask(node, STRANGER) == NotAllowed()
        assert made.ask(X) == NotAllowed()
        assert made.releases.views() == []


async def test_an_etrn_that_means_thousands_lets_the_loop_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few destinations in each turn."""
    monkeypatch.setattr(requests, "ASKED_A_TURN", 10)
    async with host(tmp_path, OUT) as made:
        await mail_for(made, *[f"d{number}.example" for number in range(95)])
        asking = asyncio.ensure_future(made.releases.ask_in_turns(parse_node("#out"), SITE))
        turns = 0
        while not asking.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 10
        assert asking.result() == Started(95)
        await all_over(made)
        assert await made.items() == []


# ATRN


async def test_a_turned_connection_takes_the_destinations_one_after_the_other(tmp_path: Path) -> None:
    """Wherever they would go else; each is a release of its own."""
    async with host(tmp_path, OUT) as made:
        await mail_for(made, X, Y, X)
        turn = made.releases.turn([OUT], LOGGED_IN)
        assert isinstance(turn, Turn)
        line = Line("the caller")
        await ended(turn.carry(line))
        assert sorted(item.domain for item in line.drawn) == [X, X, Y]
        assert made.carriers == {}
        assert sorted((view.domain, view.delivered) for view in made.releases.views()) == [(X, 2), (Y, 1)]


async def test_a_turn_is_refused_while_one_of_its_destinations_is_released(tmp_path: Path) -> None:
    """RFC 2645 §5.2.2: 450; and one that lost its right meanwhile is passed over."""
    async with host(tmp_path, OUT) as made:
        made.carrier(X).dialled.clear()
        await mail_for(made, X, Y)
        made.releases.request_by_operator(X)
        assert made.releases.turn([OUT], LOGGED_IN) == Busy()
        made.carrier(X).dialled.set()
        await all_over(made)
        turn = made.releases.turn([OUT], LOGGED_IN)
        assert isinstance(turn, Turn)
        made.directory = Directory("office.example", [structs.replace(OUT, grants=())])
        line = Line("the caller")
        await ended(turn.carry(line))
        assert line.drawn == []


# operators


async def test_an_operator_releases_one_domain_of_an_entry_by_mx(tmp_path: Path) -> None:
    """By its name, also to another host than its own."""
    async with host(tmp_path, OUT) as made:
        await mail_for(made, X, Y)
        view = made.releases.request_by_operator(X, HostPort("192.0.2.99"))
        await ended(made.releases.wait(view.number))
        assert made.carrier(X).targets == [HostPort("192.0.2.99")]
        assert [item.domain for item in await made.items()] == [Y]


async def test_an_operator_releases_all_of_an_entry_by_mx_as_one(tmp_path: Path) -> None:
    """Its view sums up those of the destinations while they run, and when they have ended."""
    async with host(tmp_path, OUT) as made:
        await mail_for(made, X, X, Y, "z.example")
        made.carrier(Y).answered.clear()
        made.carrier("z.example").takes, made.carrier("z.example").error = 0, "connection refused"
        view = made.releases.request_by_operator(EVERY_OTHER)
        assert (view.domain, view.target, view.progress, view.items) == (EVERY_OTHER, "mx", Progress.RUNNING, 4)
        waiting = asyncio.create_task(made.releases.wait(view.number))
        await eventually(lambda: made.carrier(Y).drawn and len(made.releases.views()) == 4)
        await eventually(lambda: (now := made.releases.view(view.number)) is not None and now.delivered == 2)
        assert not waiting.done()
        made.carrier(Y).answered.set()
        end = await ended(waiting)
        assert (end.progress, end.items, end.delivered) == (Progress.ENDED, 4, 3)
        assert end.error == "z.example: connection refused"
        assert made.releases.view(view.number) == end
        await all_over(made)


async def test_of_several_errors_the_first_is_told(tmp_path: Path) -> None:
    """And how many there are besides; deferred mail is counted."""
    async with host(tmp_path, Relayed(EVERY_OTHER, ByMx())) as made:
        names = [f"d{number}.example" for number in range(5)]
        for name in names[:3]:
            made.carrier(name).takes, made.carrier(name).error = 0, "connection refused"
        made.carrier(names[3]).says = lambda *_: LATER
        await made.mail(*[f"ann@{name}" for name in names], arrives=False)
        view = made.releases.request_by_operator(EVERY_OTHER)
        end = await ended(made.releases.wait(view.number))
        assert (end.items, end.delivered, end.deferred, end.failed) == (5, 1, 1, 0)
        assert end.error.endswith(": connection refused (and 2 more)")


async def test_all_of_nothing_ends_at_once(tmp_path: Path) -> None:
    """Nothing waits, and nobody is dialled."""
    async with host(tmp_path, OUT) as made:
        view = made.releases.request_by_operator(EVERY_OTHER)
        end = await ended(made.releases.wait(view.number))
        assert (end.progress, end.items, end.error) == (Progress.ENDED, 0, "")
        assert made.carriers == {}


async def test_all_of_an_entry_ends_with_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for it is told, wherever it was."""
    monkeypatch.setattr(requests, "ASKED_A_TURN", 1)
    async with host(tmp_path, OUT, at_once=1) as made:
        await mail_for(made, X, Y, "z.example")
        for name in (X, Y, "z.example"):
            made.carrier(name).dialled.clear()
        view = made.releases.request_by_operator(EVERY_OTHER)
        await asyncio.sleep(0)
        waiting = asyncio.create_task(made.releases.wait(view.number))
        await made.releases.stop(0)
        end = await ended(waiting)
        assert end.progress is Progress.ENDED
        assert end.error.partition(" (")[0].endswith(STOPPED)
        assert not len(made.releases._runs.register)
        with pytest.raises(Stopping):
            made.releases.request_by_operator(EVERY_OTHER)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (Held(EVERY_OTHER, HostPort("192.0.2.1")), "is released with"),
        (Rejected(EVERY_OTHER), "is not a domain of this host"),
        (HELD, "is not a domain of this host"),
    ],
)
async def test_a_domain_that_is_no_destination_is_not_released_alone(tmp_path: Path, entry: Held, why: str) -> None:
    """The operator is told why."""
    async with host(tmp_path, entry) as made:
        await mail_for(made, X)
        with pytest.raises(NoSuchEntry, match=why):
            made.releases.request_by_operator(X)


# calls


async def test_a_call_flushes_every_destination_of_an_entry_by_mx(tmp_path: Path) -> None:
    """The views are of the destinations; what is waited for is all of them; the window bounds each."""
    async with host(tmp_path, OUT, HELD) as made:
        await mail_for(made, X, Y, TEST)
        assert made.releases.waiting_items(EVERY_OTHER) == 2
        views = await ended(made.releases.release([EVERY_OTHER], made.clock.monotonic() + 60, "call office"))
        assert sorted((view.domain, view.delivered, view.requester) for view in views) == [
            (X, 1, "call office"),
            (Y, 1, "call office"),
        ]
        assert made.releases.waiting_items(EVERY_OTHER) == 0
        assert [item.domain for item in await made.items()] == [TEST]


async def test_held_mail_by_mx_leaves_only_when_it_is_asked_for(tmp_path: Path) -> None:
    """Not when it arrives, not at start, not after a release that failed, not in a year."""
    async with host(tmp_path, OUT) as made:
        await mail_for(made, X)
        made.releases.wake_all()
        await made.settles(366 * 86_400)
        assert made.carriers == {}
        made.carrier(X).takes, made.carrier(X).error = 0, "connection refused"
        made.ask("#out")
        await all_over(made)
        await made.settles(366 * 86_400)
        assert made.carrier(X).begun == 1
        assert made.releases.waiting_items(DomainName(X)) == 1
