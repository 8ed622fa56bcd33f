"""Every parser that reads what somebody else has written, fed with what a fuzzer thinks of.

TARGETS has a function for each: it takes octets, allows only the errors that the parser promises, and checks what must
hold of a result. script/soak fuzz-parsers plays all by atheris, each in a process of its own (one_parser.py), which
ends at the first error; tests/hostile/test_fuzz.py plays all of them shortly, with hypothesis.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bench.ledger import Totals
from tests.crash.runs import Outcome
from tests.smtp.client_talk import Player, message
from tests.smtp.talk import OFFICE, Talker, assert_well_formed

from restante.message.causes import About, Cause, Times
from restante.message.dsn import notice
from restante.message.trace import HopCounter
from restante.model import Envelope, HostPort, Item, Mailbox, MessageId, NextHopError, Recipient, Ret, item_id
from restante.net.proxy import BadProxyHeader, HeaderReader
from restante.smtp import sasl
from restante.smtp.address import (
    AddressError,
    parse_domain,
    parse_forward_path,
    parse_reverse_path,
    write_path,
)
from restante.smtp.command import (
    CommandError,
    parse_atrn,
    parse_auth,
    parse_bdat,
    parse_mail,
    parse_rcpt,
    parse_response,
    split_line,
)
from restante.smtp.content import DataDecoder
from restante.smtp.node import NodeError, parse_node
from restante.smtp.offer import Offer
from restante.smtp.reply import MalformedReply, ReplyReader
from restante.smtp.scram import ScramKeys, derive_keys

ANN = Mailbox.parse("ann@far.example")
BOB = Recipient(Mailbox.parse("bob@test.example"))


def _text(data: bytes) -> str:
    """As split_line() gives it to the parsers: what is no UTF-8 does not come so far."""
    return data.decode("utf-8", "ignore")


def _halves(data: bytes) -> tuple[bytes, bytes]:
    """Cut where the first octet says."""
    at = data[0] * len(data) // 256 if data else 0
    return data[1:][:at], data[1:][at:]


def address(data: bytes) -> None:
    """A domain or a path is what it is written as."""
    text = _text(data)
    with suppress(AddressError):
        domain = parse_domain(text)
        assert parse_domain(domain) == domain
        assert domain.isascii()
    for parse in (parse_reverse_path, parse_forward_path):
        with suppress(AddressError):
            mailbox = parse(f"<{text}>")
            assert parse(write_path(mailbox)) == mailbox
            assert write_path(mailbox).isprintable()
    with suppress(NextHopError):
        host = HostPort.parse(text)
        assert HostPort.parse(str(host)) == host


def node(data: bytes) -> None:
    """A node is what it is written as, in ASCII."""
    with suppress(NodeError):
        found = parse_node(_text(data))
        assert parse_node(str(found)) == found
        assert str(found).isascii()
        assert str(found).isprintable()


def command(data: bytes) -> None:
    """A line, and what may stand behind each verb."""
    with suppress(CommandError):
        verb, _ = split_line(data.replace(b"\r", b"").replace(b"\n", b""))
        assert verb.isascii()
    text = _text(data)
    parsers: list[Callable[[str], object]] = [
        *(parse_bdat, parse_auth, parse_response, parse_atrn, parse_rcpt),
        *(parse_mail, lambda argument: parse_rcpt(argument, smtputf8=True)),
    ]
    for argument in (text, f"FROM:{text}", f"TO:{text}", f"FROM:<a@b.example> {text}", f"TO:<a@b.example> {text}"):
        for parse in parsers:
            with suppress(CommandError):
                parse(argument)


def reply(data: bytes) -> None:
    """However the octets are cut, the replies in them are the same, and each can be shown."""
    whole, cut = ReplyReader(), ReplyReader()
    whole.receive(b"".join(_halves(data)))
    found = _replies(whole)
    again: list[str] = []
    for piece in _halves(data):
        if "malformed" not in again:  # then the connection is of no further use
            cut.receive(piece)
            again += _replies(cut)
    assert again == found
    for said in found:
        assert said.isprintable()


def _replies(reader: ReplyReader) -> list[str]:
    found: list[str] = []
    try:
        while (said := reader.next_reply()) is not None:
            found.append(str(said))
            assert bytes(said).endswith(b"\r\n")
            Offer.of_ehlo(said.lines)
    except MalformedReply:
        found.append("malformed")
    return found


def content(data: bytes) -> None:
    """However the octets are cut, DATA ends where it ends, and gives what it gives."""
    whole = DataDecoder()
    octets = b"".join(_halves(data))
    expected, used = whole.feed(octets)
    cut, got, at = DataDecoder(), b"", 0
    for piece in _halves(data):
        if not cut.ended:
            part, taken = cut.feed(piece)
            got += part
            at += taken
    assert (got, cut.ended) == (expected, whole.ended)
    assert at == used
    hops = HopCounter()
    hops.feed(octets)


def dsn(data: bytes) -> None:
    """A report about anything is lines of ASCII that end in CR LF."""
    said, original = _halves(data)
    text = said.decode("utf-8", "replace")
    message_id = MessageId(7)
    envelope = Envelope(ANN, (BOB,), ret=Ret.FULL, envid="x+2By")
    item = Item(item_id(message_id, 1), BOB.mailbox.domain, envelope, len(original), 0.0)
    report = notice(
        hostname="office.example",
        message=MessageId(8),
        item=item,
        about=[About(BOB, cause, text, text[:20]) for cause in Cause],
        remote=text,
        original=original,
        times=Times(0.0),
    )
    assert report.isascii()
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", report)


def proxy(data: bytes) -> None:
    """However the octets are cut, the header is the same, and no octet behind it is taken."""
    found: list[object] = []
    for pieces in ((b"".join(_halves(data)),), _halves(data)):
        reader, taken = HeaderReader(), 0
        try:
            for piece in filter(None, pieces):
                if reader.header is None:
                    taken += reader.receive(piece)
            found.append((reader.header, taken if reader.header else None))
        except BadProxyHeader:
            found.append("bad")
    assert found[0] == found[1] or "bad" in found


KEYS = derive_keys("pencil", b"salt-of-16-octets", 4096)


def login(data: bytes) -> None:
    """Whatever a client says, an exchange ends in a verdict; a proof is never found by chance."""
    mechanism = sasl.MECHANISMS[data[0] % len(sasl.MECHANISMS)] if data else sasl.PLAIN
    responses = data[1:].split(b"\xff\xfe") or [b""]
    exchange = sasl.server_exchange(
        mechanism,
        responses[0],
        hostname="office.example",
        nonce="fyko+d2lbbFgONRv",
        disguise=b"key",
        server_end_point=b"x",
    )
    known: ScramKeys | bytes | None
    for response in responses[1:] * 4:
        while isinstance(exchange.step, sasl.ScramAsked | sasl.SecretAsked):
            known = KEYS if isinstance(exchange.step, sasl.ScramAsked) else b"secret-of-16-octets"
            exchange.answer(known)
        if not isinstance(exchange.step, sasl.Challenge):
            break
        exchange.respond(response)
    assert not isinstance(exchange.step, sasl.Proven)


def server(data: bytes) -> None:
    """The server's engine says whole replies, and the same ones however it hears them."""
    whole, cut = Talker(OFFICE), Talker(OFFICE)
    heard = whole.say(b"".join(_halves(data)))
    assert b"".join(cut.say(piece) for piece in _halves(data)) == heard
    assert cut.taken == whole.taken
    assert_well_formed(heard)


