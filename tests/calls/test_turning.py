"""Calls by ATRN, on the wire: all that an office may answer and do, and that what was acknowledged is in a mailbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.calls.played import OFFICE, TEST, Feed, PlayedOffices, Shelf, eventually, means

from restante.calls.call import GRACE_SECONDS, Call
from restante.calls.handing import HandingOn
from restante.calls.login import Login
from restante.calls.plan import CallPlan
from restante.cli.fetching import Fetching, carrier_of
from restante.clock import TurnedClock
from restante.facts import CallEnded, MessageAccepted
from restante.model import CallView

GREETING = """
    S: 220 office.example ESMTP
    C: EHLO site.example
    S: 250-office.example
    S: 250-AUTH CRAM-MD5
    S: 250 ATRN
"""
ASKS = f"""{GREETING}
    C: ATRN test.example
"""
LEAVES = """
    C: QUIT
    S: 221 Bye
"""
TURNS = f"""{ASKS}
    S: 250 OK now reversing the connection
    R: 220
    S: EHLO office.example
    R: 250
"""
MESSAGE = """
    S: MAIL FROM:<ann@far.example>
    R: 250
    S: RCPT TO:<anna@test.example>
    R: 250
    S: DATA
    R: 354
    S: Subject: hello
    S:
    S: .
    R: 250
"""
QUITS = """
    S: QUIT
    R: 221
"""


def answers(reply: str) -> str:
    """An office that does not turn round."""
    return f"{ASKS}\n    S: {reply}\n{LEAVES}"


@dataclass
class Turning:
    """A call by ATRN that runs."""

    call: Call
    clock: TurnedClock
    feed: Feed
    offices: PlayedOffices
    mailboxes: Path
    task: asyncio.Task[CallEnded] = field(init=False)

    @property
    def view(self) -> CallView:
        """The call as it stands."""
        return self.call.view

    async def ends(self) -> CallEnded:
        """Its record."""
        return await asyncio.wait_for(self.task, 60)

    async def comes_to(self, step: str) -> None:
        """Until it is there."""
        await eventually(lambda: self.view.step == step)

    def mail(self) -> int:
        """How many messages lie in Anna's mailbox."""
        return len(list((self.mailboxes / "test.example/anna/new").glob("*")))


@asynccontextmanager
async def calling(
    folder: Path, *scripts: str, plan: CallPlan | None = None, shelf: Shelf | None = None
) -> AsyncIterator[Turning]:
    """A call to an office that plays these scripts, one a connection."""
    offices, clock, feed = PlayedOffices(*scripts), TurnedClock(), Feed()
    inbox = HandingOn(carrier_of(f"maildir:{folder}", "site.example"), wall=clock.wall)
    plan = plan or CallPlan("office", OFFICE, (TEST,), turns=True)
    serve = Fetching((TEST,), "site.example", inbox, clock).serve
    call = Call(plan, "schedule", means(offices, clock, feed, shelf, serve=serve))
    turning = Turning(call, clock, feed, offices, folder)
    turning.task = asyncio.create_task(call.run())
    await clock.turn(0)
    try:
        yield turning
    finally:
        turning.task.cancel()
        await asyncio.wait([turning.task])
        await offices.closed()


async def test_mail_comes_over_the_connection_that_was_turned_round(tmp_path: Path) -> None:
    """What is acknowledged is counted, and in its mailbox."""
    async with calling(tmp_path, f"{TURNS}{MESSAGE}{MESSAGE}{QUITS}") as turning:
        record = await turning.ends()
        await turning.offices.finished()
        assert (record.ended_by, record.received, record.error) == ("counts", 2, "")
        assert turning.view.replies == ("ATRN: 250 OK now reversing the connection",)
        assert turning.view.expected is None
        assert turning.mail() == 2
        assert sum(isinstance(fact, MessageAccepted) for fact in turning.feed.facts) == 2


async def test_mail_that_comes_on_another_way_is_not_the_call_s(tmp_path: Path) -> None:
    """For the same domain, from somebody else, meanwhile."""
    async with calling(tmp_path, f"{TURNS}...") as turning:
        await turning.comes_to("turned")
        turning.feed.arrives(500)
        assert turning.view.received == 0


@pytest.mark.parametrize("script", [answers("453 You have no mail"), f"{TURNS}{QUITS}"], ids=["453", "empty turn"])
async def test_no_mail_is_well(tmp_path: Path, script: str) -> None:
    """RFC 2645 §5.2.1 lets an office say it in two ways."""
    async with calling(tmp_path, script) as turning:
        record = await turning.ends()
        await turning.offices.finished()
        assert (record.ended_by, record.received, record.error) == ("counts", 0, "")


