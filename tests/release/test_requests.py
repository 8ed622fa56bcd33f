"""Who asked for what, and what runs: answers to ETRN, one release at a time, and mail that leaves by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from tests.release.host import (
    HELD,
    LATER,
    NEVER,
    SITE,
    STRANGER,
    TAKEN,
    TEST,
    Host,
    ScriptedCarrier,
    ended,
    eventually,
    host,
    local,
    relayed,
)

from restante.directory.entries import EVERY_OTHER, Directory, Entry, Grant, Held, Recipients, Rejected
from restante.facts import ItemFailed, ReleaseEnded, ReleaseStarted
from restante.model import Caller, DomainName, HostPort, ItemState, Principal, Progress
from restante.release import register, requests
from restante.release.answers import NoSuchEntry, NotAllowed, NothingWaiting, Queued, Started, Stopping, Unavailable
from restante.release.run import STOPPED, WINDOW_OVER
from restante.smtp.node import parse_node
from restante.spool.spool import SpoolBroken
from restante.transport.outcome import CarryEnd, Feed, Report

FAST = "fast.example"


async def all_over(made: Host) -> None:
    """Until nothing runs and nothing is queued."""
    await eventually(lambda: not made.releases._runs.register)


async def until_ended(made: Host, count: int) -> None:
    """Until so many releases have ended, and it is known when the next begins: only then may time pass."""
    await eventually(lambda: len(made.told(ReleaseEnded)) == count)
    await made.settles()


# answers to ETRN (RFC 1985; docs/design.md 7)


async def test_253_with_the_number_that_waits(tmp_path: Path) -> None:
    """The usual answer."""
    async with host(tmp_path) as made:
        for _ in range(14):
            await made.mail()
        assert made.ask() == Started(14)
        await all_over(made)
        assert await made.items() == []


async def test_251_when_nothing_waits(tmp_path: Path) -> None:
    """And nothing is dialled."""
    async with host(tmp_path) as made:
        assert made.ask() == NothingWaiting(251)
        assert made.releases.views() == []


async def test_250_for_nothing_where_the_entry_wants_that(tmp_path: Path) -> None:
    """Fetchmail asks no further after a 251."""
    async with host(tmp_path, structs.replace(HELD, etrn_empty=250)) as made:
        assert made.ask() == NothingWaiting(250)


async def test_252_where_the_count_is_not_to_be_told(tmp_path: Path) -> None:
    """It is a release like any other."""
    async with host(tmp_path, structs.replace(HELD, counts=False)) as made:
        await made.mail()
        assert made.ask() == Started(None)
        await all_over(made)
        assert await made.items() == []


@pytest.mark.parametrize(
    "node", ["test.example", "unknown.example", "@test.example", "#customers", "192.0.2.25", "fast.example"]
)
async def test_459_for_a_stranger_whatever_it_names(tmp_path: Path, node: str) -> None:
    """The same answer for what is somebody else's, what is not held, and what does not exist; and nothing happens."""
    async with host(tmp_path, structs.replace(HELD, group="customers"), relayed()) as made:
        await made.mail()
        assert made.ask(node, STRANGER) == NotAllowed()
        assert made.releases.views() == []


@pytest.mark.parametrize("principal", [SITE, STRANGER])
@pytest.mark.parametrize("node", ["@test.example", "#customers", "d3.test.example", "d4.test.example"])
async def test_an_etrn_for_very_many_lets_the_loop_turn_and_is_answered_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: str, principal: Principal
) -> None:
    """Both ways to ask agree on what they answer and on what they start."""
    monkeypatch.setattr(requests, "ASKED_A_TURN", 2)
    entries = [structs.replace(HELD, name=f"d{number}.test.example", group="customers") for number in range(20)]
    async with host(tmp_path / "one", *entries) as one, host(tmp_path / "other", *entries) as other:
        for made in (one, other):
            for number in range(0, 20, 2):
                await made.mail(f"anna@d{number}.test.example")
                made.carrier(f"d{number}.test.example").dialled.clear()
        for _ in range(2):
            asking = asyncio.ensure_future(one.releases.ask_in_turns(parse_node(node), principal))
            turns = 0
            while not asking.done():
                turns += 1
                await asyncio.sleep(0)
            assert turns >= (10 if principal is SITE and not node.startswith("d") else 1)
            assert await asking == other.ask(node, principal)
            released = [{view.domain for view in made.releases.views()} for made in (one, other)]
            assert released[0] == released[1]


async def test_an_etrn_for_very_many_that_is_cut_short_by_the_end_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has not come to is not begun."""
    monkeypatch.setattr(requests, "ASKED_A_TURN", 2)
    entries = [structs.replace(HELD, name=f"d{number}.test.example", group="customers") for number in range(6)]
    async with host(tmp_path, *entries) as made:
        for entry in entries:
            await made.mail(f"anna@{entry.name}")
        asking = asyncio.ensure_future(made.releases.ask_in_turns(parse_node("#customers"), SITE))
        while not made.releases.views():
            await asyncio.sleep(0)
        await made.releases.stop(10)
        assert await asking == Unavailable()
        assert len(made.releases.views()) < len(entries)


async def test_nobody_may_release_by_default(tmp_path: Path) -> None:
    """An entry without a grant is released by the operator alone."""
    async with host(tmp_path, structs.replace(HELD, grants=())) as made:
        await made.mail()
        assert made.ask() == NotAllowed()
        await ended(made.releases.wait(made.releases.request_by_operator(TEST).number))
        assert await made.items() == []


async def test_rights_are_looked_at_before_counters(tmp_path: Path) -> None:
    """A stranger's question does not even look at what waits."""
    async with host(tmp_path) as made:
        await made.mail()
        made.faulty.calls.clear()
        made.ask(principal=STRANGER)
        assert made.faulty.calls == []


