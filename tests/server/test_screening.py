"""A filter before the spool, as sessions have it: nothing is stored and no 250 said before its verdict."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.server.office import ADDRESSED, GREETED, IN_DATA, Office, Peer, until

from restante.facts import CommandRefused, FilterFailed, FilterJudged, FilterPassedOver, MessageAccepted
from restante.filtering.filter import Accept, FilterError, Refuse, Shown, Verdict
from restante.filtering.screen import AT_ONCE, FilterRules, Screen
from restante.model import write_message_id
from restante.server.services import Limits
from restante.smtp.reply import Reply
from restante.smtp.services import Service
from restante.spool.spool import INLINE_LIMIT, SpoolFull

MB = 1 << 20
MARK = b"X-Spam: Yes\r\nX-Folded: a\r\n\tb\r\n"
SPAM = Reply(550, "Gtube pattern", "5.7.1")
FLIGHT = b"MAIL FROM:<ann@far.example>\r\nRCPT TO:<anna@test.example>\r\nBDAT %d LAST\r\n%b"


@dataclass
class Judge:
    """A filter that reads what it is shown, and then gives the verdict that a test has set."""

    verdict: Callable[[bytes], Verdict | Exception] = lambda _: Accept("fine")
    open: asyncio.Event = field(default_factory=asyncio.Event)
    keeps: bool = True
    seen: list[tuple[Shown, bytes]] = field(default_factory=list)

    async def judge(self, shown: Shown) -> Verdict:
        """As a test has it."""
        content = b""
        if isinstance(shown.content, bytes):
            content = shown.content
        else:
            octets = 0
            async for piece in shown.content:
                octets += len(piece)
                content += piece if self.keeps else b""
            assert octets == shown.size
        self.seen.append((shown, content))
        await self.open.wait()
        verdict = self.verdict(content)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    async def close(self) -> None:
        """Nothing is kept."""


@pytest.fixture
def judge(office: Office, tmp_path: Path) -> Judge:
    """The office's filter, which is shown 10 MB."""
    judge = Judge()
    judge.open.set()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    office.screen = Screen("office.example", scratch, office.facts.append, office.clock, lambda *_: judge)
    office.screen.use(FilterRules("http://192.0.2.1", 5.0, 10 * MB))
    return judge


async def at(office: Office, script: str) -> Peer:
    """A peer that has played a script."""
    peer = await office.connect()
    await peer.play(script)
    return peer


async def sent(office: Office, content: bytes) -> str:
    """What is said to a message with this content."""
    peer = await at(office, GREETED)
    peer.say(FLIGHT % (len(content), content))
    heard = await peer.hear(3)
    peer.say("QUIT\r\n")
    await peer.ended()
    return heard[-1]


def scratch_files(tmp_path: Path) -> int:
    """How many of them are open; they have no names."""
    found = 0
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            found += str(tmp_path / "scratch") in str(file.readlink())
    return found


