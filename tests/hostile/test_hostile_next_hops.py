"""Hostile servers as next hops: whatever they say, mail is delivered only where it was taken, and else still waits.

A real spool and real releases, over TCP to a server that streams, or takes commands in groups. (The same answers in
lock-step, without a spool: tests/transport/test_malformed_replies.py.) Each test ends with a well-behaved server, to
which everything that waited goes, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.cuts.office import Office, letter, mark, office
from tests.hostile.scripted import GROUP, LOCKSTEP, STREAM, Scripted, Step, Then, scripted
from tests.transport.test_malformed_replies import NO_REPLIES, ODD_BUT_TRUE, WRONG_CLASS

from restante.model import MessageId
from restante.net import asyncio_stream
from restante.net.tls import TlsLevel
from restante.smtp import client

WAYS = {"stream": STREAM, "group": GROUP}
STEPS = {
    STREAM: (Step.GREETING, Step.EHLO, Step.MAIL, Step.RCPT, Step.CONTENT),
    GROUP: (Step.GREETING, Step.EHLO, Step.MAIL, Step.RCPT, Step.DATA, Step.CONTENT),
}
SOON, AMPLE = 0.3, 30.0
DEADLINE = 60.0
"""Seconds for a release, on however busy a machine."""
TWICE = ("a reply to nothing", "a bounce too many")
"""These say more than one reply: to pipelined commands they are answers, and are tried where nothing was asked."""


class Play:
    """An office with one message more for each thing that is tried, and the server that it delivers to."""

    def __init__(self, sender: Office, server: Scripted) -> None:
        self.sender = sender
        self.server = server
        self.kept: list[bytes] = []
        self._number = 0

    async def waits_after(self, step: Step, answer: bytes, then: Then, *, drip: float = 0.0) -> None:
        """A release to a server that says this leaves all that waits where it is, and says nothing to its sender."""
        server = self.server
        server.step, server.answer, server.then, server.drip = step, answer, then, drip
        name = await self.mail()
        delivered = len(self.sender.delivered())
        await self.release(SOON)
        told = (step, answer[:60], then)
        assert name in await self.sender.waiting(), told
        assert len(self.sender.delivered()) == delivered, told
        assert not self.sender.failed(), told
        assert not self.sender.reports(), told

    async def mail(self) -> MessageId:
        """One message more."""
        self.kept.append(mark(self._number))
        [name] = await self.sender.mail(letter(self._number))
        self._number += 1
        return name

    async def release(self, patience: float = AMPLE) -> None:
        """One release, which ends in time, where a reply and a handshake may take so long (RFC 5321 §4.5.3.2)."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client, "PATIENCE", {})
            patch.setattr(client, "USUAL_PATIENCE", patience)
            patch.setattr(asyncio_stream, "HANDSHAKE_SECONDS", patience)
            async with asyncio.timeout(DEADLINE):
                await self.sender.release()

    async def all_arrive(self) -> None:
        """Everything that waits reaches a server that behaves, each message once."""
        self.server.usual()
        self.server.heard.clear()
        await self.release()
        assert not await self.sender.waiting()
        for each in self.kept:
            assert self.server.heard.count(each) == 1


@asynccontextmanager
async def play(folder: Path, keywords: Sequence[str], tls: TlsLevel = TlsLevel.OFF) -> AsyncIterator[Play]:
    """The office and the server, until the end of `with`."""
    async with scripted(keywords) as server, office(folder, server.at, tls) as sender:
        yield Play(sender, server)


NONE_AT_ALL = {name: answer for name, answer in NO_REPLIES.items() if name not in TWICE}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("answer", NONE_AT_ALL.values(), ids=NONE_AT_ALL)
async def test_what_is_no_reply_delivers_and_refuses_nothing(
    answer: bytes, way: tuple[str, ...], tmp_path: Path
) -> None:
    """At each step, from a server that then hangs up."""
    async with play(tmp_path, way) as tried:
        for step in STEPS[way]:
            await tried.waits_after(step, answer, Then.ENDS)
        await tried.all_arrive()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("answers", WRONG_CLASS.values(), ids=WRONG_CLASS)