def client(data: bytes) -> None:
    """The client's engine, told anything at all, ends or goes on."""
    player = Player(
        [message("bob"), message("bob", "carl", content=None, size=3), message("dora")], pieces=(b"a", b"bc")
    )
    with suppress(MalformedReply):
        for piece in (b"220 mx\r\n250-mx\r\n", *_halves(data)):
            player.hear(piece, len(piece) or 1)
    assert b"\r\n.\r\n.\r\n" not in player.sent


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (address, node, command, reply, content, dsn, proxy, login, server, client)
}


def seeds(name: str) -> list[bytes]:
    """What a target's parser takes, to begin with."""
    octets = {
        "address": [b"a@b.example", b'"a b"@[IPv6:::1]', "b\u00fc@b\u00fccher.example".encode(), b"[127.0.0.1]:25"],
        "node": [b"a.example", b"@example", b"#group", b"[::1]", b"192.0.2.1"],
        "command": [
            b"<a@b.example> SIZE=5 BODY=8BITMIME",
            b"NOTIFY=NEVER ORCPT=rfc822;x+2By",
            b"5 LAST",
            b"PLAIN AGEAYg==",
        ],
        "reply": [b"\x80250-one\r\n250 2.0.0 two\r\n", b"\x40550 5.7.1\r\n"],
        "content": [b"\x80..a\r\n.b\r\n.\r\nQUIT\r\n", b"\x10.\r\n"],
        "dsn": [b"\x40550 5.1.1 no such userSubject: x\r\n\r\nbody\r\n"],
        "proxy": [
            b"\x00\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x02\x10\0\x10\x01EHLO",
            b"\x00PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        ],
        "login": [bytes([n]) + b"n,,n=a,r=b\xff\xfec=biws,r=b,p=eHg=" for n in range(6)]
        + [b"\x04\0a\0b", b"\x03\xff\xfea 00"],
        "server": [
            b"\x80EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nx\r\n.\r\nBDAT 1 LAST\r\nxETRN x\r\n"
        ],
        "client": [b"\x80250-PIPELINING\r\n250 CHUNKING\r\n250 OK\r\n250 OK\r\n250 OK\r\n", b"\x10250 OK\r\n" * 9],
    }
    return octets[name]


def lacking() -> str:
    """Why atheris cannot run here; "" when it can."""
    if importlib.util.find_spec("atheris") is None:
        return "no atheris (pip install atheris; there is none for every version of Python)"
    return ""


async def parsers(seconds: int, folder: Path) -> Outcome:
    """Each target for its part of so many seconds, one after the other."""
    done = []
    for name in TARGETS:
        runs = await _fuzzed(name, max(1, seconds // len(TARGETS)), folder / name)
        done.append(f"{name} {runs:,}")
    return Outcome(Totals(), f"inputs: {'; '.join(done)}")


async def _fuzzed(name: str, seconds: int, folder: Path) -> int:
    """How many inputs a target was given; fails with what atheris says of the first error."""
    folder.mkdir(parents=True)
    for number, octets in enumerate(seeds(name)):
        (folder / f"seed-{number}").write_bytes(octets)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.one_parser", name, str(seconds), str(folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    said = output.decode(errors="replace")
    assert process.returncode == 0, f"{name}: {said[-6000:]}"
    counted = re.search(r"stat::number_of_executed_units:\s+(\d+)", said)
    assert counted, said[-2000:]
    return int(counted[1])