def lines(octets: int) -> bytes:
    """Content of so many octets, no two of its lines alike."""
    return b"".join([b"%070d\r\n" % number for number in range(octets // 72 + 1)])[: octets - 2] + b"\r\n"


SIZES = (0, 500, INLINE_LIMIT - 10, INLINE_LIMIT + 1, 3 * INLINE_LIMIT, MB + 7)


@pytest.mark.parametrize("octets", SIZES)
async def test_what_is_stored_is_what_was_shown_with_what_the_filter_adds_on_top(
    office: Office, judge: Judge, octets: int
) -> None:
    """Octet for octet below that, our Received field and what came, so that every signature over it holds."""
    judge.verdict = lambda _: Accept("add header", MARK)
    content = b"DKIM-Signature: v=1\r\nSubject: x\r\n\r\n" + lines(octets) if octets else b""
    assert (await sent(office, content)).startswith("250 2.0.0 OK queued as ")
    [(shown, seen)] = judge.seen
    assert seen.startswith(b"Received: from client.example")
    assert seen.endswith(content)
    assert len(seen) == shown.size
    [item] = await office.waiting()
    assert await office.content(item) == MARK + seen
    assert item.size == len(MARK + seen)
    assert [fact.octets for fact in office.told(MessageAccepted)] == [item.size]
    assert [fact.remark for fact in office.told(FilterJudged)] == ["add header"]


@pytest.mark.parametrize("octets", SIZES)
async def test_a_message_that_pleases_is_stored_as_without_a_filter(office: Office, judge: Judge, octets: int) -> None:
    """Nothing is put on top."""
    await sent(office, lines(octets) if octets else b"")
    [item] = await office.waiting()
    assert await office.content(item) == judge.seen[0][1]


async def test_the_filter_is_told_who_brings_what_to_whom(office: Office, judge: Judge) -> None:
    """The recipients that were taken, the name of the greeting, the id that is in our Received field."""
    peer = await at(office, ADDRESSED)
    await peer.play(
        """
        C: RCPT TO:<bert@gone.example>
        S: 550 5.7.1 We have moved to test.example
        C: RCPT TO:<carla@other.example>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        """
    )
    peer.say("x\r\n.\r\n")
    said = (await peer.hear())[0]
    [(shown, _)] = judge.seen
    assert str(shown.principal.address) == "0.0.0.0"
    assert shown.principal.login is None
    assert shown.name == "client.example"
    assert str(shown.reverse_path) == "ann@far.example"
    assert list(map(str, shown.recipients)) == ["anna@test.example", "carla@other.example"]
    assert said.endswith(write_message_id(shown.message))


@pytest.mark.parametrize("octets", [10, 3 * INLINE_LIMIT])
@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Refuse("reject", SPAM), "550 5.7.1 Gtube pattern"),
        (Refuse("greylist", Reply(451, "Later", "4.7.1")), "451 4.7.1 Later"),
        (FilterError("HTTP status 500"), "451 4.7.1 The mail filter does not answer, try again later"),
    ],
)
async def test_what_does_not_please_is_not_stored(  # noqa: PLR0917 - fixtures
    office: Office, judge: Judge, verdict: Verdict | Exception, said: str, octets: int, tmp_path: Path
) -> None:
    """Nothing is left of it, on disk or in the queue, and the session goes on."""
    judge.verdict = lambda content: Accept("fine") if content.endswith(b"good\r\n") else verdict
    assert await sent(office, lines(octets)) == said
    assert await office.waiting() == []
    assert office.held.writers == []
    assert scratch_files(tmp_path) == 0
    assert [fact.reply for fact in office.told(CommandRefused)] == [said]
    assert len(office.told(FilterFailed)) == isinstance(verdict, FilterError)
    assert (await sent(office, b"good\r\n")).startswith("250")


async def test_replies_stay_in_order_whoever_is_judged_first(office: Office, judge: Judge) -> None:
    """What is pipelined is judged at once, and each answer belongs to its own message."""
    judge.open.clear()
    judge.verdict = lambda content: Refuse("reject", SPAM) if b"spam" in content else Accept("fine")
    peer = await at(office, GREETED)
    for word in (b"good\r\n", b"spam\r\n", b"fine\r\n"):
        peer.say(FLIGHT % (6, word))
    peer.say("NOOP\r\n")
    await until(lambda: len(judge.seen) == 3)
    assert await peer.hear(2) == ["250 2.1.0 Sender OK", "250 2.1.5 Recipient OK"]
    await peer.hears_nothing()
    assert office.held.arrivals == []
    judge.open.set()
    heard = await peer.hear(8)
    assert [line[:3] for line in heard] == ["250", "250", "250", "550", "250", "250", "250", "250"]
    assert heard[3] == "550 5.7.1 Gtube pattern"
    assert len(await office.waiting()) == 2


