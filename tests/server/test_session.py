"""A session over real streams, into a real spool: when it says 250, what it takes in, every way in which it ends."""

from __future__ import annotations

import asyncio
import ipaddress
import tracemalloc
from pathlib import Path

import pytest
from tests.server.office import ADDRESSED, GREETED, IN_DATA, PEER, Office, Peer, until

from restante.clock import TurnedClock
from restante.facts import CommandRefused, MessageAccepted, ReleaseDecided
from restante.model import ByMode, DeliverBy, DomainName, Notify, Principal, Ret, write_message_id
from restante.net import asyncio_stream
from restante.net.tls import ServerContext, client_context, self_signed, server_context
from restante.release.answers import Answer, NothingWaiting, Started
from restante.server import session as session_module
from restante.server.services import Limits
from restante.smtp.node import DomainNode, Node
from restante.spool.spool import INLINE_LIMIT, SpoolBroken, SpoolFull

FLIGHT = b"MAIL FROM:<ann@far.example>\r\nRCPT TO:<anna@test.example>\r\nBDAT %d LAST\r\n%b"
MB = 1 << 20


async def at(office: Office, script: str) -> Peer:
    """A peer that has played a script."""
    peer = await office.connect()
    await peer.play(script)
    return peer


def files(folder: Path) -> set[Path]:
    """All below a folder."""
    return {file for file in folder.rglob("*") if file.is_file()}


# taking mail in


async def test_a_message_is_taken_and_waits(office: Office) -> None:
    """From the greeting to QUIT; what waits is our Received field and the octets that came."""
    peer = await at(office, IN_DATA)
    peer.say("Subject: hello\r\n\r\n..dot\r\n.\r\n")
    [said] = await peer.hear()
    [item] = await office.waiting()
    assert said == f"250 2.0.0 OK queued as {write_message_id(item.message)}"
    assert (await office.content(item)).decode() == (
        "Received: from client.example ([0.0.0.0])\r\n"
        f"\tby office.example (restante) with SMTP id {write_message_id(item.message)}\r\n"
        "\tfor <anna@test.example>;\r\n"
        "\tThu, 01 Jan 2026 00:00:00 +0000\r\n"
        "Subject: hello\r\n\r\n.dot\r\n"
    )
    assert (item.domain, str(item.envelope.reverse_path)) == ("test.example", "ann@far.example")
    peer.say("QUIT\r\n")
    assert await peer.ended() == ["221 2.0.0 Bye"]
    [fact] = office.told(MessageAccepted)
    assert (fact.message, fact.reverse_path, fact.recipients) == (item.message, "<ann@far.example>", 1)
    assert fact.octets == item.size
    assert office.arrived == []


async def test_parameters_are_kept_with_the_item(office: Office) -> None:
    """As MAIL and RCPT said them (RFC 3461, 6531); the trace tells UTF8SMTP."""
    peer = await office.connect()
    await peer.hear()
    peer.say(
        "EHLO client.example\r\n"
        "MAIL FROM:<ünï@far.example> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=Q1\r\n"
        "RCPT TO:<anna@test.example> NOTIFY=NEVER ORCPT=utf-8;ünï@x.example\r\n"
        "BDAT 3 LAST\r\nx\r\n"
    )
    heard = await peer.hear(15)
    assert [line[:9] for line in heard[-3:]] == ["250 2.1.0", "250 2.1.5", "250 2.0.0"]
    [item] = await office.waiting()
    envelope = item.envelope
    assert (envelope.body, envelope.smtputf8, envelope.ret, envelope.envid) == ("8BITMIME", True, Ret.HDRS, "Q1")
    [recipient] = envelope.recipients
    assert (recipient.notify, recipient.orcpt) == ((Notify.NEVER,), "utf-8;ünï@x.example")
    assert b"with UTF8SMTP id" in await office.content(item)