async def test_a_positive_reply_of_the_wrong_class_delivers_nothing(
    answers: tuple[bytes, bytes], way: tuple[str, ...], tmp_path: Path
) -> None:
    """354 to MAIL or to content, 2yz to DATA, 334 to anything; the server goes on as if nothing were."""
    async with play(tmp_path, way) as tried:
        for step in STEPS[way][2:]:
            await tried.waits_after(step, answers[step is Step.DATA], Then.GOES_ON)
        await tried.all_arrive()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_an_odd_reply_is_one(way: tuple[str, ...], tmp_path: Path) -> None:
    """Old and sloppy servers get their mail, once."""
    usual = {Step.GREETING: b"220", Step.DATA: b"354"}
    async with play(tmp_path, way) as tried:
        for answer in ODD_BUT_TRUE.values():
            for step in (step for step in STEPS[way] if step is not Step.EHLO):
                server = tried.server
                server.step, server.answer, server.then = (
                    step,
                    answer.replace(b"%d", usual.get(step, b"250")),
                    Then.GOES_ON,
                )
                await tried.mail()
                await tried.release()
                assert not await tried.sender.waiting(), (step, answer)
        for each in tried.kept:
            assert tried.server.heard.count(each) == 1


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_silence_and_dripping_end_in_time(way: tuple[str, ...], tmp_path: Path) -> None:
    """Nothing more at each step; half a reply and nothing more; an octet a second."""
    async with play(tmp_path, way) as tried:
        for step in STEPS[way]:
            await tried.waits_after(step, b"", Then.IS_SILENT)
            await tried.waits_after(step, b"250-", Then.IS_SILENT)
        await tried.waits_after(Step.CONTENT, b"2" * 10, Then.IS_SILENT, drip=1.0)
        await tried.all_arrive()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_an_end_at_each_step_keeps_the_mail(way: tuple[str, ...], tmp_path: Path) -> None:
    """Without a word, with 421, and in the middle of a reply."""
    async with play(tmp_path, way) as tried:
        for step in STEPS[way]:
            for answer in (b"", b"421 4.3.2 not now\r\n", b"421\r\n", b"421 4.3.2", b"25", b"250 O", b"250-OK\r\n"):
                await tried.waits_after(step, answer, Then.ENDS)
        await tried.all_arrive()


AHEAD = b"220 mx\r\n250-mx\r\n250 PIPELINING\r\n250 OK\r\n250 OK\r\n354 go on\r\n250 OK\r\n221 bye\r\n"


@pytest.mark.parametrize("way", [*WAYS.values(), LOCKSTEP], ids=[*WAYS, "lock-step"])
@pytest.mark.parametrize("step", [Step.GREETING, Step.EHLO])
async def test_replies_ahead_of_their_commands_count_for_nothing(
    step: Step, way: tuple[str, ...], tmp_path: Path
) -> None:
    """All that a session is answered, sent before it was asked, with more and less of it."""
    async with play(tmp_path, way) as tried:
        lines = AHEAD.splitlines(keepends=True)
        start = 0 if step is Step.GREETING else 1
        shortest = start + (1 if step is Step.GREETING else 2) + 1
        for end in range(shortest, len(lines) + 1):
            await tried.waits_after(step, b"".join(lines[start:end]), Then.ENDS)
            await tried.waits_after(step, b"".join(lines[start:end]), Then.IS_SILENT)
        await tried.waits_after(step, b"".join(lines[start:]) + b"250 OK\r\n" * 1000, Then.GOES_ON)
        await tried.all_arrive()