async def test_an_etrn_waits_for_verdicts(office: Office, judge: Judge) -> None:
    """What its peer has sent before is part of what it releases."""
    judge.open.clear()
    peer = await at(office, GREETED)
    peer.say(FLIGHT % (6, b"good\r\n") + b"ETRN test.example\r\n")
    await peer.hear(2)
    await peer.hears_nothing()
    judge.open.set()
    assert [line[:3] for line in await peer.hear(2)] == ["250", "459"]


async def test_a_peer_whose_messages_the_filter_cannot_take_in_hand_is_read_no_further(
    office: Office, judge: Judge
) -> None:
    """So what waits for it stays small, however much is sent in one piece."""
    judge.open.clear()
    peer = await at(office, GREETED)
    peer.say(FLIGHT % (6, b"good\r\n") * (AT_ONCE + 40))
    await until(lambda: len(judge.seen) == AT_ONCE)
    await asyncio.sleep(0.05)
    assert office.screen is not None
    assert len(office.screen._in_hand) == AT_ONCE
    judge.open.set()
    heard = await peer.hear(3 * (AT_ONCE + 40))
    assert {line[:3] for line in heard} == {"250"}
    assert len(await office.waiting()) == AT_ONCE + 40


@pytest.mark.parametrize(("short", "long"), [(299_000, 400_000), (299_000, 300_001), (9_000, 10_001)])
async def test_what_is_too_long_for_the_filter_is_taken_unseen(
    office: Office, judge: Judge, short: int, long: int
) -> None:
    """Whatever size MAIL has told: that is checked by nobody before."""
    assert office.screen is not None
    office.screen.use(FilterRules("http://192.0.2.1", 5.0, 300_000 if long > 300_000 else 10_000))
    for octets in (short, long):
        content = lines(octets)
        peer = await at(office, GREETED)
        peer.say(b"MAIL FROM:<ann@far.example> SIZE=%d\r\n" % (700_000 - octets))
        peer.say(b"RCPT TO:<anna@test.example>\r\nBDAT %d LAST\r\n%b" % (octets, content))
        assert (await peer.hear(3))[-1].startswith("250 2.0.0 OK queued")
    items = await office.waiting()
    assert [len(seen) for _, seen in judge.seen] == [items[0].size]
    assert (await office.content(items[1])).endswith(lines(long))
    assert [fact.octets for fact in office.told(FilterPassedOver)] == [items[1].size]