async def test_what_mail_wishes_for_is_kept_with_the_item(office: Office, context: ServerContext) -> None:
    """RFC 8689, 2852, 6710: the tag, the wall time at which it is late, the priority, which the trace tells."""
    office.tls = context
    peer = await office.connect()
    await peer.hear()
    peer.say("EHLO client.example\r\n")
    assert (await peer.hear(13))[-2:] == ["250-DELIVERBY", "250 MT-PRIORITY MIXER"]
    await start_tls(peer)
    peer.say("EHLO client.example\r\n")
    assert (await peer.hear(13))[-2:] == ["250-MT-PRIORITY MIXER", "250 REQUIRETLS"]
    peer.say(
        "MAIL FROM:<ann@far.example> REQUIRETLS BY=90;RT MT-PRIORITY=-4\r\n"
        "RCPT TO:<anna@test.example>\r\nBDAT 3 LAST\r\nx\r\n"
    )
    assert [line[:9] for line in await peer.hear(3)] == ["250 2.1.0", "250 2.1.5", "250 2.0.0"]
    [item] = await office.waiting()
    assert (item.envelope.requiretls, item.priority) == (True, -4)
    assert item.envelope.deliver_by == DeliverBy(office.clock.wall() + 90, ByMode.RETURN, trace=True)
    assert b"\r\n\tPRIORITY -4;\r\n" in await office.content(item)


@pytest.mark.parametrize(
    ("address", "asked", "said", "kept"),
    [
        ("192.0.2.7", 3, "250 2.3.6 0 is the priority that this message gets", 0),
        ("192.0.2.7", -3, "250 2.1.0 Sender OK", -3),
        ("192.0.2.7", 0, "250 2.1.0 Sender OK", 0),
        ("0.0.0.0", 9, "250 2.1.0 Sender OK", 9),
    ],
)
async def test_only_who_may_relay_gets_ahead(office: Office, address: str, asked: int, said: str, kept: int) -> None:
    """RFC 6710 §5: a stranger may wait longer, and go no faster; what it gets is told at MAIL, and to who reads."""
    office.relay_from = (PEER,)
    peer = await office.connect(address)
    await peer.play(GREETED)
    peer.say(f"MAIL FROM:<> MT-PRIORITY={asked}\r\nRCPT TO:<anna@test.example>\r\nBDAT 3 LAST\r\nx\r\n")
    assert (await peer.hear(3))[0] == said
    [item] = await office.waiting()
    assert item.priority == kept
    assert f"\r\n\tPRIORITY {kept};\r\n".encode() in await office.content(item)


async def test_one_message_for_three_domains(office: Office) -> None:
    """One content, an item for each; who leaves by itself is told; a recipient named twice is one."""
    office.relay_from = (PEER,)
    peer = await at(office, GREETED)
    names = ("anna@test.example", "bert@test.example", "anna@other.example", "anna@test.example", "u@far.example")
    peer.say("MAIL FROM:<>\r\n" + "".join(f"RCPT TO:<{name}>\r\n" for name in names) + "BDAT 3 LAST\r\nx\r\n")
    assert [line[:3] for line in await peer.hear(7)] == ["250"] * 7
    items = await office.waiting()
    assert {item.message for item in items} == {items[0].message}
    assert {item.domain: len(item.envelope.recipients) for item in items} == {
        "test.example": 2,
        "other.example": 1,
        "far.example": 1,
    }
    contents = {await office.content(item) for item in items}
    assert len(contents) == 1
    assert b"\tfor <" not in contents.pop()
    assert office.arrived == ["far.example"]


@pytest.mark.parametrize(
    ("recipient", "said"),
    [
        ("nobody@listed.example", "550 5.1.1 No such user here"),
        ("nobody@localtest.example", "550 5.1.1 No such user here"),
        ("u@far.example", "550 5.7.1 Relay access denied"),
        ("u%far.example@far.example", "550 5.7.1 Relay access denied"),
        ("u@[192.0.2.9]", "550 5.7.1 Relay access denied"),
        ("u@gone.example", "550 5.7.1 We have moved to test.example"),
    ],
)
async def test_a_recipient_that_is_not_taken(office: Office, recipient: str, said: str) -> None:
    """Is told why, and the others are taken; DATA without any is refused."""
    peer = await at(office, f"{GREETED}\nC: MAIL FROM:<>\nS: 250 2.1.0 Sender OK")
    await peer.play(f"C: RCPT TO:<{recipient}>\nS: {said}\nC: DATA\nS: 554 5.5.1 No valid recipients")
    await peer.play("C: RCPT TO:<anna@listed.example>\nS: 250 2.1.5 Recipient OK")
    [fact] = office.told(CommandRefused)
    assert (fact.command, fact.reply) == (f"RCPT {recipient}", said)