def customers() -> tuple[Held, ...]:
    """Three domains of one site, and one of another, in one group and at one next hop."""
    names = ("a.test.example", "test.example", "z.example")
    ours = [structs.replace(HELD, name=name, group="customers") for name in names]
    return (*ours, structs.replace(HELD, name="b.test.example", group="customers", grants=(Grant.parse("192.0.2.66"),)))


@pytest.mark.parametrize(
    ("node", "meant"),
    [
        ("test.example", {"test.example"}),
        ("@test.example", {"a.test.example", "test.example"}),
        ("#customers", {"a.test.example", "test.example", "z.example"}),
        ("192.0.2.25", {"a.test.example", "test.example", "z.example"}),
        ("[192.0.2.25]", {"a.test.example", "test.example", "z.example"}),
    ],
)
async def test_all_forms_of_nodes_release_what_is_granted(tmp_path: Path, node: str, meant: set[str]) -> None:
    """What is somebody else's is left out in silence, also in the count."""
    async with host(tmp_path, *customers()) as made:
        for entry in customers():
            await made.mail(f"anna@{entry.name}")
        assert made.ask(node) == Started(len(meant))
        await all_over(made)
        assert {view.domain for view in made.releases.views()} == meant
        assert {item.domain for item in await made.items()} == {entry.name for entry in customers()} - meant


async def test_of_several_domains_only_those_with_mail_are_released(tmp_path: Path) -> None:
    """Nobody is dialled for nothing."""
    async with host(tmp_path, *customers()) as made:
        await made.mail("anna@z.example")
        assert made.ask("#customers") == Started(1)
        assert [view.domain for view in made.releases.views()] == ["z.example"]


async def test_one_domain_that_keeps_its_count_keeps_that_of_all(tmp_path: Path) -> None:
    """252, for the difference would tell it."""
    async with host(tmp_path, HELD, structs.replace(HELD, name="quiet.example", counts=False)) as made:
        await made.mail()
        await made.mail("anna@quiet.example")
        assert made.ask("192.0.2.25") == Started(None)


async def test_250_when_it_is_queued_behind_one_that_runs(tmp_path: Path) -> None:
    """The running one may have passed what has arrived since."""
    async with host(tmp_path) as made:
        await made.mail()
        carrier = made.carrier()
        carrier.answered.clear()
        assert made.ask() == Started(1)
        await eventually(lambda: carrier.drawn)
        assert made.ask() == Queued()
        assert made.ask() == Queued()


async def test_253_joins_a_release_that_has_not_begun_to_carry(tmp_path: Path) -> None:
    """While it still dials it has passed nothing: the mail that has come meanwhile is in it, and in the count."""
    async with host(tmp_path) as made:
        await made.mail()
        carrier = made.carrier()
        carrier.dialled.clear()
        assert made.ask() == Started(1)
        await made.mail()
        assert made.ask() == Started(2)
        await eventually(lambda: carrier.begun)
        await made.mail()
        assert made.ask() == Started(3)
        carrier.dialled.set()
        await all_over(made)
        assert carrier.begun == 1
        assert await made.items() == []


async def test_458_when_stopping(tmp_path: Path) -> None:
    """But a stranger is still told 459, the operator's request is an error, and so is a call's."""
    async with host(tmp_path) as made:
        await made.mail()
        await made.releases.stop(0)
        assert made.ask() == Unavailable()
        assert made.ask(principal=STRANGER) == NotAllowed()
        with pytest.raises(Stopping):
            made.releases.request_by_operator(TEST)
        with pytest.raises(Stopping):
            await made.releases.release([TEST], None)
        assert made.carriers == {}


async def test_mail_to_the_caller_goes_to_the_address_that_asked(tmp_path: Path) -> None:
    """Only with a proof; and the operator has to say where to."""
    entry = Held("test.example", Caller(), (Grant(login="test"), Grant.parse("192.0.2.25")))
    async with host(tmp_path, entry) as made:
        await made.mail()
        assert made.ask() == NotAllowed()
        with pytest.raises(NoSuchEntry, match="say where to"):
            made.releases.request_by_operator(TEST)
        assert made.ask(principal=replace(SITE, login="test")) == Started(1)
        await all_over(made)
        assert made.carrier().targets == [HostPort("192.0.2.25")]


# one runs, one waits


async def test_a_flood_leaves_one_running_and_one_queued(tmp_path: Path) -> None:
    """A thousand ETRN make two releases."""
    async with host(tmp_path) as made:
        await made.mail()
        carrier = made.carrier()
        carrier.answered.clear()
        made.ask()
        await eventually(lambda: carrier.drawn)
        for _ in range(1000):
            assert made.ask() == Queued()
        assert sorted(view.progress for view in made.releases.views()) == [Progress.QUEUED, Progress.RUNNING]
        carrier.answered.set()
        await all_over(made)
        assert carrier.begun == 2
        assert len(made.releases.views()) == 2