async def test_a_large_message_is_never_whole_in_memory(office: Office, judge: Judge) -> None:
    """Not while it comes, not while it is shown, not while it is stored."""
    office.limits = Limits(message_size=60 * MB)
    assert office.screen is not None
    office.screen.use(FilterRules("http://192.0.2.1", 30.0, 50 * MB))
    judge.keeps = False
    judge.verdict = lambda _: Accept("add header", MARK)
    peer = await at(office, IN_DATA)
    block = (b"y" * 76 + b"\r\n") * (MB // 78)
    tracemalloc.start()
    for _ in range(30):
        peer.say(block)
        await peer.stream.drain()
    peer.say(".\r\n")
    assert (await peer.hear(within=60))[0].startswith("250 2.0.0")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MB
    [item] = await office.waiting()
    assert item.size > 30 * len(block)


@pytest.mark.parametrize("wrong", [b"a\nb\r\n", b"Received: x\r\n" * 60])
async def test_what_is_refused_anyway_is_not_shown(office: Office, judge: Judge, wrong: bytes) -> None:
    """A bare LF, or a message in a loop."""
    assert (await sent(office, wrong + b"\r\n" + lines(2 * INLINE_LIMIT))).startswith("554 ")
    assert judge.seen == []
    assert await office.waiting() == []


async def _reset(peer: Peer) -> None:
    """Has the transaction forgotten."""
    await peer.play("C: RSET\nS: 250 2.0.0 OK")


async def test_rset_forgets_what_waits_in_a_scratch_file(office: Office, judge: Judge, tmp_path: Path) -> None:
    """And a peer that leaves does."""
    for leave in (Peer.leave, _reset):
        peer = await at(office, ADDRESSED)
        content = lines(MB)
        peer.say(b"BDAT %d\r\n%b" % (len(content), content))
        await peer.hear()
        assert scratch_files(tmp_path) == 1
        await leave(peer)
        await until(lambda: scratch_files(tmp_path) == 0)
    assert judge.seen == []


async def test_a_peer_that_leaves_before_the_verdict(office: Office, judge: Judge) -> None:
    """The message was whole: it is judged and stored, as without a filter."""
    judge.open.clear()
    peer = await at(office, IN_DATA)
    peer.say(b"x\r\n.\r\n")
    await until(lambda: judge.seen)
    peer.stream.abort()
    await asyncio.sleep(0.05)
    assert not peer.task.done()
    judge.open.set()
    await asyncio.wait_for(peer.task, 60)
    assert len(await office.waiting()) == 1


@pytest.mark.parametrize("octets", [10, 3 * INLINE_LIMIT])
async def test_a_disk_that_is_full_after_the_verdict_is_told(office: Office, judge: Judge, octets: int) -> None:
    """Nothing is left of the message, and it may come again."""
    office.held.error = SpoolFull(1, 0)
    assert (await sent(office, lines(octets))).startswith("452 4.3.1 ")
    office.held.error = None
    assert await office.waiting() == []
    assert len(judge.seen) == 1


async def test_a_disk_without_room_for_scratch_files_is_told(office: Office, judge: Judge) -> None:
    """As any full disk; what fits into memory goes on."""
    peer = await at(office, IN_DATA)
    office.held.room = False
    peer.say(lines(2 * INLINE_LIMIT) + b".\r\n")
    assert (await peer.hear())[0].startswith("452 4.3.1 ")
    assert judge.seen == []


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "452 4.3.1 "), (errno.EIO, "451 4.3.0 "), (errno.EMFILE, "451 4.3.0 ")]
)
async def test_a_scratch_file_that_fails_is_told(
    office: Office, judge: Judge, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    """And the message is not let in unseen."""

    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("restante.filtering.scratch.Scratch._append", fails)
    assert (await sent(office, lines(MB))).startswith(said)
    assert judge.seen == []
    assert await office.waiting() == []


async def test_lmtp_is_told_the_verdict_for_each_recipient(office: Office, judge: Judge) -> None:
    """RFC 2033 §4.2: a refusal as well; the Received field has LMTP's word (RFC 3848)."""
    office.service = Service.LMTP
    judge.verdict = lambda content: Refuse("reject", SPAM) if b"spam" in content else Accept("fine")
    peer = await office.connect()
    peer.say("LHLO client.example\r\n")
    assert (await peer.hear(2))[0] == "220 office.example LMTP restante"
    while (await peer.hear())[0][3] == "-":
        pass
    for word in (b"spam\r\n", b"good\r\n"):
        peer.say(b"MAIL FROM:<ann@far.example>\r\nRCPT TO:<anna@test.example>\r\nRCPT TO:<bert@other.example>\r\n")
        peer.say(b"BDAT 6 LAST\r\n" + word)
    heard = [line[:3] for line in await peer.hear(10)]
    assert heard == ["250", "250", "250", "550", "550", "250", "250", "250", "250", "250"]
    assert b" with LMTP id " in await office.content((await office.waiting())[0])


async def test_a_filter_that_is_set_later_sees_the_next_message(office: Office, judge: Judge) -> None:
    """A reload is heeded by sessions that are open."""
    assert office.screen is not None
    office.screen.use(None)
    peer = await at(office, GREETED)
    for number in range(2):
        peer.say(FLIGHT % (3, b"x\r\n"))
        assert (await peer.hear(3))[-1].startswith("250 2.0.0 OK queued")
        assert len(judge.seen) == number
        office.screen.use(FilterRules("http://192.0.2.1", 5.0, MB))
