"""The client's way to where it may ask, on the wire: what a password is shown to, and what ends the conversation."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace

import pytest
from tests.calls.played import OFFICE, PlayedOffices

from restante.errors import RestanteError
from restante.net.stream import InjectedBytes
from restante.net.tls import IN_CLEAR
from restante.smtp.reply import MalformedReply
from restante.smtp.sasl import Credentials
from restante.transport.greeting import LoginRefused, Manners, Unwelcome, introduce

TIM = Credentials("tim", "tanstaaftanstaaf")
CHALLENGE = base64.b64encode(b"<1896.697170952@postoffice.reston.mci.net>").decode()
DIGEST = base64.b64encode(b"tim b913a602c7eda7a495b4e6e7334d3890").decode()


def offers(mechanisms: str) -> str:
    """A greeting up to where a login may follow."""
    return f"""
        S: 220 office.example
        C: EHLO site.example
        S: 250-office.example
        S: 250 AUTH {mechanisms}
    """


async def introduced(script: str, login: Credentials | None = TIM, patience: float = 60) -> None:
    """As a client that takes no TLS; then it leaves. Raises what introduce() does."""
    offices = PlayedOffices(script)
    stream = await offices(OFFICE, timeout=60)
    manners = Manners("site.example", OFFICE.host, IN_CLEAR, login=login, patience=patience)
    dialogue = replace(manners, patience=patience).dialogue(stream)
    try:
        await introduce(dialogue, manners)
        await dialogue.leave()
        await offices.finished()
    finally:
        stream.end()
        await offices.closed()


async def test_cram_md5_shows_no_password() -> None:
    """RFC 2195's own example."""
    await introduced(f"""{offers("CRAM-MD5 PLAIN")}
        C: AUTH CRAM-MD5
        S: 334 {CHALLENGE}
        C: {DIGEST}
        S: 235 welcome
        C: QUIT
        S: 221 bye
    """)


async def test_without_tls_the_password_is_shown_to_nobody() -> None:
    """An office that offers only such mechanisms hears no login at all, and people are told why."""
    with pytest.raises(LoginRefused, match=r"the password would be shown: .* PLAIN, LOGIN") as refused:
        await introduced(offers("PLAIN LOGIN"))
    assert refused.value.is_final


async def test_a_mechanism_that_was_stripped_is_not_replaced_by_a_weaker_one() -> None:
    """There is one choice; whoever makes it fail gets no second try."""
    script = f"{offers('SCRAM-SHA-256 CRAM-MD5')}\n    L: AUTH SCRAM-SHA-256\n    S: 504 5.5.4 unknown"
    with pytest.raises(LoginRefused, match=r"504 5\.5\.4 unknown"):
        await introduced(script)


@pytest.mark.parametrize(
    ("reply", "is_final"),
    [("535 5.7.8 no", True), ("454 4.7.0 later", False), ("432 4.7.12 a password transition", False)],
)
async def test_a_refused_login_tells_whether_to_come_again(reply: str, is_final: bool) -> None:
    """4yz is no verdict on the password."""
    with pytest.raises(LoginRefused, match=f"the login as tim was refused: {reply}") as refused:
        await introduced(f"{offers('CRAM-MD5')}\n    C: AUTH CRAM-MD5\n    S: {reply}")
    assert refused.value.is_final is is_final


async def test_a_login_that_is_not_offered_is_final() -> None:
    """Who is to log in is not unknown to the office for no reason."""
    with pytest.raises(LoginRefused, match="no login is offered without TLS") as refused:
        await introduced("S: 220 a\nC: EHLO site.example\nS: 250 a")
    assert refused.value.is_final


async def test_a_certificate_alone_is_no_reason_to_stay_out() -> None:
    """Without EXTERNAL (here: without TLS) there is nothing to log in with; the office may ask for nothing."""
    await introduced(f"{offers('PLAIN')}\n    C: QUIT\n    S: 221 bye", Credentials("", has_certificate=True))


async def test_a_server_that_does_not_know_the_password_is_not_believed() -> None:
    """SCRAM: a 235 without the server's proof is a lie (RFC 5802 §5)."""
    with pytest.raises(MalformedReply, match="235 in the midst"):
        await introduced(f"{offers('SCRAM-SHA-256')}\n    L: AUTH SCRAM-SHA-256\n    S: 235 welcome")


@pytest.mark.parametrize("extra", ["S: 250 more", "S: 235 welcome"])
async def test_what_is_said_ahead_of_its_question_ends_it(extra: str) -> None:
    """Else it would be the answer to a question that had not been put."""
    with pytest.raises((InjectedBytes, MalformedReply)):
        await introduced(f"{offers('CRAM-MD5')}\n    {extra}")


async def test_a_server_that_drips_has_the_time_of_one_reply() -> None:
    """Not of one octet."""
    began = asyncio.get_running_loop().time()
    with pytest.raises(RestanteError, match="silent"):
        await introduced("S: 220-a\n...", patience=0.05)
    assert asyncio.get_running_loop().time() - began < 60


@pytest.mark.parametrize(
    ("greeting", "is_final"), [("554 5.7.1 go away", True), ("421 4.3.2 later", False), ("450 busy", False)]
)
async def test_who_is_not_let_in_is_told_whether_to_come_again(greeting: str, is_final: bool) -> None:
    """By the greeting's first digit."""
    with pytest.raises(Unwelcome, match=greeting) as unwelcome:
        await introduced(f"S: {greeting}")
    assert unwelcome.value.is_final is is_final