async def test_mail_accepted_before_an_etrn_is_offered_in_the_release_that_it_asked_for(tmp_path: Path) -> None:
    """Also if one runs that has passed it: it had been offered and deferred, or came after the running one's end."""
    async with host(tmp_path) as made:
        await made.mail()
        carrier = made.carrier()
        carrier.answered.clear()
        carrier.says = lambda *_: LATER
        made.ask()
        await eventually(lambda: carrier.drawn)
        late = await made.mail()
        assert made.ask() == Queued()
        carrier.takes = 1
        carrier.dialled.clear()
        carrier.answered.set()
        await until_ended(made, 1)
        carrier.takes, carrier.says = None, lambda *_: TAKEN
        carrier.dialled.set()
        await all_over(made)
        assert late in {item.message for item in carrier.drawn}
        assert await made.items() == []


async def test_who_asks_as_a_release_fails_gets_another(tmp_path: Path) -> None:
    """One that nobody let in has begun nothing, and yet it is too late to join it."""
    async with host(tmp_path) as made:
        await made.mail()
        carrier = made.carrier()
        carrier.dialled.clear()
        carrier.takes, carrier.error = 0, "not there"
        made.ask()
        await eventually(lambda: carrier.begun)
        carrier.dialled.set()
        await asyncio.sleep(0)  # it has failed in this turn; nobody has been told
        carrier.takes, carrier.error = None, ""
        assert made.ask() == Queued()
        await all_over(made)
        assert await made.items() == []


async def test_the_queued_release_goes_to_the_latest_target(tmp_path: Path) -> None:
    """The last to ask says where it is now; the running one is not changed."""
    async with host(tmp_path) as made:
        await made.mail()
        carrier = made.carrier()
        carrier.answered.clear()
        made.ask()
        await eventually(lambda: carrier.drawn)
        first = made.releases.request_by_operator(TEST, HostPort("192.0.2.31"))
        second = made.releases.request_by_operator(TEST, HostPort("192.0.2.32"))
        assert first.number == second.number
        assert second.target == "192.0.2.32:25"
        carrier.answered.set()
        await all_over(made)
        assert carrier.targets == [None, HostPort("192.0.2.32")]


async def test_another_target_does_not_join_a_release_that_dials(tmp_path: Path) -> None:
    """It is on its way to somewhere else."""
    async with host(tmp_path) as made:
        await made.mail()
        carrier = made.carrier()
        carrier.dialled.clear()
        made.ask()
        await eventually(lambda: carrier.begun)
        view = made.releases.request_by_operator(TEST, HostPort("192.0.2.31"))
        assert view.progress is Progress.QUEUED
        carrier.dialled.set()
        await all_over(made)
        assert carrier.targets == [None, HostPort("192.0.2.31")]


async def test_entries_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """A site that hangs holds up its own mail only."""
    async with host(tmp_path, HELD, structs.replace(HELD, name="other.example")) as made:
        await made.mail()
        await made.mail("bert@other.example")
        made.carrier().dialled.clear()
        made.ask()
        made.ask("other.example")
        await eventually(lambda: made.carrier("other.example").drawn)
        assert {item.domain for item in await made.items()} >= {TEST}


async def test_no_more_run_at_once_than_may(tmp_path: Path) -> None:
    """The others wait for their turn without a task, in the order in which they were asked for."""
    entries = [structs.replace(HELD, name=f"d{n}.example", group="customers") for n in range(5)]
    async with host(tmp_path, *entries, at_once=2) as made:
        for entry in entries:
            await made.mail(f"anna@{entry.name}")
            made.carrier(entry.name).dialled.clear()
        assert made.ask("#customers") == Started(5)
        await made.settles()
        assert [made.carrier(entry.name).begun for entry in entries] == [1, 1, 0, 0, 0]
        assert len(made.releases._runs._running) == 2
        made.carrier("d1.example").dialled.set()
        await eventually(lambda: made.carrier("d2.example").begun)
        assert made.carrier("d3.example").begun == 0
        for entry in entries:
            made.carrier(entry.name).dialled.set()
        await all_over(made)
        assert await made.items() == []


# nothing leaves a held domain unasked


async def test_held_mail_leaves_only_when_it_is_asked_for(tmp_path: Path) -> None:
    """Not when it arrives, not at start, not after a reload, not after a release that failed, not in a year."""
    async with host(tmp_path) as made:
        await made.mail()
        made.releases.wake_all()
        made.directory = Directory("office.example", [HELD])
        made.releases.wake_all()
        await made.settles(366 * 86_400)
        assert made.carriers == {}
        made.carrier().takes, made.carrier().error = 0, "connection refused"
        made.ask()
        await all_over(made)
        await made.settles(366 * 86_400)
        assert made.carrier().begun == 1
        assert len(await made.items()) == 1


async def test_a_domain_that_becomes_held_keeps_what_was_to_be_tried_again(tmp_path: Path) -> None:
    """The alarm that was set for it does not let it go."""
    async with host(tmp_path, relayed(TEST)) as made:
        made.carrier().takes, made.carrier().error = 0, "connection refused"
        await made.mail()
        await all_over(made)
        made.directory = Directory("office.example", [HELD])
        made.releases.wake_all()
        await made.settles(86_400)
        assert made.carrier().begun == 1
        assert len(made.releases.views()) == 1


async def test_a_domain_that_becomes_held_while_its_mail_waits_for_its_turn_keeps_it(tmp_path: Path) -> None:
    """What is looked at is what the directory says when it begins."""
    async with host(tmp_path, relayed(), relayed("slow.example"), at_once=1) as made:
        made.carrier("slow.example").dialled.clear()
        await made.mail("anna@slow.example")
        await made.mail(f"anna@{FAST}")
        made.directory = Directory("office.example", [relayed("slow.example"), structs.replace(HELD, name=FAST)])
        made.carrier("slow.example").dialled.set()
        await all_over(made)
        assert FAST not in made.carriers
        assert [item.domain for item in await made.items()] == [FAST]


