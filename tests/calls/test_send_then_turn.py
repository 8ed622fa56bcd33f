"""Calls by ATRN that send first: our own mail goes over the connection before it is turned, where it is taken there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from msgspec import structs
from tests.calls.played import OFFICE, TEST, Feed, PlayedOffices, means
from tests.calls.test_turning import GREETING, LEAVES, MESSAGE, QUITS, TURNS
from tests.release.host import Host, ScriptedCarrier, eventually, host, local

from restante.calls.call import GRACE_SECONDS, Call
from restante.calls.handing import HandingOn
from restante.calls.plan import CallPlan
from restante.cli.fetching import Fetching, carrier_of
from restante.directory.entries import Entry, Held
from restante.facts import CallEnded, ItemDeferred, ItemDelivered, ItemFailed, ReleaseEnded
from restante.model import HostPort

OUT = "out.example"
OURS = Held(OUT, HostPort(OFFICE.host, 25))
PLAN = CallPlan("office", HostPort(OFFICE.host, 366), (TEST,), turns=True, flush=(OUT,))
TURN = TURNS.removeprefix(GREETING)
OPENS = """
    C: MAIL FROM:<carla@test.example>
    S: 250 2.1.0 OK
"""
TAKES = f"""{OPENS}
    C: RCPT TO:<anna@out.example>
    S: 250 2.1.5 OK
    C: DATA
    S: 354 go on
    L: Subject: Fuel
    S: 250 2.0.0 OK
"""
REFUSES_RECIPIENT = f"""{OPENS}
    C: RCPT TO:<anna@out.example>
    S: 550 5.1.1 no such user
"""
REFUSES_SENDER = """
    C: MAIL FROM:<carla@test.example>
    S: 550 5.1.8 no such sender
"""


def answers_mail(reply: str) -> str:
    """An office whose conversation goes on with ATRN at once."""
    return f"{GREETING}\n    C: MAIL FROM:<carla@test.example>\n    S: {reply}\n{TURN}{MESSAGE}{QUITS}"


@dataclass
class Sending:
    """A call that runs on a host with two messages of ours."""

    host: Host
    offices: PlayedOffices
    call: Call
    task: asyncio.Task[CallEnded]

    @property
    def own_way(self) -> ScriptedCarrier:
        """What carries to the office's ordinary port."""
        return self.host.carrier(OUT)

    async def ends(self) -> CallEnded:
        """Its record; and the office has seen just what it was to see."""
        record = await asyncio.wait_for(self.task, 60)
        await self.offices.finished()
        return record


@asynccontextmanager
async def sending(
    folder: Path, *scripts: str, plan: CallPlan = PLAN, entries: Sequence[Entry] = (OURS,), is_held_up: bool = False
) -> AsyncIterator[Sending]:
    """A call to an office that plays these scripts, one a connection; the own way may be slow."""
    async with host(folder, local(TEST), *entries) as made:
        for entry in entries:
            for _ in range(2):
                await made.mail(f"anna@{entry.name}", sender="carla@test.example")
        if is_held_up:
            made.carrier(OUT).answered.clear()
        offices, feed = PlayedOffices(*scripts), Feed()
        inbox = HandingOn(carrier_of(f"maildir:{folder}/mailboxes", "site.example"), wall=made.clock.wall)
        serve = Fetching((TEST,), "site.example", inbox, made.clock).serve
        call = Call(plan, "schedule", replace(means(offices, made.clock, feed, serve=serve), releaser=made.releases))
        task = asyncio.create_task(call.run())
        try:
            yield Sending(made, offices, call, task)
        finally:
            task.cancel()
            await asyncio.wait([task])
            await offices.closed()


async def test_ours_goes_first_and_theirs_comes_then(tmp_path: Path) -> None:
    """Over one connection, in both directions."""
    async with sending(tmp_path, f"{GREETING}{TAKES}{TAKES}{TURN}{MESSAGE}{QUITS}") as run:
        record = await run.ends()
        assert (record.ended_by, record.sent, record.received, record.left, record.error) == ("counts", 2, 1, 0, "")
        assert (run.offices.dialled, run.own_way.begun) == (1, 0)
        assert await run.host.items() == []