async def test_too_many_recipients(office: Office) -> None:
    """452 4.5.3 beyond the limit; the message goes to those that were taken."""
    office.limits = Limits(recipients=2)
    peer = await at(office, ADDRESSED)
    await peer.play(
        """
        C: RCPT TO:<bert@test.example>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<carl@test.example>
        S: 452 4.5.3 Too many recipients
        C: BDAT 0 LAST
        """
    )
    assert (await peer.hear())[0].startswith("250 2.0.0")
    [item] = await office.waiting()
    assert [str(recipient.mailbox) for recipient in item.envelope.recipients] == [
        "anna@test.example",
        "bert@test.example",
    ]


async def test_more_domains_than_a_message_can_have_items(office: Office) -> None:
    """However many recipients the limit allows; of domains that it has already it takes more."""
    office.limits = Limits(recipients=5000)
    office.relay_from = (PEER,)
    peer = await at(office, f"{GREETED}\nC: MAIL FROM:<>\nS: 250 2.1.0 Sender OK")
    peer.say("".join(f"RCPT TO:<u@d{number}.example>\r\n" for number in range(1100)))
    heard = await peer.hear(1100)
    assert sum(line.startswith("250 2.1.5") for line in heard) == 1023
    assert heard[1099] == "452 4.5.3 Too many recipients"
    await peer.play("C: RCPT TO:<anna@d0.example>\nS: 250 2.1.5 Recipient OK\nC: BDAT 0 LAST")
    assert (await peer.hear())[0].startswith("250 2.0.0")
    assert len(office.spool.domains()) == 1023


async def test_a_message_in_a_loop(office: Office) -> None:
    """554 5.4.6 beyond the limit of hops, and nothing waits."""
    office.limits = Limits(hops=3)
    for hops, said in ((3, "250 2.0.0"), (4, "554 5.4.6")):
        peer = await at(office, IN_DATA)
        peer.say("Received: from x\r\n\tby y\r\n" * hops + "\r\nReceived: not a field\r\n.\r\n")
        assert (await peer.hear())[0][:9] == said
    assert len(await office.waiting()) == 1


async def test_no_room(office: Office) -> None:
    """452 4.3.1 at MAIL, before anything is sent."""
    office.held.room = False
    peer = await at(office, GREETED)
    await peer.play("C: MAIL FROM:<> SIZE=1000\nS: 452 4.3.1 Insufficient system storage, try again later")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SpoolFull(1, 0), "452 4.3.1 Insufficient system storage, try again later"),
        (SpoolBroken("fsync failed"), "451 4.3.0 The spool cannot be written, try again later"),
        (RuntimeError("a mistake of ours"), "451 4.3.0 Local error in processing, try again later"),
    ],
)
async def test_a_message_that_could_not_be_stored(office: Office, error: Exception, said: str) -> None:
    """4yz, nothing waits, nothing is announced, and the session goes on."""
    office.held.error = error
    peer = await at(office, IN_DATA)
    await peer.play(f"C: x\nC: .\nS: {said}\nC: NOOP\nS: 250 2.0.0 OK")
    assert await office.waiting() == []
    assert office.told(MessageAccepted) == []
    assert [fact.reply for fact in office.told(CommandRefused)] == [said]


# 250 and the disk