async def test_a_domain_that_becomes_held_while_its_mail_leaves_keeps_the_rest(tmp_path: Path) -> None:
    """The running release ends between two messages."""
    async with host(tmp_path, relayed(TEST)) as made:
        carrier = made.carrier()
        carrier.answered.clear()
        for _ in range(3):
            await made.mail()
        await eventually(lambda: carrier.drawn)
        made.directory = Directory("office.example", [HELD])
        made.releases.wake_all()
        carrier.answered.set()
        await all_over(made)
        await made.settles(86_400)
        assert len(carrier.drawn) == 1
        assert len(await made.items()) == 2


async def test_a_domain_that_gets_its_own_entry_takes_its_mail_out_of_a_running_release(tmp_path: Path) -> None:
    """What waited for `*` is not carried on by the old way; what is still of `*` goes on."""
    everything = relayed(EVERY_OTHER)
    async with host(tmp_path, everything) as made:
        carrier = made.carrier(EVERY_OTHER)
        carrier.answered.clear()
        carrier.dialled.clear()
        for domain in ("other.example", "test.example", "test.example", "other.example"):
            await made.mail(f"anna@{domain}")
        carrier.dialled.set()
        await eventually(lambda: carrier.drawn)
        made.directory = Directory("office.example", [everything, HELD])
        made.releases.wake_all()
        carrier.answered.set()
        await all_over(made)
        await eventually(lambda: len(carrier.drawn) == 2)
        await all_over(made)
        assert [item.domain for item in carrier.drawn] == ["other.example"] * 2
        assert [item.domain for item in await made.items()] == ["test.example"] * 2


async def test_who_asks_after_a_change_does_not_join_what_it_stopped(tmp_path: Path) -> None:
    """The stopped release begins nothing any more; the one behind it has the new way."""
    async with host(tmp_path) as made:
        carrier = made.carrier()
        carrier.dialled.clear()
        await made.mail()
        made.ask()
        await eventually(lambda: carrier.begun)
        made.directory = Directory("office.example", [structs.replace(HELD, next_hop=HostPort("192.0.2.99"))])
        made.releases.wake_all()
        assert made.ask() == Queued()
        carrier.dialled.set()
        await all_over(made)
        assert await made.items() == []