async def test_ours_is_sent_also_where_the_office_has_nothing(tmp_path: Path) -> None:
    """It says so only when it is asked."""
    script = f"{GREETING}{TAKES}{TAKES}\n    C: ATRN test.example\n    S: 453 You have no mail\n{LEAVES}"
    async with sending(tmp_path, script) as run:
        record = await run.ends()
        assert (record.sent, record.received, record.left, record.error) == (2, 0, 0, "")


@pytest.mark.parametrize(
    "reply",
    ["502 5.5.1 Not implemented", "502 no", "503 ATRN first", "530 5.7.0 Must issue STARTTLS", "500 5.5.2 What?"],
)
async def test_where_no_mail_is_taken_it_is_turned_at_once_and_ours_goes_its_own_way(
    tmp_path: Path, reply: str
) -> None:
    """RFC 2645 §5.1 lets an office answer 502. That is no news of any message, and theirs does not wait for ours."""
    async with sending(tmp_path, answers_mail(reply), is_held_up=True) as run:
        await eventually(lambda: run.call.view.received == 1)
        assert len(run.own_way.drawn) == 1
        run.own_way.answered.set()
        record = await run.ends()
        assert (record.ended_by, record.sent, record.received, record.left, record.error) == ("counts", 2, 1, 0, "")
        assert len({item.id for item in run.own_way.drawn}) == len(run.own_way.drawn) == 2
        assert all(item.attempts == 0 for item in run.own_way.drawn)
        assert (run.host.told(ItemDeferred), run.host.told(ItemFailed)) == ([], [])
        assert [(end.delivered, end.error) for end in run.host.told(ReleaseEnded)] == [(2, "")]


@pytest.mark.parametrize("refuses", [REFUSES_RECIPIENT, REFUSES_SENDER], ids=["RCPT", "MAIL"])
async def test_what_is_refused_for_good_becomes_a_dsn(tmp_path: Path, refuses: str) -> None:
    """Also the first that is tried; the office takes mail there, and the next message goes on."""
    script = f"{GREETING}{refuses}\n    C: RSET\n    S: 250 OK\n{TAKES}{TURN}{QUITS}"
    async with sending(tmp_path, script) as run:
        record = await run.ends()
        assert (record.sent, record.left, record.error) == (1, 0, "")
        [failed] = run.host.told(ItemFailed)
        assert failed.dsn is not None
        await eventually(lambda: run.host.carrier(TEST).drawn)
        assert [item.message for item in run.host.carrier(TEST).drawn] == [failed.dsn]
        assert run.own_way.begun == 0


async def test_what_is_deferred_waits(tmp_path: Path) -> None:
    """A 4yz is about mail: it does not go another way."""
    later = "\n    C: MAIL FROM:<carla@test.example>\n    S: 451 4.3.0 Not now\n"
    script = f"{GREETING}{later}\n    C: RSET\n    S: 250 OK\n{later}{TURN}{QUITS}"
    async with sending(tmp_path, script) as run:
        record = await run.ends()
        assert (record.sent, record.left) == (0, 2)
        assert len(run.host.told(ItemDeferred)) == 2
        assert run.own_way.begun == 0


async def test_a_cut_leaves_the_rest_waiting_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    """The rest goes its own way when it is tried again; the next connection is for ATRN alone, or it would never be."""
    scripts = f"{GREETING}{TAKES}{OPENS}", f"{TURNS}{MESSAGE}{QUITS}"
    async with sending(tmp_path, *scripts) as run:
        await eventually(lambda: "flush" in run.call.view.error or run.host.told(ReleaseEnded))
        assert [item.state for item in await run.host.items(OUT)] == ["waiting"]
        await run.host.settles(2)
        record = await run.ends()
        assert (record.ended_by, record.sent, record.received, record.left, record.error) == ("counts", 2, 1, 0, "")
        delivered = [fact.item for fact in run.host.told(ItemDelivered)]
        assert len(delivered) == len(set(delivered)) == 2
        assert [item.id for item in run.own_way.drawn] == delivered[1:]