EHLOS = {
    "junk": b"250-mx\r\n250-\xff\xfe\x80\r\n250-\x00\r\n250-  \r\n250-=\r\n250 -\r\n",
    "100,000 keywords on a line": b"250-mx\r\n250 " + b"X " * 100_000 + b"\r\n",
    "100,000 keywords on as many lines": b"250-mx\r\n" + b"250-X\r\n" * 100_000 + b"250 OK\r\n",
    "a keyword of 1 MB": b"250-mx\r\n250 " + b"X" * 1_000_000 + b"\r\n",
    "SIZE that overflows": b"250-mx\r\n250 SIZE 18446744073709551616\r\n",
    "SIZE of a thousand digits": b"250-mx\r\n250 SIZE " + b"9" * 1000 + b"\r\n",
    "SIZE below zero": b"250-mx\r\n250 SIZE -1\r\n",
    "SIZE of other digits": "250-mx\r\n250 SIZE ٣\r\n".encode(),
    "SIZE of no number": b"250-mx\r\n250 SIZE NaN\r\n",
    "SIZE twice": b"250-mx\r\n250-SIZE 0\r\n250 SIZE 0\r\n",
    "all keywords twice": b"250-mx\r\n"
    + b"250-PIPELINING\r\n250-CHUNKING\r\n250-SIZE\r\n250-DSN\r\n" * 2
    + b"250 OK\r\n",
    "keywords with arguments": b"250-mx\r\n250-PIPELINING no\r\n250-8BITMIME=no\r\n250 DSN off\r\n",
    "LIMITS of nothing": b"250-mx\r\n250 LIMITS RCPTMAX=0 MAILMAX=0\r\n",
    "AUTH of all kinds": b"250-mx\r\n250-AUTH=LOGIN PLAIN\r\n250 AUTH \xff GSSAPI\r\n",
    "no name": b"250-\r\n250 PIPELINING\r\n",
    "one line": b"250\r\n",
    "299": b"299 what\r\n",
}


@pytest.mark.parametrize("answer", EHLOS.values(), ids=EHLOS)
async def test_a_strange_reply_to_ehlo_delivers_or_waits(answer: bytes, tmp_path: Path) -> None:
    """Never refuses: what is offered is no verdict on a message; and the server understands what is then said to it."""
    async with play(tmp_path, LOCKSTEP) as tried:
        tried.server.step, tried.server.answer = Step.EHLO, answer
        await tried.mail()
        await tried.release()
        assert not tried.sender.failed()
        assert not tried.sender.reports()
        arrived = not await tried.sender.waiting()
        assert tried.server.heard.count(tried.kept[0]) == arrived
        if not arrived:
            await tried.all_arrive()


TLS_FAILS = {
    "not offered": (Step.EHLO, b"250-mx.example\r\n250 PIPELINING\r\n", Then.GOES_ON),
    "refused": (Step.STARTTLS, b"454 4.7.0 not now\r\n", Then.GOES_ON),
    "unknown": (Step.STARTTLS, b"500 5.5.1 what\r\n", Then.GOES_ON),
    "250 for 220": (Step.STARTTLS, b"250 OK\r\n", Then.GOES_ON),
    "220, and then in clear": (Step.STARTTLS, b"220 go\r\n", Then.GOES_ON),
    "220, and an end": (Step.STARTTLS, b"220 go\r\n", Then.ENDS),
    "220, and replies behind it": (Step.STARTTLS, b"220 go\r\n" + AHEAD[8:], Then.GOES_ON),
    "220, and half a line behind it": (Step.STARTTLS, b"220 go\r\n2", Then.GOES_ON),
    "220, and octets behind it": (Step.STARTTLS, b"220 go\r\n" + bytes(range(256)) * 100, Then.ENDS),
    "220, and an alert behind it": (Step.STARTTLS, b"220 go\r\n\x15\x03\x03\x00\x02\x02\x28", Then.ENDS),
    "two replies": (Step.STARTTLS, b"220 go\r\n220 go\r\n", Then.GOES_ON),
    "nothing": (Step.STARTTLS, b"", Then.IS_SILENT),
    "an end": (Step.STARTTLS, b"", Then.ENDS),
    "no reply": (Step.STARTTLS, b"\x16\x03\x01\r\n", Then.ENDS),
}


@pytest.mark.parametrize(("step", "answer", "then"), TLS_FAILS.values(), ids=TLS_FAILS)
async def test_where_tls_is_required_no_octet_of_mail_is_sent_without(
    step: Step, answer: bytes, then: Then, tmp_path: Path
) -> None:
    """However it comes to nothing, the message waits, and not even its envelope was heard."""
    async with play(tmp_path, (*STREAM, "STARTTLS"), TlsLevel.REQUIRED) as tried:
        await tried.waits_after(step, answer, then)
        assert b"MAIL" not in tried.server.heard
        assert b"BDAT" not in tried.server.heard
