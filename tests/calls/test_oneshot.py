"""`restante etrn` and `restante atrn`: one question and an exit status, as a line in a crontab needs it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.calls.played import BYE, GREETING, OFFICE, REFUSES, TEST, PlayedOffices
from tests.calls.played import etrn as conversation
from tests.calls.test_turning import MESSAGE, QUITS, TURNS, answers

from restante.calls.handing import HandingOn
from restante.calls.oneshot import COULD_NOT, DONE, USAGE, Asker, AtrnOnce, EtrnResult, etrn
from restante.cli.fetching import Fetching, carrier_of
from restante.clock import TurnedClock
from restante.model import CallView, Progress


async def ask(offices: PlayedOffices, *nodes: str, timeout: float = 5) -> EtrnResult:
    """As the command line does."""
    result = await etrn(OFFICE, nodes, Asker("site.example", timeout=timeout, dial=offices))
    await offices.closed()
    return result


@pytest.mark.parametrize(
    ("reply", "messages"),
    [("250 OK", None), ("251 OK", 0), ("252 OK", None), ("253 OK, 7 pending messages for node test.example", 7)],
)
async def test_accepted_is_status_0(reply: str, messages: int | None) -> None:
    """With the reply, and the count where there is one."""
    result = await ask(PlayedOffices(conversation(reply)), "test.example")
    assert (result.status, result.problem, result.messages) == (DONE, "", messages)
    assert [(node, str(said)) for node, said in result.replies] == [("test.example", reply)]


@pytest.mark.parametrize("reply", ["458 busy", "459 not allowed", "500 no", "421 closing"])
async def test_not_accepted_is_status_1(reply: str) -> None:
    """Whether it is for now or for good."""
    script = f"{GREETING}\nC: ETRN test.example\nS: {reply}\n" + ("" if reply.startswith("421") else BYE)
    assert (await ask(PlayedOffices(script), "test.example")).status == COULD_NOT


async def test_one_refusal_among_several_is_status_1() -> None:
    """All replies are there to be printed."""
    script = f"{GREETING}\nC: ETRN a.example\nS: 250 OK\nC: ETRN b.example\nS: 459 no\n{BYE}"
    result = await ask(PlayedOffices(script), "a.example", "b.example")
    assert (result.status, len(result.replies), result.messages) == (COULD_NOT, 2, None)


async def test_an_office_that_is_not_there_is_status_1() -> None:
    """Tried once: it is cron that comes again."""
    offices = PlayedOffices(REFUSES)
    result = await ask(offices, "test.example")
    assert (result.status, result.problem) == (COULD_NOT, "office.example:25: Connection refused")
    assert offices.dialled == 1


async def test_an_office_that_hangs_is_status_1_in_time() -> None:
    """No cron job is left behind."""
    result = await ask(PlayedOffices("..."), "test.example", timeout=0.05)
    assert (result.status, result.replies) == (COULD_NOT, ())


@pytest.mark.parametrize("nodes", [(), ("bad..name",), ("test.example", "x\r\nQUIT"), ("#",)])
async def test_what_cannot_be_a_node_is_status_2_and_nobody_is_called(nodes: tuple[str, ...]) -> None:
    """Checked before connecting."""
    offices = PlayedOffices(REFUSES)
    result = await ask(offices, *nodes)
    assert (result.status, offices.dialled) == (USAGE, 0)
    assert result.problem


async def fetch(folder: Path, *scripts: str) -> tuple[CallView, PlayedOffices]:
    """One `restante atrn` into Maildirs, to an office that plays a script."""
    offices, clock = PlayedOffices(*scripts), TurnedClock()
    inbox = HandingOn(carrier_of(f"maildir:{folder}", "site.example"), wall=clock.wall)
    serve = Fetching((TEST,), "site.example", inbox, clock).serve
    asker = Asker("site.example", timeout=60, dial=offices)
    once = AtrnOnce(OFFICE, (TEST,), asker, serve, failure=lambda: inbox.failure, clock=clock)
    await asyncio.wait_for(once.run(), 60)
    await offices.closed()
    return once.view, offices


async def test_mail_is_fetched_once(tmp_path: Path) -> None:
    """What came, and what was said."""
    view, offices = await fetch(tmp_path, f"{TURNS}{MESSAGE}{QUITS}")
    await offices.finished()
    assert (view.received, view.error, view.step, view.progress) == (1, "", "counts", Progress.ENDED)
    assert view.replies == ("ATRN: 250 OK now reversing the connection",)
    assert len(list((tmp_path / "test.example/anna/new").iterdir())) == 1


@pytest.mark.parametrize("script", [answers("453 You have no mail"), f"{TURNS}{QUITS}"], ids=["453", "empty turn"])
async def test_no_mail_is_well(tmp_path: Path, script: str) -> None:
    """However the office says it."""
    view, _ = await fetch(tmp_path, script)
    assert (view.received, view.error) == (0, "")


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (REFUSES, "office.example:25: Connection refused"),
        (answers("450 4.7.1 ATRN request refused"), "office.example:25: 450 4.7.1 ATRN request refused"),
        (answers("451 later"), "office.example:25: 451 later"),
        (answers("502 what?"), "office.example:25: 502 what?"),
        (f"{TURNS}{MESSAGE}", "office.example:25: left before it had sent all"),
    ],
)
async def test_what_stood_in_the_way_is_told_and_nothing_is_tried_again(
    tmp_path: Path, script: str, error: str
) -> None:
    """It is cron that comes again."""
    view, offices = await fetch(tmp_path, script)
    assert (view.error, view.step, offices.dialled) == (error, "error", 1)


async def test_what_could_not_be_handed_on_is_told(tmp_path: Path) -> None:
    """The office keeps it, and knows by 451."""
    (tmp_path / "test.example").write_text("in the way of a folder\n")
    message, dot, _ = MESSAGE.rpartition("S: .\n")
    view, offices = await fetch(tmp_path, f"{TURNS}{message}{dot}    R: 451\n{QUITS}")
    await offices.finished()
    assert view.received == 0
    assert view.error.startswith("1 message not handed on: Not now: 451 4.3.0 ")