async def test_what_has_another_next_hop_or_needs_more_goes_beside_it(tmp_path: Path) -> None:
    """Another host, or TLS that this connection does not owe; ATRN waits for none of them."""
    other = structs.replace(OURS, name="other.example", next_hop=HostPort("elsewhere.example"))
    secret = structs.replace(OURS, name="secret.example", tls="required")
    plan = replace(PLAN, flush=(OUT, other.name, secret.name))
    script = f"{GREETING}{TAKES}{TAKES}{TURN}{QUITS}"
    async with sending(tmp_path, script, plan=plan, entries=(OURS, other, secret)) as run:
        for name in (other.name, secret.name):
            run.host.carrier(name).answered.clear()
        await eventually(lambda: run.offices.dialled)
        await run.offices.finished()
        for name in (other.name, secret.name):
            assert run.host.carrier(name).begun == 1
            run.host.carrier(name).answered.set()
        record = await run.ends()
        assert (record.sent, record.left, record.error, run.own_way.begun) == (6, 0, "", 0)


async def test_several_entries_go_one_after_the_other(tmp_path: Path) -> None:
    """Each is a release of its own."""
    second = structs.replace(OURS, name="second.example")
    takes = TAKES.replace(OUT, second.name)
    script = f"{GREETING}{TAKES}{TAKES}{takes}{takes}{TURN}{QUITS}"
    async with sending(tmp_path, script, plan=replace(PLAN, flush=(OUT, second.name)), entries=(OURS, second)) as run:
        record = await run.ends()
        assert (record.sent, record.left, record.error) == (4, 0, "")
        assert [end.domain for end in run.host.told(ReleaseEnded)] == [OUT, second.name]


@pytest.mark.parametrize("first", ["S: 554 go away", ""], ids=["refused", "cut"])
async def test_where_the_office_does_not_let_us_in_ours_goes_its_own_way(tmp_path: Path, first: str) -> None:
    """It is another port, and may be better off."""
    async with sending(tmp_path, first) as run:
        await eventually(lambda: run.host.told(ReleaseEnded))
        assert [end.delivered for end in run.host.told(ReleaseEnded)] == [2]


async def test_what_is_being_released_already_is_not_waited_for(tmp_path: Path) -> None:
    """One release runs for each entry, and it has its own connection."""
    async with sending(tmp_path, f"{TURNS}{MESSAGE}{QUITS}", is_held_up=True) as run:
        run.host.releases.request_by_operator(OUT)
        await eventually(lambda: run.call.view.received == 1)
        run.own_way.answered.set()
        record = await run.ends()
        assert (record.received, record.left, record.error) == (1, 0, "")
        assert len(run.own_way.drawn) == 2


async def test_the_window_s_end_is_between_our_messages(tmp_path: Path) -> None:
    """The one on its way may be finished; then the office is left, and not asked."""
    first = TAKES.replace("S: 250 2.0.0 OK", "wait\n    S: 250 2.0.0 OK")
    plan = replace(PLAN, window=20)
    async with sending(tmp_path, f"{GREETING}{first}{LEAVES}", plan=plan) as run:
        await eventually(lambda: run.offices.held)
        await run.host.clock.turn(21)
        assert not run.task.done()
        run.offices.go_on.set()
        record = await run.ends()
        assert (record.ended_by, record.sent, record.left) == ("window", 1, 1)
        assert "stopped before ATRN" in record.error


async def test_an_office_that_hangs_meanwhile_costs_the_window_and_the_grace(tmp_path: Path) -> None:
    """What it has not answered waits."""
    async with sending(tmp_path, f"{GREETING}{OPENS}wait\n...", plan=replace(PLAN, window=20)) as run:
        await eventually(lambda: run.offices.held)
        run.offices.go_on.set()
        await run.host.settles(21)
        await run.host.settles(GRACE_SECONDS)
        await run.host.settles(GRACE_SECONDS)
        record = await run.ends()
        assert (record.sent, record.left) == (0, 2)
