"""The other half of SMTP smuggling: nothing that restante has taken makes it say a command of somebody else's.

All that may lawfully lie in a spool goes in: binary content with every false end (RFC 3030), and text sent in chunks
that has the true end of DATA in it. It goes out to next hops of every kind, which write down each octet.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.hostile.attack import codes, say
from tests.hostile.sink import Sink
from tests.hostile.test_smuggling_in import EVIL, FALSE_ENDS
from tests.stories.letters import peeled
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import typed

EHLO = ("8BITMIME", "SIZE", "DSN", "SMTPUTF8")
NEXT_HOPS = {
    "binary.example": (*EHLO, "PIPELINING", "CHUNKING", "BINARYMIME"),
    "chunks.example": (*EHLO, "PIPELINING", "CHUNKING"),
    "groups.example": (*EHLO, "PIPELINING"),
    "lockstep.example": EHLO,
    "old.example": (),
    "sender.example": (*EHLO, "PIPELINING"),
}
"""By domain, what its next hop offers; the last gets the reports."""
SECOND = EVIL + b"DATA\r\nsmuggled\r\n.\r\n"
BINARY = [
    before + false_end + SECOND
    for before in (b"", b"Subject: first\r\n\r\na line", b"a bare\nLF in: the\rheader\r\n\r\n", b"x" * 70_000)
    for false_end in FALSE_ENDS.values()
]
TEXT = [
    b"Subject: true ends\r\n\r\n.\r\n" + SECOND,
    b"\r\n.\r\n" + SECOND,
    b".\r\n" + SECOND,
    b".",
    b"..",
    b"",
    b"\r\n",
    b"\r\n.",
    b"\r\n..",
    b"no line end",
    b"no line end after a dot\r\n.",
    b"x" * 66_000 + b"\r\n.\r\n" + SECOND,
    b"x" * 65_534 + b"\r\n.\r\n" * 10_000,
    b"a\r\n" * 30_000 + b".\r\n" + SECOND,
]


def config(port: int, hops: dict[str, int]) -> str:
    """An office for all of these domains."""
    held = "".join(
        f"""
[domains."{domain}"]
action = "hold"
next_hop = "127.0.0.1:{hop}"
release_from = ["127.0.0.1"]
"""
        for domain, hop in hops.items()
    )
    return f"""
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[limits]
notices = 1000
{held}"""


def chunked(content: bytes, body: str, *, parts: int) -> bytes:
    """A transaction to everybody, its content in so many chunks."""
    size = -(-len(content) // parts) or 1
    pieces = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    envelope = f"MAIL FROM:<ann@sender.example> BODY={body} RET=FULL\r\n" + "".join(
        f"RCPT TO:<bob@{domain}>\r\n" for domain in NEXT_HOPS if domain != "sender.example"
    )
    chunks = [b"BDAT %d\r\n%s" % (len(piece), piece) for piece in pieces[:-1]]
    return envelope.encode() + b"".join(chunks) + b"BDAT %d LAST\r\n%s" % (len(pieces[-1]), pieces[-1])


@pytest.fixture(scope="module")
def sinks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Sink]]:
    """All next hops, after everything was released to them."""
    port, hops = free_port(), {domain: free_port() for domain in NEXT_HOPS}
    folder: Path = tmp_path_factory.mktemp("out")
    with ExitStack() as stack:
        sinks = {domain: stack.enter_context(Sink(hop, NEXT_HOPS[domain])) for domain, hop in hops.items()}
        office = stack.enter_context(RestanteHost(folder / "office", config(port, hops)))
        for parts, (content, body) in zip(
            itertools.cycle((1, 2, 3)),
            [*((content, "BINARYMIME") for content in BINARY), *((content, "8BITMIME") for content in TEXT)],
            strict=False,
        ):
            heard = say(port, b"EHLO client.example\r\n" + chunked(content, body, parts=parts) + b"QUIT\r\n")
            assert set(codes(heard)) == {220, 250, 221}, (content[:100], heard)
        for domains in ([domain for domain in NEXT_HOPS if domain != "sender.example"], ["sender.example"]):
            for said in typed(port, *(f"ETRN {domain}" for domain in domains)):
                assert said.startswith("253 "), said
            end = time.monotonic() + 90
            while left := [item for item in office.items() if item["domain"] in domains]:
                assert time.monotonic() < end, left
                time.sleep(0.1)
        assert office.waiting() == 0
        yield sinks


@pytest.mark.parametrize("domain", NEXT_HOPS)
def test_no_line_ends_in_anything_but_cr_lf(domain: str, sinks: dict[str, Sink]) -> None:
    """In all that was sent there but the chunks of binary messages: no bare CR, no bare LF, no NUL."""
    sink = sinks[domain]
    assert not sink.errors, sink.errors
    assert sink.texts
    for text in sink.texts:
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", text)


@pytest.mark.parametrize("domain", NEXT_HOPS)
def test_every_command_is_our_own(domain: str, sinks: dict[str, Sink]) -> None:
    """None of them names the evil sender or the victim."""
    commands = b"\n".join(sinks[domain].commands)
    assert b"evil" not in commands
    assert b"victim" not in commands


@pytest.mark.parametrize("domain", [domain for domain in NEXT_HOPS if domain != "sender.example"])
def test_each_message_arrives_once_and_as_it_was(domain: str, sinks: dict[str, Sink]) -> None:
    """Text everywhere, binary where it is taken; an end that a text lacks is put on by DATA, and nothing else."""
    takes_chunks, takes_binary = "CHUNKING" in NEXT_HOPS[domain], "BINARYMIME" in NEXT_HOPS[domain]
    sent = [*(BINARY if takes_binary else []), *TEXT]
    if not takes_chunks:
        sent = [content if content.endswith(b"\r\n") or not content else content + b"\r\n" for content in sent]
    arrived = [taken.content.partition(b" +0000\r\n")[2] for taken in sinks[domain].taken]
    assert sorted(arrived) == sorted(sent)
    assert sum(taken.is_binary for taken in sinks[domain].taken) == (len(BINARY) if takes_binary else 0)


def test_what_cannot_be_sent_is_reported_in_clean_lines(sinks: dict[str, Sink]) -> None:
    """A report for each next hop that takes no binary, from the null reverse-path; 7-bit, nothing of it raw."""
    reports = sinks["sender.example"].taken
    assert len(reports) == len(BINARY) * 4
    for report in reports:
        assert report.mail.startswith("FROM:<>")
        assert report.content.isascii()
        assert next(peeled(report.content)).startswith(b"From: Mail Delivery System")
