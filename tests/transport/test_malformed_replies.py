"""A next hop that answers everything well but one thing: sixty ways to answer that, at each step of a session.

Whatever it says, the carrier ends in time, nothing that nobody expected happens, and an item is delivered only where
a true 2yz has answered its content. What is neither delivered nor refused in so many words waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import StrEnum

import pytest
from tests.transport.test_smtp import Stock, carry, parcel

from restante.model import HostPort
from restante.net.asyncio_stream import AsyncioStream
from restante.net.door import Door, Guest, Rules
from restante.net.listen import Handler, Listener
from restante.net.stream import StreamClosed
from restante.net.tls import TlsLevel
from restante.smtp import client
from restante.transport.outcome import Delivered, Refused


class Step(StrEnum):
    """Where it answers strangely."""

    GREETING = "greeting"
    EHLO = "EHLO"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END = "end of content"
    QUIT = "QUIT"


USUAL = {
    Step.GREETING: b"220 mx.example\r\n",
    Step.EHLO: b"250 mx.example\r\n",
    Step.MAIL: b"250 OK\r\n",
    Step.RCPT: b"250 OK\r\n",
    Step.DATA: b"354 go on\r\n",
    Step.END: b"250 OK\r\n",
    Step.QUIT: b"221 bye\r\n",
}

NO_REPLIES = {
    "a class that is none": b"999 what\r\n",
    "0yz": b"050 what\r\n",
    "1yz": b"150 wait\r\n",
    "6yz": b"600 what\r\n",
    "two digits": b"25 OK\r\n",
    "one digit": b"2\r\n",
    "four digits": b"2500 OK\r\n",
    "a letter in it": b"2x0 OK\r\n",
    "a minus before it": b"-250 OK\r\n",
    "a blank before it": b" 250 OK\r\n",
    "a tab behind it": b"250\tOK\r\n",
    "no blank behind it": b"250OK\r\n",
    "a colon behind it": b"250: OK\r\n",
    "an underscore behind it": b"250_OK\r\n",
    "a BOM before it": b"\xef\xbb\xbf250 OK\r\n",
    "digits of another script": "٢٥٠ OK\r\n".encode(),
    "full-width digits": "\uff12\uff15\uff10 OK\r\n".encode(),
    "UTF-16": "250 OK\r\n".encode("utf-16-le"),
    "NUL before it": b"\x00250 OK\r\n",
    "empty lines": b"\r\n\r\n",
    "text without a code": b"OK\r\n",
    "only an enhanced code": b"2.0.0 OK\r\n",
    "HTTP": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "POP3": b"+OK ready\r\n",
    "IMAP": b"* OK ready\r\n",
    "a TLS alert": b"\x15\x03\x03\x00\x02\x02\x46" * 40 + b"\n",
    "nothing but NULs": bytes(5000),
    "a line that is too long": b"250 " + b"x" * 10_000 + b"\r\n",
    "a line without an end": b"250 " + b"x" * 1_000_000,
    "a line of 10 MB without an end": b"250-" + b"x" * 10_000_000,
    "a thousand lines": b"250-more\r\n" * 1000 + b"250 OK\r\n",
    "lines without end": b"250-more\r\n" * 100_000,
    "codes that differ": b"250-one\r\n550 two\r\n",
    "codes that differ, the bad one first": b"550-one\r\n250 two\r\n",
    "a line without a code in it": b"250-one\r\ntwo\r\n250 three\r\n",
    "an empty line in it": b"250-one\r\n\r\n250 three\r\n",
    "only CR": b"250 OK\r" * 2000,
    "half a code, then the end": b"25",
    "half a line, then the end": b"250 O",
    "half of several lines, then the end": b"250-OK\r\n",
    "a reply to nothing": b"250 OK\r\n250 OK\r\n250 OK\r\n",
    "a bounce too many": b"250 OK\r\n550 5.1.1 no\r\n",
    "the end": b"",
}
"""By which no step is passed, and nothing refused."""

WRONG_CLASS = {
    "299 for 354, 354 for 250": (b"354 what\r\n", b"299 what\r\n"),
    "a challenge": (b"334 dXNlcg==\r\n", b"250 OK\r\n"),
    "the ends of the range": (b"399 what\r\n", b"200 what\r\n"),
}
"""Positive, and no answer to that: to all but DATA, and to DATA."""

ODD_BUT_TRUE = {
    "no text": b"%d\r\n",
    "no text but a blank": b"%d \r\n",
    "a bare LF": b"%d OK\n",
    "two CR": b"%d OK\r\r\n",
    "8-bit text": "%d schön, 東京\r\n".encode(),
    "octets that are no text": b"%d \xff\xfe\x80\r\n",
    "control characters": b"%d \x00\x07\x1b[2J\x7f\r\n",
    "only an enhanced code": b"%d 2.0.0\r\n",
    "an enhanced code of another class": b"%d 5.7.2 OK\r\n",
    "an enhanced code that is none": b"%d 2.0 OK\r\n",
    "an enhanced code of many digits": b"%d 2.99999.1 OK\r\n",
    "several lines": b"%d-one\r\n%d-two\r\n%d three\r\n",
    "several lines without text": b"%d-\r\n%d\r\n",
    "4,000 octets": b"%d " + b"x" * 4000 + b"\r\n",
}
"""Of these every reply is one."""

REFUSALS = {
    "550 without text": (b"550\r\n", True),
    "5.7.2 without text": (b"550 5.7.2\r\n", True),
    "550 in several lines": (b"550-no\r\n550 5.1.1 never\r\n", True),
    "599": (b"599 5.0.0 no\r\n", True),
    "500 of syntax": (b"500 what?\r\n", False),
    "503 of order": (b"503 5.5.1 not now\r\n", False),
    "450": (b"450 later\r\n", False),
    "499": (b"499\r\n", False),
}
"""And whether that is the end of the item when it answers MAIL, RCPT, DATA or the content."""


def server(step: Step, answer: bytes, *, ends: bool, pieces: bool = False) -> Handler:
    """Answers each step as usual, and one as told; then it hangs up, if it `ends`, or goes on."""

    async def serve(stream: AsyncioStream, _guest: Guest) -> None:
        try:
            async for at in steps(stream):
                if at is not step:
                    stream.write(USUAL[at])
                    continue
                for start in range(0, len(answer), 1) if pieces else ():
                    stream.write(answer[start : start + 1])
                    await asyncio.sleep(0.001)
                stream.write(b"" if pieces else answer)
                await stream.drain(5)
                if ends:
                    return
        except StreamClosed:
            return

    return serve


async def steps(stream: AsyncioStream) -> AsyncIterator[Step]:
    """What the client has come to, one after the other; lock-step, so that one line is one step."""
    yield Step.GREETING
    unread = b""
    in_content = False
    while data := await stream.read(5):
        unread += data
        while b"\r\n" in unread:
            line, _, unread = unread.partition(b"\r\n")
            if in_content:
                if line == b".":
                    in_content = False
                    yield Step.END
                continue
            verb = line[:4].decode("ascii", "replace")
            at = (
                Step.EHLO
                if verb == "HELO"
                else Step(verb)
                if verb in {"EHLO", "MAIL", "RCPT", "DATA", "QUIT"}
                else None
            )
            if at is None:
                stream.write(b"250 OK\r\n")  # RSET
                continue
            yield at
            in_content = at is Step.DATA


async def outcome_of(serve: Handler) -> str:
    """`delivered`, `refused`, `waits` (with a reply, or with the end of the connection)."""
    unexpected: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(context))
    listener = Listener(HostPort("127.0.0.1", 0), serve, Door(Rules()))
    await listener.start()
    try:
        _, outcomes = await carry(HostPort("127.0.0.1", listener.port), Stock(parcel(1)), tls=TlsLevel.OFF)
    finally:
        await listener.close_door()
        await listener.end_sessions(0.2)
    assert not unexpected, unexpected
    match outcomes.get(1):
        case [Delivered()]:
            return "delivered"
        case [Refused()]:
            return "refused"
    return "waits"


IN_TRANSACTION = (Step.MAIL, Step.RCPT, Step.DATA, Step.END)
BEFORE = (Step.GREETING, Step.EHLO)


@pytest.mark.parametrize("step", [*BEFORE, *IN_TRANSACTION])
@pytest.mark.parametrize("answer", NO_REPLIES.values(), ids=NO_REPLIES)
async def test_what_is_no_reply_delivers_and_refuses_nothing(answer: bytes, step: Step) -> None:
    """The connection is of no further use, and the item waits; but for a true 250 with something behind it."""
    expected = "delivered" if step is Step.END and answer.startswith(b"250 OK\r\n") else "waits"
    assert await outcome_of(server(step, answer, ends=True)) == expected


@pytest.mark.parametrize("step", IN_TRANSACTION)
@pytest.mark.parametrize("answers", WRONG_CLASS.values(), ids=WRONG_CLASS)
async def test_a_positive_reply_of_the_wrong_class_delivers_nothing(answers: tuple[bytes, bytes], step: Step) -> None:
    """A 3yz to the content is no acknowledgement, a 2yz to DATA no invitation."""
    answer = answers[step is Step.DATA]
    assert await outcome_of(server(step, answer, ends=False)) == "waits"


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("answer", ODD_BUT_TRUE.values(), ids=ODD_BUT_TRUE)
async def test_an_odd_reply_is_one(answer: bytes, step: Step) -> None:
    """Old and sloppy servers get their mail."""
    said = answer.replace(b"%d", USUAL[step][:3])
    assert await outcome_of(server(step, said, ends=False)) == "delivered"


@pytest.mark.parametrize("step", [*BEFORE, *IN_TRANSACTION])
@pytest.mark.parametrize(("answer", "is_final"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_is_final_only_where_it_speaks_of_the_mail(
    answer: bytes, step: Step, *, is_final: bool
) -> None:
    """Said to the greeting, or to EHLO and HELO, it is none of the mail's."""
    expected = "refused" if is_final and step in IN_TRANSACTION else "waits"
    assert await outcome_of(server(step, answer, ends=False)) == expected


@pytest.mark.parametrize("step", [*BEFORE, *IN_TRANSACTION])
async def test_421_at_any_step_ends_the_connection(step: Step) -> None:
    """RFC 5321 §3.8: the item waits."""
    assert await outcome_of(server(step, b"421 4.3.2 later\r\n", ends=False)) == "waits"


@pytest.mark.parametrize("step", [*BEFORE, *IN_TRANSACTION])
async def test_silence_at_any_step_ends_in_time(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 5321 §4.5.3.2, in a second: the item waits."""
    monkeypatch.setattr(client, "PATIENCE", {})
    monkeypatch.setattr(client, "USUAL_PATIENCE", 0.2)
    assert await outcome_of(server(step, b"", ends=False)) == "waits"


@pytest.mark.parametrize("step", list(Step))
async def test_a_reply_octet_by_octet_is_one(step: Step) -> None:
    """However slowly it drips."""
    assert await outcome_of(server(step, USUAL[step], ends=False, pieces=True)) == "delivered"