async def test_250_comes_after_the_commit(office: Office) -> None:
    """Not before; meanwhile what is pipelined is read and taken, and the replies come in order."""
    office.held.open.clear()
    peer = await at(office, GREETED)
    for _ in range(3):
        peer.say(FLIGHT % (3, b"x\r\n"))
    peer.say("NOOP\r\nQUIT\r\n")
    assert await peer.hear(2) == ["250 2.1.0 Sender OK", "250 2.1.5 Recipient OK"]
    await peer.hears_nothing()
    assert len(office.held.arrivals) == 3
    assert office.told(MessageAccepted) == []
    office.held.open.set()
    heard = await peer.ended()
    queued = [f"250 2.0.0 OK queued as {write_message_id(arrival.id)}" for arrival in office.held.arrivals]
    assert [line for line in heard if "queued" in line] == queued
    assert heard[-2:] == ["250 2.0.0 OK", "221 2.0.0 Bye"]
    assert len(await office.waiting()) == 3


async def test_so_much_is_promised_and_no_more(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that streams is made to wait for the disk."""
    monkeypatch.setattr(session_module, "MOST_PROMISED", 10)
    office.held.open.clear()
    peer = await at(office, GREETED)
    peer.say(FLIGHT % (3, b"x\r\n") * 50)
    await until(lambda: office.held.arrivals)
    await asyncio.sleep(0.05)
    assert 3 <= len(office.held.arrivals) <= 5
    office.held.open.set()
    heard = await peer.hear(150)
    assert len(heard) == 150
    assert {line[:3] for line in heard} == {"250"}
    assert len(await office.waiting()) == 50


async def test_a_large_message_waits_alone(office: Office) -> None:
    """What is promised stays small."""
    office.held.open.clear()
    peer = await at(office, GREETED)
    peer.say((FLIGHT % (2 * INLINE_LIMIT, b"x" * 2 * INLINE_LIMIT)) * 2)
    await until(lambda: office.held.arrivals)
    await asyncio.sleep(0.05)
    assert len(office.held.arrivals) == 1
    office.held.open.set()
    assert len(await peer.hear(6)) == 6
    assert len(await office.waiting()) == 2


async def test_a_peer_that_leaves_before_its_250(office: Office) -> None:
    """The message was whole: it is stored, and the session ends when that is done."""
    office.held.open.clear()
    peer = await at(office, IN_DATA)
    peer.say("x\r\n.\r\n")
    await until(lambda: office.held.arrivals)
    peer.stream.abort()
    await asyncio.sleep(0.05)
    assert not peer.task.done()
    office.held.open.set()
    await asyncio.wait_for(peer.task, 60)
    assert len(await office.waiting()) == 1
    assert len(office.told(MessageAccepted)) == 1


# large content


async def test_large_content_is_streamed(office: Office) -> None:
    """To the spool's writer, in pieces; what is kept of it in memory does not grow with it."""
    office.limits = Limits(message_size=60 * MB)
    peer = await at(office, IN_DATA)
    line = b"." + b"y" * 76 + b"\r\n"
    block = line * (MB // len(line))
    tracemalloc.start()
    for _ in range(50):
        peer.say(block)
        await peer.stream.drain()
    peer.say(".\r\n")
    assert (await peer.hear(within=60))[0].startswith("250 2.0.0")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MB
    [writer] = office.held.writers
    assert max(writer.pieces) < MB
    [item] = await office.waiting()
    content = await office.content(item)
    assert len(content) == item.size == sum(writer.pieces)
    assert content.partition(b"\r\n\ty")[0].startswith(b"Received: from client.example")
    assert content.endswith(line[1:] * 100)


@pytest.mark.parametrize("verb", ["DATA", "BDAT"])
async def test_content_that_fills_the_disk_is_swallowed(office: Office, verb: str) -> None:
    """452 at its true end, what was written is removed, and the next message may come."""
    office.held.error = SpoolFull(1, 0)
    office.held.most_octets = 3 * INLINE_LIMIT
    content = b"x" * 78 + b"\r\n"
    content *= 10 * INLINE_LIMIT // 80
    peer = await at(office, ADDRESSED)
    if verb == "DATA":
        peer.say(b"DATA\r\n")
        await peer.hear()
        peer.say(content + b".\r\n")
    else:
        peer.say(b"BDAT %d\r\n" % len(content) + content)
    assert await peer.hear() == ["452 4.3.1 Insufficient system storage, try again later"]
    [writer] = office.held.writers
    assert writer.discarded
    assert sum(writer.pieces) < len(content)
    office.held.error = None
    if verb == "BDAT":
        await peer.play("C: BDAT 0 LAST\nS: 503 5.5.1 Bad sequence of commands")
    await peer.play(IN_DATA.replace(GREETED, ""))
    peer.say("x\r\n.\r\n")
    assert (await peer.hear())[0].startswith("250 2.0.0")
    assert len(await office.waiting()) == 1


@pytest.mark.parametrize("octets", [3, 5 * INLINE_LIMIT])
@pytest.mark.parametrize("how", ["abort", "end", "RSET"])
async def test_a_message_that_is_cut_leaves_nothing(office: Office, octets: int, how: str, tmp_path: Path) -> None:
    """No item, no file, no 250, however the peer left in the middle of it."""
    before = files(tmp_path)
    peer = await at(office, ADDRESSED)
    if how == "RSET":
        peer.say(b"BDAT %d\r\n%b" % (octets, b"x" * octets))
        await peer.play("S: 250 2.0.0 Chunk OK\nC: RSET\nS: 250 2.0.0 OK\nC: QUIT\nS: 221 2.0.0 Bye")
    else:
        peer.say(b"DATA\r\n")
        await peer.hear()
        peer.say(b"x" * octets)
        await until(lambda: octets < INLINE_LIMIT or office.held.writers)
        await asyncio.sleep(0.02)
        if how == "abort":
            peer.stream.abort()
        else:
            peer.stream.end()
    await asyncio.wait_for(peer.task, 60)
    assert await office.waiting() == []
    assert office.held.arrivals == []
    assert all(writer.discarded for writer in office.held.writers)
    assert files(tmp_path) == before


# ETRN


async def test_etrn_is_answered_with_what_was_decided(office: Office) -> None:
    """Before any greeting too; who asks and for what is told on, and announced."""
    asked: list[tuple[Node, Principal]] = []

    def answer(node: Node, principal: Principal) -> Answer:
        asked.append((node, principal))
        return Started(14)

    office.answer = answer
    peer = await office.connect()
    await peer.play(
        """
        S: 220 office.example ESMTP restante
        C: ETRN Test.example
        S: 253 2.0.0 OK, 14 pending messages for node Test.example started
        """
    )
    assert asked == [(DomainNode(DomainName("test.example")), Principal(ipaddress.ip_address("0.0.0.0")))]
    [fact] = office.told(ReleaseDecided)
    assert (fact.node, fact.granted) == ("test.example", ("test.example",))


async def test_etrn_that_is_not_allowed(office: Office) -> None:
    """The same words for what is unknown and what is somebody else's."""
    peer = await at(office, "S: 220 office.example ESMTP restante")
    for node in ("test.example", "unknown.example"):
        await peer.play(f"C: ETRN {node}\nS: 459 4.7.1 Node {node} not allowed")
    assert [fact.granted for fact in office.told(ReleaseDecided)] == [(), ()]
    await peer.play("C: ETRN bücher.example\nS: 459 4.7.1 Node xn--bcher-kva.example not allowed")


async def test_what_came_before_an_etrn_is_safe_when_it_is_decided(office: Office) -> None:
    """Mail and ETRN in one flight: the release finds the mail."""
    found: list[int] = []

    def answer(_: Node, __: Principal) -> Answer:
        found.append(office.spool.waiting(DomainName("test.example")).items)
        return NothingWaiting()

    office.answer = answer
    office.held.open.clear()
    peer = await at(office, GREETED)
    peer.say(FLIGHT % (3, b"x\r\n") + b"ETRN test.example\r\n")
    await asyncio.sleep(0.05)
    assert found == []
    office.held.open.set()
    assert (await peer.hear(4))[-1] == "251 2.0.0 OK, no messages waiting for node test.example"
    assert found == [1]


# STARTTLS


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> ServerContext:
    """A server's, with a self-signed pair."""
    certificate, key, _ = self_signed(tmp_path_factory.mktemp("tls"), "office.example")
    return server_context(certificate, key)


async def start_tls(peer: Peer) -> None:
    """The peer's side."""
    peer.say("STARTTLS\r\n")
    assert await peer.hear() == ["220 2.0.0 Ready to start TLS"]
    await peer.stream.start_tls(client_context(), server_side=False, server_name="office.example")


async def test_a_session_begins_again_under_tls(office: Office, context: ServerContext) -> None:
    """What was said in clear is forgotten (RFC 3207 §4.2), STARTTLS is not offered again, the trace tells ESMTPS."""
    office.tls = context
    peer = await office.connect()
    await peer.hear()
    peer.say("EHLO client.example\r\n")
    assert "250-STARTTLS" in await peer.hear(13)
    await start_tls(peer)
    await peer.play("C: MAIL FROM:<>\nS: 503 5.5.1 Bad sequence of commands")
    peer.say("EHLO client.example\r\n")
    heard = await peer.hear(13)
    assert heard[-1].startswith("250 ")
    assert not any("STARTTLS" in line for line in heard)
    await peer.play(
        """
        C: STARTTLS
        S: 502 5.5.1 Command not implemented
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<anna@test.example>
        S: 250 2.1.5 Recipient OK
        C: BDAT 0 LAST
        """
    )
    await peer.hear()
    [item] = await office.waiting()
    assert b"with ESMTPS id" in await office.content(item)


@pytest.mark.parametrize("behind", [b"MAIL FROM:<evil@far.example>\r\n", b"\x16\x03\x01", b"\r\n"])
async def test_bytes_behind_starttls_close_the_connection(
    office: Office, context: ServerContext, behind: bytes
) -> None:
    """CVE-2011-0411: neither obeyed nor answered, nor is TLS begun."""
    office.tls = context
    peer = await at(office, GREETED)
    peer.say(b"STARTTLS\r\n" + behind)
    assert await peer.ended() == []


async def test_starttls_behind_a_message_waits_for_its_250(office: Office, context: ServerContext) -> None:
    """In one flight (RFC 2920 allows it as the last): both replies come, then the handshake, and no byte is lost."""
    office.tls = context
    office.held.open.clear()
    peer = await at(office, GREETED)
    peer.say(FLIGHT % (3, b"x\r\n") + b"STARTTLS\r\n")
    await peer.hear(2)
    await peer.hears_nothing()
    office.held.open.set()
    assert (await peer.hear())[0].startswith("250 2.0.0 OK queued")
    assert await peer.hear() == ["220 2.0.0 Ready to start TLS"]
    await peer.stream.start_tls(client_context(), server_side=False, server_name="office.example")
    await peer.play("C: NOOP\nS: 250 2.0.0 OK")


async def test_a_handshake_that_does_not_come(
    office: Office, context: ServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is closed, and nothing is said in clear."""
    monkeypatch.setattr(asyncio_stream, "HANDSHAKE_SECONDS", 0.1)
    office.tls = context
    peer = await at(office, GREETED)
    await peer.play("C: STARTTLS\nS: 220 2.0.0 Ready to start TLS")
    assert await peer.ended() == []


async def test_stopping_in_a_handshake_says_nothing_in_clear(office: Office, context: ServerContext) -> None:
    """It waits for the handshake, and says 421 under TLS."""
    office.tls = context
    peer = await at(office, GREETED)
    await peer.play("C: STARTTLS\nS: 220 2.0.0 Ready to start TLS")
    peer.session.stop()
    await asyncio.sleep(0.02)
    assert peer.stream.unread == 0
    await peer.stream.start_tls(client_context(), server_side=False, server_name="office.example")
    assert await peer.ended() == ["421 4.3.2 Service shutting down, try again later"]


async def test_tls_that_ends_inside_a_message_leaves_nothing(office: Office, context: ServerContext) -> None:
    """close_notify in the middle of DATA, then its end in clear: no 250, no message (CVE-2026-45185)."""
    office.tls = context
    peer = await at(office, GREETED)
    await start_tls(peer)
    await peer.play(IN_DATA.replace("S: 220 office.example ESMTP restante", ""))
    peer.say("half\r\n")
    peer.stream.end()
    await asyncio.wait_for(peer.task, 60)
    assert office.held.arrivals == []
    assert await office.waiting() == []


# time


async def test_a_silent_peer_is_told_421(office: Office) -> None:
    """4.4.2, wherever it fell silent; what was not finished is dropped."""
    office.limits = Limits(command_timeout=1.0)
    scripts = ("S: 220 office.example ESMTP restante", ADDRESSED, IN_DATA)
    peers = await asyncio.gather(*[at(office, script) for script in scripts])
    for heard in await asyncio.gather(*[peer.ended() for peer in peers]):
        assert heard == ["421 4.4.2 Timed out waiting for input"]
    assert await office.waiting() == []


@pytest.mark.parametrize("script", [GREETED, IN_DATA])
async def test_a_peer_that_drips_is_told_421_too(office: Office, script: str) -> None:
    """The deadline is for the command or the content, not for each octet."""
    assert isinstance(office.clock, TurnedClock)
    office.limits = Limits(command_timeout=100)
    peer = await at(office, script)
    for _ in range(10):
        await office.clock.turn(9.99)
        peer.say("x")
    assert await peer.ended() == ["421 4.4.2 Timed out waiting for input"]


async def test_a_slow_peer_that_keeps_on_is_waited_for(office: Office) -> None:
    """Longer than the timeout in all, with commands and with content at a fair rate."""
    assert isinstance(office.clock, TurnedClock)
    office.limits = Limits(command_timeout=10)
    peer = await at(office, GREETED)
    for _ in range(5):
        peer.say("NO")
        await office.clock.turn(4)
        peer.say("OP\r\n")
        assert await peer.hear() == ["250 2.0.0 OK"]
    await peer.play(IN_DATA.replace(GREETED, ""))
    for _ in range(10):
        peer.say(b"x" * 100 + b"\r\n")
        await office.clock.turn(102 / office.limits.min_rate)
    peer.say(b"x" * 1000 + b"\r\n")
    await office.clock.turn(9)
    peer.say(".\r\n")
    assert (await peer.hear())[0].startswith("250 2.0.0")
    await office.clock.turn(9)
    await peer.play("C: QUIT\nS: 221 2.0.0 Bye")


async def test_a_slow_disk_is_not_held_against_the_peer(office: Office) -> None:
    """Its time begins again when the 250 is said."""
    assert isinstance(office.clock, TurnedClock)
    office.limits = Limits(command_timeout=10)
    office.held.open.clear()
    peer = await at(office, GREETED)
    peer.say(FLIGHT % (2 * INLINE_LIMIT, b"x" * 2 * INLINE_LIMIT))
    await until(lambda: office.held.arrivals)
    await office.clock.turn(20)
    office.held.open.set()
    assert (await peer.hear(3))[-1].startswith("250 2.0.0")
    peer.say("NO")
    await office.clock.turn(9)
    await peer.play("C: OP\nS: 250 2.0.0 OK")


async def test_a_silent_peer_hears_of_its_message_before_421(office: Office) -> None:
    """However long the disk takes."""
    office.limits = Limits(command_timeout=1.0)
    office.held.open.clear()
    peer = await at(office, GREETED)
    peer.say(FLIGHT % (3, b"x\r\n"))
    await until(lambda: office.held.arrivals)
    await asyncio.sleep(1.2)
    office.held.open.set()
    heard = await peer.ended()
    assert [line[:9] for line in heard] == ["250 2.1.0", "250 2.1.5", "250 2.0.0", "421 4.4.2"]


async def test_a_peer_that_takes_nothing_is_given_up(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies that pile up are bounded by the deadline."""
    monkeypatch.setattr(asyncio_stream, "CLOSE_SECONDS", 0.1)
    office.limits = Limits(command_timeout=0.2)
    peer = await office.connect()
    peer.say(b"HELP\r\n" * 200_000)
    await asyncio.wait_for(peer.task, 60)


# the end


async def test_stop_says_421_between_commands(office: Office) -> None:
    """4.3.2 at once, to who waits at a prompt; twice is once."""
    peer = await at(office, GREETED)
    peer.session.stop()
    peer.session.stop()
    assert await peer.ended() == ["421 4.3.2 Service shutting down, try again later"]


async def test_stop_lets_a_message_come_in(office: Office) -> None:
    """That was begun; not the next one, even of the same flight."""
    peer = await at(office, IN_DATA)
    peer.session.stop()
    await peer.hears_nothing()
    peer.say(b"x\r\n.\r\n" + FLIGHT % (3, b"y\r\n"))
    heard = await peer.ended()
    assert [line[:9] for line in heard] == ["250 2.0.0", "421 4.3.2"]
    assert len(await office.waiting()) == 1


async def test_stop_waits_for_what_was_promised(office: Office) -> None:
    """The peer is silent meanwhile, and is told both when the disk has it."""
    office.held.open.clear()
    peer = await at(office, GREETED)
    peer.say(FLIGHT % (3, b"x\r\n"))
    await peer.hear(2)
    await until(lambda: office.held.arrivals)
    peer.session.stop()
    await peer.hears_nothing()
    office.held.open.set()
    assert [line[:9] for line in await peer.ended()] == ["250 2.0.0", "421 4.3.2"]


async def test_stop_while_a_large_message_is_stored(office: Office) -> None:
    """The session waits for the disk itself then; it ends the same way."""
    office.held.open.clear()
    peer = await at(office, GREETED)
    peer.say(FLIGHT % (2 * INLINE_LIMIT, b"x" * 2 * INLINE_LIMIT))
    await until(lambda: office.held.arrivals)
    peer.session.stop()
    office.held.open.set()
    assert [line[:9] for line in await peer.ended()] == ["250 2.1.0", "250 2.1.5", "250 2.0.0", "421 4.3.2"]


async def test_stop_at_any_moment(office: Office) -> None:
    """Whenever it comes in a flight: each reply once, in order, 421 the last, and nothing more than was said 250."""
    large = FLIGHT % (70_000, b"y" * 70_000)
    flight = b"HELO x\r\n" + FLIGHT % (3, b"x\r\n") + large + b"ETRN test.example\r\nEHLO z\r\n"
    accepted = 0
    for turns in range(40):
        peer = await office.connect()
        peer.say(flight)
        for _ in range(turns):
            await asyncio.sleep(0)
        peer.session.stop()
        try:
            heard = await asyncio.wait_for(peer.ended(), 1)
        except TimeoutError:  # it fell into a transaction that goes no further
            await peer.leave()
            continue
        assert not any(line.startswith("421") for line in heard[:-1])
        accepted += sum("queued as" in line for line in heard)
    assert len(await office.waiting()) >= accepted


async def test_a_session_that_is_cut_ends(office: Office) -> None:
    """Cancelled in the middle of a message: nothing is left of it."""
    peer = await at(office, IN_DATA)
    peer.say(b"x" * (3 * INLINE_LIMIT))
    await until(lambda: office.held.writers)
    peer.task.cancel()
    await asyncio.wait([peer.task], timeout=60)
    assert peer.task.done()
    assert office.held.writers[0].discarded
    assert await office.waiting() == []


async def test_too_many_errors(office: Office) -> None:
    """421 4.7.0, and the connection is closed."""
    peer = await at(office, GREETED)
    peer.say("FOO\r\n" * 201)
    assert (await peer.ended())[-1] == "421 4.7.0 Too many errors"


async def test_a_name_that_would_forge_a_header(office: Office) -> None:
    """EHLO names go into the trace cleaned."""
    peer = await at(office, "S: 220 office.example ESMTP restante")
    await peer.play("C: HELO evil\tx\nS: 501 5.5.4 Syntax: HELO hostname\nC: HELO evil)(ü <x>\nS: 250 office.example")
    peer.say(FLIGHT % (0, b""))
    await peer.hear(3)
    [item] = await office.waiting()
    assert (await office.content(item)).startswith(b"Received: from evil?????x? ([0.0.0.0])\r\n")
