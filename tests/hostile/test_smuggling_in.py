"""SMTP smuggling (CVE-2023-51764, -51765, -51766): what looks like the end of a message to somebody else is none here.

Behind each false end of content stand the commands of a second message, and the true end. There is one reply to the
content, a refusal; the rest is never a command, however it was cut into segments, also once the message is too large.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.hostile.attack import cut_everywhere, replies, say
from tests.hostile.office import SITE, SIZE, AttackedOffice

FALSE_ENDS = {
    "LF . LF": b"\n.\n",
    "LF . CR": b"\n.\r",
    "CR . LF": b"\r.\n",
    "CR . CR": b"\r.\r",
    "LF . CR LF": b"\n.\r\n",
    "CR . CR LF": b"\r.\r\n",
    "CR LF . LF": b"\r\n.\n",
    "CR LF . CR": b"\r\n.\r",
    "CR LF . CR CR LF": b"\r\n.\r\r\n",
    "CR CR LF . CR CR LF": b"\r\r\n.\r\r\n",
    "CR LF NUL . CR LF": b"\r\n\0.\r\n",
    "CR LF . NUL CR LF": b"\r\n.\0\r\n",
}
EVIL = b"MAIL FROM:<evil@far.example>\r\nRCPT TO:<victim@held.example>\r\n"
SECOND = {
    "DATA": EVIL + b"DATA\r\nSubject: smuggled\r\n\r\nby DATA",
    "BDAT": EVIL + b"BDAT 20 LAST\r\nSubject: smuggled\r\n",
    "ETRN": b"ETRN held.example\r\n",
}
BEFORE = {
    "at the start": b"",
    "behind a line": b"Subject: first\r\n\r\na line",
    "behind 70,000 octets": b"x" * 69_990 + b"\r\nand text",
    "behind too many octets": b"x" * SIZE + b"\r\nand text",
}
ENVELOPE = b"EHLO client.example\r\nMAIL FROM:<ann@far.example> BODY=8BITMIME\r\nRCPT TO:<anna@held.example>\r\n"
END = b"\r\n.\r\n"
REFUSED = "554 5.6.0"
TOO_LARGE = "552 5.3.4"


@dataclass(frozen=True, slots=True)
class Case:
    """A session to its QUIT, in segments; `chunks` is how many BDAT commands are in it, 0: DATA."""

    name: str
    pieces: tuple[bytes, ...]
    refusal: str
    chunks: int = 0


def by_data(false_end: bytes) -> Iterator[Case]:
    """One false end: at each position, with each second message, cut in all the ways."""
    for position, before in BEFORE.items():
        refusal = TOO_LARGE if len(before) > SIZE else REFUSED
        for kind, second in SECOND.items():
            head, tail = ENVELOPE + b"DATA\r\n" + before, second + END + b"QUIT\r\n"
            name = f"{position}, {kind}"
            yield Case(f"{name}, whole", (head + false_end + tail,), refusal)
            octets = tuple(false_end[at : at + 1] for at in range(len(false_end)))
            yield Case(f"{name}, octet by octet", (head, *octets, tail), refusal)
            if kind == "DATA":
                yield Case(f"{name}, the false end by itself", (head, false_end, tail), refusal)
                for first, rest in cut_everywhere(false_end):
                    yield Case(f"{name}, cut behind {first!r}", (head + first, rest + tail), refusal)


def by_bdat(false_end: bytes) -> Iterator[Case]:
    """The same in chunks: one, and two that part the false end at each place."""
    for position, before in BEFORE.items():
        for kind, second in SECOND.items():
            content = before + false_end + second + END
            head = ENVELOPE + b"BDAT %d LAST\r\n" % len(content)
            refusal = TOO_LARGE if len(before) > SIZE else REFUSED
            yield Case(f"{position}, {kind}, one chunk", (head + content + b"QUIT\r\n",), refusal, 1)
        for first, rest in cut_everywhere(false_end):
            one, two = before + first, rest + SECOND["DATA"] + END
            session = ENVELOPE + b"BDAT %d\r\n%bBDAT %d LAST\r\n%bQUIT\r\n" % (len(one), one, len(two), two)
            yield Case(f"{position}, parted behind {first!r}", (session,), refusal, 2)


def test_there_are_five_hundred_cases() -> None:
    """Twelve false ends, in so many ways."""
    assert len(FALSE_ENDS) == 12
    assert sum(1 for end in FALSE_ENDS.values() for cases in (by_data, by_bdat) for _ in cases(end)) >= 500


@pytest.mark.parametrize("false_end", FALSE_ENDS.values(), ids=FALSE_ENDS)
def test_data_ends_at_its_true_end_alone(false_end: bytes, office: AttackedOffice) -> None:
    """220, EHLO, MAIL, RCPT, 354, one refusal, 221: not a reply more."""
    before = office.held
    for case in by_data(false_end):
        said = replies(say(office.port, *case.pieces, source=SITE))
        assert [reply[:3] for reply in said[:5]] == ["220", "250", "250", "250", "354"], case.name
        assert said[5].startswith(case.refusal), (case.name, said)
        assert [reply[:3] for reply in said[6:]] == ["221"], (case.name, said)
    assert office.held == before
    assert office.trap.caught == 0


@pytest.mark.parametrize("false_end", FALSE_ENDS.values(), ids=FALSE_ENDS)
def test_a_chunk_is_as_long_as_it_says(false_end: bytes, office: AttackedOffice) -> None:
    """One reply a chunk, none of them 250 once the false end is in it, and nothing is taken out of it."""
    before = office.held
    for case in by_bdat(false_end):
        said = replies(say(office.port, *case.pieces, source=SITE))
        assert [reply[:3] for reply in said[:4]] == ["220", "250", "250", "250"], case.name
        to_chunks, after = said[4 : 4 + case.chunks], said[4 + case.chunks :]
        assert [reply[:3] for reply in after] == ["221"], (case.name, said)
        refusals = [reply for reply in to_chunks if reply[:3] != "250"]
        assert refusals, case.name
        assert refusals[0].startswith(case.refusal), (case.name, said)
        assert not to_chunks[-1].startswith("250"), (case.name, said)
    assert office.held == before
    assert office.trap.caught == 0


def test_a_true_end_is_one_however_it_is_cut(office: AttackedOffice) -> None:
    """The same table without anything false in it is taken: it is the false ends that are refused."""
    content, before = b"Subject: true\r\n\r\n..\r\n", office.held
    session = ENVELOPE + b"DATA\r\n" + content
    for first, rest in cut_everywhere(END):
        said = replies(say(office.port, session + first, rest + b"QUIT\r\n"))
        assert [reply[:3] for reply in said] == ["220", "250", "250", "250", "354", "250", "221"]
    assert office.held == before + len(END) - 1
