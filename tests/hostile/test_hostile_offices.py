"""Hostile servers as offices: `restante etrn` believes no reply that is none, and ends in time whatever is said."""

from __future__ import annotations

import asyncio
import subprocess

import pytest
from tests.hostile.scripted import Step, Then, scripted
from tests.hostile.test_hostile_next_hops import AHEAD, EHLOS, TLS_FAILS, TWICE
from tests.stories.restante_host import RESTANTE
from tests.transport.test_malformed_replies import NO_REPLIES, ODD_BUT_TRUE

from restante.calls.oneshot import COULD_NOT, DONE, Asker, EtrnResult, etrn
from restante.model import HostPort
from restante.net import asyncio_stream
from restante.net.tls import TlsLevel, TlsPolicy

SOON = 0.3
"""Seconds for an office that is to be given up."""
LONG = 60.0
"""Seconds for one whose answer is to be heard."""
DEADLINE = 90.0
NODES = ["test.example", "#customers"]
STEPS = (Step.GREETING, Step.EHLO, Step.ETRN)


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a handshake; the rest is an argument."""
    monkeypatch.setattr(asyncio_stream, "HANDSHAKE_SECONDS", SOON)


async def asked(office: HostPort, tls: TlsLevel = TlsLevel.OFF, *, patience: float = LONG) -> EtrnResult:
    """Two ETRNs, which end in time."""
    async with asyncio.timeout(DEADLINE):
        return await etrn(office, NODES, Asker("site.example", TlsPolicy(tls), timeout=patience))


NONE_AT_ALL = {name: answer for name, answer in NO_REPLIES.items() if name not in TWICE}


@pytest.mark.parametrize("answer", NONE_AT_ALL.values(), ids=NONE_AT_ALL)
async def test_what_is_no_reply_is_no_success(answer: bytes) -> None:
    """At each step, from an office that then hangs up, or falls silent."""
    async with scripted() as server:
        for step in STEPS:
            for then in (Then.ENDS, Then.IS_SILENT):
                server.step, server.answer, server.then = step, answer, then
                result = await asked(server.at, patience=SOON)
                assert result.status == COULD_NOT, (step, then, result)
                assert result.problem
                assert result.replies == ()


@pytest.mark.parametrize("answer", NO_REPLIES.values(), ids=NO_REPLIES)
async def test_what_is_said_to_a_farewell_changes_nothing(answer: bytes) -> None:
    """Both nodes were accepted by then."""
    async with scripted() as server:
        server.step, server.answer, server.then = Step.QUIT, answer, Then.ENDS
        result = await asked(server.at)
    assert (result.status, result.problem) == (DONE, "")
    assert len(result.replies) == 2


@pytest.mark.parametrize("answer", ODD_BUT_TRUE.values(), ids=ODD_BUT_TRUE)
async def test_an_odd_reply_is_one(answer: bytes) -> None:
    """250 in all its forms."""
    async with scripted() as server:
        server.step, server.answer = Step.ETRN, answer.replace(b"%d", b"250")
        assert (await asked(server.at)).status == DONE


NOT_ACCEPTED = [
    *(
        b"354 go on\r\n",
        b"334 \r\n",
        b"300\r\n",
        b"399 x\r\n",
        b"421 bye\r\n",
        b"450 later\r\n",
        b"458 no\r\n",
        b"459 no\r\n",
    ),
    *(b"500\r\n", b"501 5.5.4 no\r\n", b"503\r\n", b"530 5.7.0 first log in\r\n", b"550 5.7.2\r\n", b"599 x\r\n"),
    *(b"451-\r\n451-\r\n451 \r\n", b"459 4.7.1 Node \xff\xfe not allowed\r\n", b"458 250 OK, 9 messages\r\n"),
]


@pytest.mark.parametrize("answer", NOT_ACCEPTED, ids=repr)
async def test_any_other_reply_is_no_success(answer: bytes) -> None:
    """Whatever its text says."""
    async with scripted() as server:
        server.step, server.answer = Step.ETRN, answer
        assert (await asked(server.at)).status == COULD_NOT


COUNTS = [
    *(
        b"253 OK, 99999999999999999999 pending messages\r\n",
        b"253 OK, -1 pending messages\r\n",
        b"253 OK, 1e9 messages\r\n",
    ),
    *(
        "253 OK, ٣ pending messages\r\n".encode(),
        b"253 OK, 0x10 messages\r\n",
        b"253\r\n",
        b"253 " + b"9" * 4000 + b"\r\n",
    ),
]


@pytest.mark.parametrize("answer", COUNTS, ids=lambda answer: repr(answer[:40]))
async def test_a_count_that_is_none_is_not_known(answer: bytes) -> None:
    """The release has begun all the same."""
    async with scripted() as server:
        server.step, server.answer = Step.ETRN, answer
        result = await asked(server.at)
    assert (result.status, result.messages) == (DONE, None)


@pytest.mark.parametrize("answer", EHLOS.values(), ids=EHLOS)
async def test_a_strange_reply_to_ehlo_ends_in_time(answer: bytes) -> None:
    """Accepted or not; what was accepted was asked for."""
    async with scripted() as server:
        server.step, server.answer = Step.EHLO, answer
        result = await asked(server.at, patience=SOON)
    assert (result.status == DONE) == (len(result.replies) == 2 and not result.problem)
    assert (result.status == DONE) <= (server.heard.count(b"ETRN ") == 2)


@pytest.mark.parametrize("step", [Step.GREETING, Step.EHLO])
async def test_replies_ahead_of_their_commands_count_for_nothing(step: Step) -> None:
    """Greeting, EHLO and both ETRNs answered before they were asked; a server that then hears nothing of them."""
    ahead = AHEAD if step is Step.GREETING else AHEAD.partition(b"\r\n")[2]
    async with scripted() as server:
        for then in Then:
            server.step, server.answer, server.then = step, ahead, then
            result = await asked(server.at, patience=SOON)
            assert result.status == COULD_NOT, (then, result)


@pytest.mark.parametrize("step", [*STEPS, Step.QUIT])
async def test_dripping_ends_in_time(step: Step) -> None:
    """An octet every 0.2 seconds, where a reply may take less than all of them: the time is for a whole reply."""
    async with scripted() as server:
        server.step, server.answer, server.then, server.drip = step, b"250 OK and on\r\n", Then.GOES_ON, 0.2
        result = await asked(server.at, patience=2.0 if step is Step.QUIT else SOON)
    assert result.status == (DONE if step is Step.QUIT else COULD_NOT)


@pytest.mark.parametrize(("step", "answer", "then"), TLS_FAILS.values(), ids=TLS_FAILS)
async def test_where_tls_is_required_nothing_is_asked_without(step: Step, answer: bytes, then: Then) -> None:
    """The office does not even learn the domain."""
    async with scripted(("STARTTLS", "ETRN")) as server:
        server.step, server.answer, server.then = step, answer, then
        result = await asked(server.at, TlsLevel.REQUIRED, patience=SOON)
    assert result.status == COULD_NOT
    assert b"ETRN" not in server.heard


@pytest.mark.parametrize("name", ["lines without end", "octets that are no text", "control characters", "HTTP"])
async def test_the_command_says_what_it_heard_in_clean_lines(name: str) -> None:
    """A real process: no traceback, nothing that a terminal would obey, status 0 or 1."""
    answer = (NO_REPLIES | ODD_BUT_TRUE)[name].replace(b"%d", b"250")
    async with scripted() as server:
        server.step, server.answer = Step.ETRN, answer
        argv = [str(RESTANTE), "etrn", str(server.at), "test.example"]
        done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == (DONE if name in ODD_BUT_TRUE else COULD_NOT), done
    shown = done.stdout + done.stderr
    assert shown
    assert "Traceback" not in shown
    assert all(character.isprintable() or character == "\n" for character in shown), shown
