"""`restante etrn`: one question and an exit status, as a line in a crontab needs it."""

from __future__ import annotations

import pytest
from tests.calls.played import BYE, GREETING, OFFICE, REFUSES, PlayedOffices
from tests.calls.played import etrn as conversation

from restante.calls.oneshot import COULD_NOT, DONE, USAGE, EtrnResult, etrn


async def ask(offices: PlayedOffices, *nodes: str, timeout: float = 5) -> EtrnResult:
    """As the command line does."""
    result = await etrn(OFFICE, nodes, hostname="site.example", timeout=timeout, dial=offices)
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