@pytest.mark.parametrize(
    "reply",
    [
        "450 4.7.1 ATRN request refused",
        "450 ATRN request refused",
        "450 4.7.10 must be encrypted",
        "500 5.5.2 what?",
        "502 5.5.1 Command not implemented",
        "530 5.7.0 Authentication required",
        "550 no",
    ],
)
async def test_a_refusal_is_an_error_and_is_not_asked_again(tmp_path: Path, reply: str) -> None:
    """Not now either: it will not change inside a window."""
    async with calling(tmp_path, answers(reply)) as turning:
        record = await turning.ends()
        await turning.offices.finished()
        assert (record.ended_by, record.error, turning.offices.dialled) == ("error", f"ATRN: {reply}", 1)


@pytest.mark.parametrize("reply", ["450 4.7.0 You ask too often", "451 Unable to process ATRN request now"])
async def test_not_now_is_asked_again_inside_the_window(tmp_path: Path, reply: str) -> None:
    """And what was said first is no error once it has gone well."""
    async with calling(tmp_path, answers(reply), f"{TURNS}{MESSAGE}{QUITS}") as turning:
        await turning.comes_to("waiting")
        assert reply in turning.view.error
        await turning.clock.turn(2)
        record = await turning.ends()
        assert (record.ended_by, record.received, record.error) == ("counts", 1, "")


async def test_octets_behind_the_250_are_an_attack(tmp_path: Path) -> None:
    """The office has to wait for our 220; nothing of it is taken."""
    early = f"{ASKS}\n    S: 250 OK\n    S: EHLO office.example\n    S: MAIL FROM:<>"
    async with calling(tmp_path, early) as turning:
        await eventually(lambda: "octets were sent behind the reply to ATRN" in turning.view.error)
        assert turning.view.received == 0


async def test_an_office_that_hangs_up_in_the_midst_is_asked_again(tmp_path: Path) -> None:
    """What was acknowledged counts; the rest may still come inside the window."""
    cut = f"{TURNS}{MESSAGE}\n    S: MAIL FROM:<ann@far.example>\n    R: 250"
    async with calling(tmp_path, cut, f"{TURNS}{MESSAGE}{QUITS}") as turning:
        await eventually(lambda: "left before it had sent all" in turning.view.error)
        assert turning.view.received == 1
        await turning.clock.turn(2)
        record = await turning.ends()
        assert (record.ended_by, record.received, record.error) == ("counts", 2, "")
        assert turning.mail() == 2


async def test_a_cut_connection_s_mail_counts_also_when_it_is_the_last(tmp_path: Path) -> None:
    """The call is then no success, and no complete failure."""
    async with calling(tmp_path, f"{TURNS}{MESSAGE}", answers("502 no more")) as turning:
        await eventually(lambda: turning.view.error)
        await turning.clock.turn(2)
        record = await turning.ends()
        assert (record.ended_by, record.received) == ("counts", 1)
        assert record.error.endswith("ATRN: 502 no more")


async def test_an_office_that_falls_silent_is_left(tmp_path: Path) -> None:
    """After `idle`, with 421 as RFC 5321 §3.8 wants it: the link costs money."""
    async with calling(tmp_path, f"{TURNS}{MESSAGE}\n    R: 421") as turning:
        await eventually(lambda: turning.view.received == 1)
        await turning.clock.turn(32)
        record = await turning.ends()
        await turning.offices.finished()
        assert (record.ended_by, record.received, record.error) == ("idle", 1, "")


async def test_the_window_s_end_is_between_messages(tmp_path: Path) -> None:
    """The one that is coming in may be finished; then 421."""
    script = f"{TURNS}{MESSAGE}" + MESSAGE.replace("S: .\n    R: 250", "...")
    plan = CallPlan("office", OFFICE, (TEST,), turns=True, window=20)
    async with calling(tmp_path, script, plan=plan) as turning:
        await eventually(lambda: turning.view.received == 1)
        await turning.clock.turn(21)
        assert not turning.task.done()
        await turning.clock.turn(GRACE_SECONDS)
        record = await turning.ends()
        assert (record.ended_by, record.received, turning.mail()) == ("window", 1, 1)


async def test_a_message_that_is_finished_in_the_grace_is_taken(tmp_path: Path) -> None:
    """And then the office is told that the window is over."""
    script = TURNS + MESSAGE.replace("S: .\n    R: 250", "wait\n    S: .\n    R: 421")  # and 250 before it
    plan = CallPlan("office", OFFICE, (TEST,), turns=True, window=20)
    async with calling(tmp_path, script, plan=plan) as turning:
        await turning.comes_to("turned")
        await eventually(lambda: turning.offices.held)
        await turning.clock.turn(21)
        turning.offices.go_on.set()
        record = await turning.ends()
        await turning.offices.finished()
        assert (record.ended_by, record.received, turning.mail()) == ("window", 1, 1)


async def test_a_stop_hangs_up_at_once(tmp_path: Path) -> None:
    """What is not acknowledged waits at the office."""
    async with calling(tmp_path, f"{TURNS}{MESSAGE}...") as turning:
        await eventually(lambda: turning.view.received == 1)
        turning.call.hang_up("restante is stopping")
        record = await turning.ends()
        assert (record.ended_by, record.received, record.error) == ("error", 1, "restante is stopping")