@pytest.mark.parametrize("change", [{"tls": "required"}, {"tls_pin": ("0" * 64,)}], ids=str)
async def test_a_reload_that_asks_for_more_of_the_next_hop_stops_what_asked_for_less(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """Encryption, and the key that has to be shown, are part of the way."""
    async with host(
        tmp_path, structs.replace(HELD, tls="required" if "tls_pin" in change else "opportunistic")
    ) as made:
        carrier = made.carrier()
        carrier.dialled.clear()
        await made.mail()
        made.ask()
        await eventually(lambda: carrier.begun)
        entry = made.directory.entry(HELD.name)
        assert isinstance(entry, Held)
        made.directory = Directory("office.example", [structs.replace(entry, **change)])
        made.releases.wake_all()
        assert made.ask() == Queued()
        carrier.dialled.set()
        await all_over(made)
        assert await made.items() == []


async def test_a_reload_that_changes_no_way_stops_nothing(tmp_path: Path) -> None:
    """A release goes on when its mail would still leave as it does; a new recipient or grant is no reason to end it."""
    async with host(tmp_path) as made:
        carrier = made.carrier()
        carrier.answered.clear()
        for _ in range(3):
            await made.mail()
        made.ask()
        await eventually(lambda: carrier.drawn)
        made.directory = Directory(
            "office.example", [structs.replace(HELD, grants=(), recipients=Recipients()), relayed()]
        )
        made.releases.wake_all()
        carrier.answered.set()
        await all_over(made)
        assert await made.items() == []
        assert carrier.begun == 1


# failures


async def test_an_entry_that_has_gone_is_an_error_that_is_told(tmp_path: Path) -> None:
    """The release ends with it, and its mail waits."""
    async with host(tmp_path, HELD, structs.replace(HELD, name="other.example"), at_once=1) as made:
        await made.mail()
        await made.mail("bert@other.example")
        made.carrier("other.example").dialled.clear()
        made.ask("other.example")
        made.ask()
        made.directory = Directory("office.example", [structs.replace(HELD, name="other.example")])
        made.carrier("other.example").dialled.set()
        await all_over(made)
        end = next(fact for fact in made.told(ReleaseEnded) if fact.domain == TEST)
        assert (end.error, end.left) == ("test.example is no longer configured", 1)
        assert len(await made.items()) == 1


@pytest.mark.parametrize("entry", ["nowhere.example", "*", "refused.example"])
async def test_the_operator_learns_at_once_that_there_is_nothing_to_release(tmp_path: Path, entry: str) -> None:
    """No entry, or one that has nowhere to release to."""
    async with host(tmp_path, HELD, Rejected("refused.example")) as made:
        with pytest.raises(NoSuchEntry):
            made.releases.request_by_operator(entry)
        with pytest.raises(NoSuchEntry):
            await made.releases.release([entry], None)


async def test_a_carrier_that_cannot_be_made_is_an_error_of_that_release(tmp_path: Path) -> None:
    """It is announced, and the next request is heard."""
    async with host(tmp_path) as made:
        await made.mail()
        carry = made.releases._runs._carriers

        def refuse(entry: Entry, destination: DomainName | None, to: HostPort | None) -> Any:
            assert destination is None
            raise NoSuchEntry(f"{entry.name} has no next hop, {to}")

        made.releases._runs._carriers = refuse
        made.ask()
        await all_over(made)
        assert [fact.error for fact in made.told(ReleaseEnded)] == ["test.example has no next hop, None"]
        made.releases._runs._carriers = carry
        assert made.ask() == Started(1)
        await all_over(made)
        assert await made.items() == []


# watching


async def test_waits_for_a_running_and_for_a_queued_release(tmp_path: Path) -> None:
    """Each wait ends with its own release; a number that nobody knows is not waited for."""
    async with host(tmp_path) as made:
        await made.mail()
        carrier = made.carrier()
        carrier.answered.clear()
        made.ask()
        await eventually(lambda: carrier.drawn)
        made.ask()
        second, first = made.releases.views()
        waits = [asyncio.create_task(made.releases.wait(view.number)) for view in (first, second)]
        await asyncio.sleep(0.01)
        assert not any(wait.done() for wait in waits)
        assert made.releases.view(first.number) == first
        carrier.answered.set()
        views = await ended(asyncio.gather(*waits))
        assert [(view.number, view.progress) for view in views] == [
            (first.number, Progress.ENDED),
            (second.number, Progress.ENDED),
        ]
        assert views[0].delivered == 1
        assert await made.releases.wait(first.number) == views[0] == made.releases.view(first.number)
        assert await made.releases.wait(999) is made.releases.view(999) is None


async def test_views_and_memory_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are kept, in order; of those that are over, nothing else stays, here or in the spool."""
    monkeypatch.setattr(register, "KEPT_VIEWS", 5)
    async with host(tmp_path) as made:
        for _ in range(12):
            await made.mail()
            made.ask()
            await all_over(made)
        assert [view.number for view in made.releases.views()] == [12, 11, 10, 9, 8]
        assert made.faulty.calls.count("release_ended") == 12
        runs = made.releases._runs
        for kept in (runs._first, runs._second, runs.register, runs._running, runs._places._taken):
            assert not kept


async def test_many_that_wait_for_their_turn_do_not_crowd_the_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs is always shown."""
    monkeypatch.setattr(register, "KEPT_VIEWS", 5)
    entries = [structs.replace(HELD, name=f"d{n}.example", group="customers") for n in range(20)]
    async with host(tmp_path, *entries, at_once=2) as made:
        for entry in entries:
            made.carrier(entry.name).dialled.clear()
            await made.mail(f"anna@{entry.name}")
        made.ask("#customers")
        await made.settles()
        assert [view.number for view in made.releases.views()] == [20, 19, 18, 17, 16, 2, 1]


# releases of our own, for a call


async def test_a_call_releases_ours_and_waits_for_the_end(tmp_path: Path) -> None:
    """The views come in the order asked; what has no mail is left out."""
    async with host(
        tmp_path, HELD, structs.replace(HELD, name="other.example"), structs.replace(HELD, name="empty.example")
    ) as made:
        await made.mail()
        await made.mail("bert@other.example")
        wanted = ["other.example", "empty.example", "test.example"]
        views = await ended(made.releases.release(wanted, None, "call office"))
        assert [(view.domain, view.delivered, view.requester) for view in views] == [
            ("other.example", 1, "call office"),
            ("test.example", 1, "call office"),
        ]


async def test_a_call_takes_what_leaves_by_itself_whether_it_is_due_or_not(tmp_path: Path) -> None:
    """The link is up now."""
    async with host(tmp_path, relayed()) as made:
        made.carrier(FAST).says = lambda *_: LATER
        await made.mail(f"anna@{FAST}")
        await all_over(made)
        made.carrier(FAST).says = lambda *_: TAKEN
        (view,) = await ended(made.releases.release([FAST], None))
        assert view.delivered == 1


async def test_who_asks_makes_more_of_an_arrival_that_waits_for_its_turn(tmp_path: Path) -> None:
    """All is offered, not only what is due; and a call's window does not bind what others have asked for as well."""
    async with host(tmp_path, relayed(), relayed("slow.example"), HELD, at_once=1) as made:
        made.carrier(FAST).says = lambda *_: LATER
        await made.mail(f"anna@{FAST}")
        await all_over(made)
        made.carrier(FAST).says = lambda *_: TAKEN
        made.carrier("slow.example").dialled.clear()
        await made.mail("anna@slow.example")
        await made.mail(f"bert@{FAST}")
        await made.mail()
        call = asyncio.create_task(made.releases.release([FAST, TEST], made.clock.monotonic() + 10))
        await asyncio.sleep(0)
        assert made.ask() == Started(1)
        await made.clock.turn(11)
        made.carrier("slow.example").dialled.set()
        assert [(view.domain, view.delivered) for view in await ended(call)] == [(FAST, 2), (TEST, 1)]


async def test_ends_are_kept_for_who_waits_however_many_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that waits for its second release still learns of its first."""
    monkeypatch.setattr(register, "KEPT_VIEWS", 1)
    async with host(tmp_path, HELD, structs.replace(HELD, name="other.example")) as made:
        await made.mail()
        await made.mail("bert@other.example")
        made.carrier("other.example").dialled.clear()
        waiting = asyncio.create_task(made.releases.release([TEST, "other.example"], None))
        await eventually(lambda: made.carrier().drawn)
        await made.mail()
        made.ask()
        await eventually(lambda: len(made.told(ReleaseEnded)) == 2)
        made.carrier("other.example").dialled.set()
        assert [view.domain for view in await ended(waiting)] == [TEST, "other.example"]


async def test_a_window_that_is_over_begins_nothing(tmp_path: Path) -> None:
    """Not even a connection, when its turn comes too late."""
    async with host(tmp_path) as made:
        await made.mail()
        carrier = made.carrier()
        carrier.answered.clear()
        made.ask()
        await eventually(lambda: carrier.drawn)
        await made.mail()
        waiting = asyncio.create_task(made.releases.release([TEST], made.clock.monotonic() + 60))
        await made.clock.turn(61)
        carrier.takes = 1
        carrier.answered.set()
        (view,) = await ended(waiting)
        assert (view.error, view.delivered) == (WINDOW_OVER, 0)
        assert carrier.begun == 1


async def test_who_joins_is_not_cut_short_by_the_others_window(tmp_path: Path) -> None:
    """An operator who asks while a call's release dials is served after the call's window, too."""
    async with host(tmp_path) as made:
        for _ in range(3):
            await made.mail()
        made.carrier().dialled.clear()
        call = asyncio.create_task(made.releases.release([TEST], made.clock.monotonic() + 60))
        await eventually(lambda: made.carrier().begun)
        made.releases.request_by_operator(TEST)
        await made.clock.turn(61)
        made.carrier().dialled.set()
        (view,) = await ended(call)
        assert view.delivered == 3


# mail that leaves by itself


@pytest.mark.parametrize("entry", [relayed(), local(FAST)], ids=["relay", "deliver"])
async def test_relayed_and_local_mail_leaves_when_it_arrives(tmp_path: Path, entry: Entry) -> None:
    """Without anybody asking."""
    async with host(tmp_path, entry) as made:
        await made.mail(f"anna@{FAST}")
        await all_over(made)
        assert await made.items() == []
        (view,) = made.releases.views()
        assert (view.requester, view.delivered) == ("arrival", 1)


async def test_what_waits_at_start_leaves_at_start(tmp_path: Path) -> None:
    """By wake_all(), each entry once, domains without an entry of their own by `*`."""
    async with host(tmp_path, relayed(), relayed(EVERY_OTHER), HELD) as made:
        for address in (f"anna@{FAST}", "bert@x.example", "cleo@y.example", "dora@test.example"):
            await made.mail(address, arrives=False)
        assert made.releases.views() == []
        made.releases.wake_all()
        await all_over(made)
        assert sorted(view.domain for view in made.releases.views()) == [EVERY_OTHER, FAST]
        assert [item.domain for item in await made.items()] == [TEST]


async def test_a_burst_shares_releases(tmp_path: Path) -> None:
    """A thousand arrivals at once are a few releases and a few tasks, and all leave."""
    async with host(tmp_path, local(FAST)) as made:
        arrivals = [asyncio.create_task(made.mail(f"anna@{FAST}")) for _ in range(1000)]
        await ended(asyncio.gather(*arrivals))
        await eventually(lambda: not made.releases.waiting_items(FAST))
        await all_over(made)
        assert await made.items() == []
        assert len(made.told(ReleaseStarted)) < 100


@pytest.mark.parametrize("delay", range(12))
async def test_no_arrival_is_forgotten_whenever_it_comes(tmp_path: Path, delay: int) -> None:
    """Also in the moments between a release's last look and its end: nothing else need happen for it to leave."""
    async with host(tmp_path, local(FAST)) as made:
        for round_ in range(10):
            await made.mail(f"anna@{FAST}")
            for _ in range(delay * 3 + round_):
                await asyncio.sleep(0)
            await made.mail(f"bert@{FAST}")
        await eventually(lambda: not made.releases.waiting_items(FAST))
        await all_over(made)
        assert await made.items() == []


async def test_what_arrives_after_the_feed_has_ended_leaves_after_the_release(tmp_path: Path) -> None:
    """The carrier is still saying good-bye when it comes: it goes with the next release, at once."""
    leave = asyncio.Event()

    class Polite(ScriptedCarrier):
        """Takes its time to leave."""

        async def carry(self, feed: Feed, report: Report) -> CarryEnd:
            """As ever, but for the end."""
            end = await super().carry(feed, report)
            await leave.wait()
            return end

    async with host(tmp_path, relayed()) as made:
        carrier = made.carriers[FAST] = Polite()
        await made.mail(f"anna@{FAST}")
        await eventually(lambda: len(carrier.drawn) == 1 and made.releases.waiting_items(FAST) == 0)
        await made.settles()
        await made.mail(f"bert@{FAST}")
        await made.settles()
        assert len(carrier.drawn) == 1
        leave.set()
        await eventually(lambda: len(carrier.drawn) == 2)
        await all_over(made)
        assert await made.items() == []


async def test_what_fails_is_tried_again_later_each_time(tmp_path: Path) -> None:
    """After 1, 2, 4 minutes; what arrives meanwhile waits with it; then all of it leaves."""
    async with host(tmp_path, relayed()) as made:
        carrier = made.carrier(FAST)
        carrier.takes, carrier.error = 0, "connection refused"
        await made.mail(f"anna@{FAST}")
        for tries, minutes in enumerate((1, 2, 4), 1):
            await until_ended(made, tries)
            await made.settles()
            await made.mail(f"bert@{FAST}")
            await made.settles(minutes * 60 - 1)
            assert carrier.begun == tries
            await made.settles(1)
        await eventually(lambda: len(made.told(ReleaseEnded)) == 4)
        carrier.takes, carrier.error = None, ""
        await made.settles(8 * 60)
        await eventually(lambda: not made.releases.waiting_items(FAST))
        assert len(carrier.drawn) == 4


async def test_what_was_deferred_is_tried_again_when_it_is_due(tmp_path: Path) -> None:
    """By its own time, while other mail for the same entry goes at once."""
    async with host(tmp_path, relayed()) as made:
        carrier = made.carrier(FAST)
        carrier.says = lambda _, mailbox: LATER if mailbox.local == "anna" else TAKEN
        await made.mail(f"anna@{FAST}")
        await all_over(made)
        await made.settles(30)
        await made.mail(f"bert@{FAST}")
        await all_over(made)
        await made.settles()
        assert [item.envelope.recipients[0].mailbox.local for item in carrier.drawn] == ["anna", "bert"]
        carrier.says = lambda *_: TAKEN
        await made.settles(25)
        assert len(carrier.drawn) == 2
        await made.settles(5)
        await eventually(lambda: len(carrier.drawn) == 3)
        await all_over(made)
        assert await made.items() == []


async def test_a_link_that_drops_now_and_then_is_tried_again_soon(tmp_path: Path) -> None:
    """Each release that moved something begins the waits anew."""
    async with host(tmp_path, relayed()) as made:
        carrier = made.carrier(FAST)
        carrier.takes, carrier.error = 1, "connection reset"
        for _ in range(4):
            await made.mail(f"anna@{FAST}")
        for tries in range(1, 5):
            await until_ended(made, tries)
            await made.settles(60)
        assert len(carrier.drawn) == 4
        assert await made.items() == []


async def test_a_success_begins_the_waits_anew(tmp_path: Path) -> None:
    """Two failures, a success, and the next failure waits a minute; what is deferred meanwhile holds up nobody."""
    async with host(tmp_path, relayed()) as made:
        carrier = made.carrier(FAST)
        carrier.takes, carrier.error = 0, "connection refused"
        await made.mail(f"anna@{FAST}")
        await until_ended(made, 1)
        await made.settles(60)
        await until_ended(made, 2)
        carrier.takes, carrier.error, carrier.says = None, "", lambda *_: LATER
        await made.settles(120)
        await until_ended(made, 3)
        await made.settles()
        carrier.takes, carrier.error = 0, "connection refused"
        await made.mail(f"bert@{FAST}")
        await until_ended(made, 4)
        carrier.takes, carrier.error, carrier.says = None, "", lambda *_: TAKEN
        await made.settles(60)
        await eventually(lambda: not made.releases.waiting_items(FAST))


async def test_an_operator_does_not_wait_for_the_alarm(tmp_path: Path) -> None:
    """Nor for what is due; afterwards all is as if it had never failed."""
    async with host(tmp_path, relayed()) as made:
        carrier = made.carrier(FAST)
        carrier.takes, carrier.error = 0, "connection refused"
        await made.mail(f"anna@{FAST}")
        await all_over(made)
        carrier.takes, carrier.error = None, ""
        view = await ended(made.releases.wait(made.releases.request_by_operator(FAST).number))
        assert view.delivered == 1
        await made.mail(f"bert@{FAST}")
        await all_over(made)
        assert await made.items() == []
        await made.settles(86_400)
        assert carrier.begun == 3


async def test_a_carrier_that_takes_nothing_and_says_nothing_is_not_asked_in_a_circle(tmp_path: Path) -> None:
    """It counts as a failure: the next release is a minute away."""
    async with host(tmp_path, relayed()) as made:
        carrier = made.carrier(FAST)
        carrier.takes = 0
        await made.mail(f"anna@{FAST}")
        for _ in range(10):
            await made.settles()
        assert carrier.begun == 1
        await made.settles(60)
        await eventually(lambda: carrier.begun == 2)


async def test_a_store_that_cannot_be_asked_is_asked_again(tmp_path: Path) -> None:
    """What is due is not forgotten over a fault that passes."""
    async with host(tmp_path, relayed()) as made:
        carrier = made.carrier(FAST)
        carrier.says = lambda *_: LATER
        made.faulty.faults["due"] = SpoolBroken("disk I/O error")
        await made.mail(f"anna@{FAST}")
        await all_over(made)
        await asyncio.sleep(0.01)
        made.faulty.faults.clear()
        carrier.says = lambda *_: TAKEN
        await made.settles(61)
        await eventually(lambda: len(carrier.drawn) == 2)


async def test_mail_for_a_domain_that_is_now_refused_is_left_alone(tmp_path: Path) -> None:
    """It waits for an operator; nobody tries to release it, again and again."""
    async with host(tmp_path, Rejected(FAST)) as made:
        await made.mail(f"anna@{FAST}")
        made.releases.wake_all()
        await made.settles(86_400)
        assert made.releases.views() == []
        assert made.facts == []


async def test_the_report_of_a_refusal_leaves_by_itself(tmp_path: Path) -> None:
    """To a local or relayed sender at once; to a held one when it is asked for."""
    async with host(tmp_path, HELD, local(), relayed(), structs.replace(HELD, name="other.example")) as made:
        made.carrier().says = lambda *_: NEVER
        for sender in ("lena@local.example", f"rob@{FAST}", "hank@other.example", "tom@refused.example"):
            await made.mail(sender=sender)
        made.ask()
        await eventually(lambda: made.carrier("local.example").drawn and made.carrier(FAST).drawn)
        await all_over(made)
        assert [str(item.envelope.recipients[0].mailbox) for item in await made.items()] == ["hank@other.example"]
        assert len(made.told(ItemFailed)) == 4


async def test_no_report_is_spooled_for_a_domain_that_is_refused_here(tmp_path: Path) -> None:
    """It could never leave."""
    async with host(tmp_path, HELD, Rejected("far.example")) as made:
        made.carrier().says = lambda *_: NEVER
        await made.mail()
        made.ask()
        await all_over(made)
        assert await made.items() == []
        assert [fact.dsn for fact in made.told(ItemFailed)] == [None]
        assert not made.releases.can_route(DomainName("nowhere.example"))


# stopping


async def test_stop_lets_what_is_on_its_way_finish(tmp_path: Path) -> None:
    """And begins nothing more: neither messages, nor queued releases, nor those that wait for their turn."""
    async with host(tmp_path, HELD, structs.replace(HELD, name="other.example"), relayed(), at_once=2) as made:
        carrier = made.carrier()
        carrier.answered.clear()
        made.carrier("other.example").answered.clear()
        for _ in range(3):
            await made.mail()
        await made.mail("bert@other.example")
        made.ask()
        made.ask("other.example")
        await eventually(lambda: carrier.drawn and made.carrier("other.example").drawn)
        await made.mail(f"anna@{FAST}")
        made.ask()
        waits = [asyncio.create_task(made.releases.wait(view.number)) for view in made.releases.views()]
        assert len(waits) == 3  # what leaves by itself gets its number with its place
        await asyncio.sleep(0)
        stopping = asyncio.create_task(made.releases.stop(10))
        await asyncio.sleep(0.01)
        carrier.answered.set()
        made.carrier("other.example").answered.set()
        await ended(stopping)
        views = await ended(asyncio.gather(*waits))
        assert {(view.domain, view.delivered, view.error) for view in views} == {
            (TEST, 1, STOPPED),
            ("other.example", 1, ""),
            (TEST, 0, STOPPED),
        }
        assert FAST not in made.carriers
        assert len(await made.items()) == 3
        await made.mail(f"anna@{FAST}")
        assert made.releases._runs._running == {}


async def test_stop_cuts_what_takes_too_long(tmp_path: Path) -> None:
    """Its items wait as before, and its end is announced."""
    async with host(tmp_path) as made:
        carrier = made.carrier()
        carrier.answered.clear()
        await made.mail()
        before = await made.items()
        made.ask()
        await eventually(lambda: carrier.drawn)
        await ended(made.releases.stop(0.05))
        assert await made.items() == before
        assert [(fact.delivered, fact.left, fact.error) for fact in made.told(ReleaseEnded)] == [(0, 1, STOPPED)]
        (view,) = made.releases.views()
        assert (view.progress, view.error) == (Progress.ENDED, STOPPED)


async def test_stop_without_patience_ends_what_has_not_even_begun(tmp_path: Path) -> None:
    """Whoever waits for it is let go."""
    async with host(tmp_path) as made:
        await made.mail()
        made.ask()
        (view,) = made.releases.views()
        waiting = asyncio.create_task(made.releases.wait(view.number))
        await ended(made.releases.stop(0))
        assert (await ended(waiting)).progress is Progress.ENDED
        assert [item.state for item in await made.items()] == [ItemState.WAITING]


async def test_nothing_rings_after_stop(tmp_path: Path) -> None:
    """No alarm, no arrival begins anything."""
    async with host(tmp_path, relayed()) as made:
        made.carrier(FAST).takes, made.carrier(FAST).error = 0, "connection refused"
        await made.mail(f"anna@{FAST}")
        await all_over(made)
        await made.releases.stop(1)
        await made.mail(f"bert@{FAST}")
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await made.settles(86_400)
        assert made.carrier(FAST).begun == 1


# what it costs


async def test_an_arrival_costs_a_look_and_no_task(tmp_path: Path) -> None:
    """For held mail, and for mail whose entry is busy or down; whatever else waits is not walked through."""
    async with host(tmp_path, HELD, relayed(), relayed(EVERY_OTHER)) as made:
        made.carrier(FAST).dialled.clear()
        made.carrier(EVERY_OTHER).dialled.clear()
        await made.mail(f"anna@{FAST}")
        await made.mail("anna@x.example")
        await made.settles()
        tasks = len(asyncio.all_tasks())
        made.faulty.calls.clear()
        for _ in range(1000):
            for domain in (TEST, DomainName(FAST), DomainName("y.example")):
                made.releases.arrived(domain)
        assert made.faulty.calls == []
        assert len(asyncio.all_tasks()) == tasks


async def test_one_domain_is_asked_about_without_walking_through_all(tmp_path: Path) -> None:
    """An ETRN looks at its own counter; mail of `*` that leaves by itself looks at the domains of `*`."""
    async with host(tmp_path, HELD, relayed(EVERY_OTHER)) as made:
        await made.mail()
        made.faulty.calls.clear()
        assert made.ask() == Started(1)
        await all_over(made)
        await made.mail("anna@x.example")
        await all_over(made)
        assert "domains" not in made.faulty.calls
        assert made.releases.waiting_domains(EVERY_OTHER) == []


async def test_the_domains_of_a_held_star_are_those_with_mail_and_no_entry(tmp_path: Path) -> None:
    """A site's outgoing mail: nobody announces its arrivals, so the spool is asked."""
    everything = Held(EVERY_OTHER, HostPort("192.0.2.1"))
    async with host(tmp_path, HELD, everything) as made:
        for address in ("anna@test.example", "bert@x.example", "cleo@y.example"):
            await made.mail(address, arrives=False)
        assert sorted(made.releases.waiting_domains(EVERY_OTHER)) == ["x.example", "y.example"]
        assert made.releases.waiting_items(EVERY_OTHER) == 2
        (view,) = await ended(made.releases.release([EVERY_OTHER], None))
        assert view.delivered == 2
        assert [item.domain for item in await made.items()] == [TEST]