async def test_an_office_that_does_not_answer_costs_the_window(tmp_path: Path) -> None:
    """ATRN may take ten minutes and more (RFC 2645 §5.2.1), but not more than we have."""
    plan = CallPlan("office", OFFICE, (TEST,), turns=True, window=900)
    async with calling(tmp_path, f"{ASKS}...", plan=plan) as turning:
        await turning.comes_to("atrn")
        await turning.clock.turn(899)
        assert not turning.task.done()
        await turning.clock.turn(2)
        record = await turning.ends()
        assert (record.ended_by, record.seconds) == ("error", 900)
        assert record.error == "office.example:25: no answer by the window's end"


async def test_our_own_mail_goes_at_the_same_time(tmp_path: Path) -> None:
    """By an ordinary release; an office that takes no mail on this port has another for it."""
    shelf = Shelf(waiting=3)
    plan = CallPlan("office", OFFICE, (TEST,), turns=True, flush=("office.example",))
    async with calling(tmp_path, f"{TURNS}{MESSAGE}{QUITS}", plan=plan, shelf=shelf) as turning:
        record = await turning.ends()
        assert (record.sent, record.received, record.left, record.error) == (3, 1, 0, "")


async def test_mail_for_others_is_refused(tmp_path: Path) -> None:
    """An office gets nothing relayed, however it writes it, and no rights."""
    others = [
        "anna@elsewhere.example",
        "anna%elsewhere.example@other.example",
        '"anna@elsewhere.example"@other.example',
        "anna@[192.0.2.7]",
    ]
    script = f"{TURNS}\n    S: ETRN test.example\n    R: 502\n    S: AUTH PLAIN AGEAYg==\n    R: 502\n"
    script += "    S: MAIL FROM:<ann@far.example>\n    R: 250\n"
    script += "".join(f"    S: RCPT TO:<{other}>\n    R: 550\n" for other in others)
    script += "    S: RCPT TO:<@test.example:anna@elsewhere.example>\n    R: 501\n"
    async with calling(tmp_path, f"{script}{QUITS}") as turning:
        record = await turning.ends()
        await turning.offices.finished()
        assert (record.received, record.error) == (0, "")


async def test_who_we_are_is_read_when_it_is_needed(tmp_path: Path) -> None:
    """The password is the file's first line at that moment."""
    file = tmp_path / "password"
    file.write_text("tanstaaftanstaaf\nnot this\n")
    plan = CallPlan("office", OFFICE, (TEST,), turns=True, login=Login("tim", file))
    script = f"""{GREETING}
        C: AUTH CRAM-MD5
        S: 334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+
        C: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw
        S: 235 welcome
        C: ATRN test.example
        S: 453 You have no mail
        {LEAVES}"""
    async with calling(tmp_path, script, plan=plan) as turning:
        record = await turning.ends()
        await turning.offices.finished()
        assert (record.ended_by, record.error) == ("counts", "")


async def test_a_password_that_cannot_be_read_is_the_call_s_error(tmp_path: Path) -> None:
    """Nobody is called."""
    plan = CallPlan("office", OFFICE, (TEST,), turns=True, login=Login("tim", tmp_path / "missing"))
    async with calling(tmp_path, "...", plan=plan) as turning:
        record = await turning.ends()
        assert (record.ended_by, turning.offices.dialled) == ("error", 0)
        assert record.error == f"{tmp_path}/missing: No such file or directory"


async def test_a_refused_login_is_not_tried_again_and_a_passing_fault_is(tmp_path: Path) -> None:
    """535 counts against us at the office; 454 does not."""
    file = tmp_path / "password"
    file.write_text("tanstaaftanstaaf\n")
    plan = CallPlan("office", OFFICE, (TEST,), turns=True, login=Login("tim", file))
    asks = f"{GREETING}\n    C: AUTH CRAM-MD5\n    S: "
    async with calling(tmp_path, f"{asks}454 4.7.0 later", f"{asks}535 5.7.8 no", plan=plan) as turning:
        await turning.comes_to("waiting")
        assert "the login as tim was refused: 454 4.7.0 later" in turning.view.error
        await turning.clock.turn(2)
        record = await turning.ends()
        assert (record.ended_by, turning.offices.dialled) == ("error", 2)
        assert record.error == "office.example:25: the login as tim was refused: 535 5.7.8 no"


async def test_a_call_by_etrn_logs_in_too(tmp_path: Path) -> None:
    """Where a login is configured it is shown before anything is asked."""
    file = tmp_path / "password"
    file.write_text("tanstaaftanstaaf\n")
    plan = CallPlan("office", OFFICE, (TEST,), login=Login("tim", file))
    script = f"""{GREETING}
        L: AUTH CRAM-MD5
        S: 334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+
        C: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw
        S: 235 welcome
        C: ETRN test.example
        S: 251 nothing waits
        {LEAVES}"""
    async with calling(tmp_path, script, plan=plan) as turning:
        record = await turning.ends()
        await turning.offices.finished()
        assert (record.ended_by, record.error) == ("counts", "")
