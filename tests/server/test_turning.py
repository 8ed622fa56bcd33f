"""ATRN as transcripts (RFC 2645): real sessions, logins, releases and spool; the customer's lines are written out."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec import structs
from tests.release.host import eventually
from tests.server.odmr import (
    CONTENT,
    ENTRIES,
    FAREWELL,
    GREETED,
    NEXT_HOP,
    REFUSED,
    SECRETS,
    SITE,
    TURNED,
    TURNING,
    OdmrOffice,
    asks,
    log_in,
    one_message,
    released,
)
from tests.server.office import HeldBack, Peer

from restante.clock import TurnedClock
from restante.directory.entries import Grant, Held
from restante.directory.users import User
from restante.facts import ItemDeferred, ItemDelivered, ItemFailed, ReleaseEnded, ReleaseStarted
from restante.model import Caller, DomainName, NextHop, Principal
from restante.net.asyncio_stream import memory_pair
from restante.net.stream import InjectedBytes
from restante.net.tls import client_context, self_signed, server_context
from restante.release.answers import Queued, Started
from restante.server.turning import MOST_OFTEN, OFTEN_SECONDS
from restante.smtp.node import parse_node
from restante.smtp.server import ServerEngine
from restante.smtp.services import Features, Service
from restante.store.sqlite import open_spool


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[OdmrOffice]:
    """Two customers' office."""
    spool = await open_spool(tmp_path / "spool")
    office = OdmrOffice(spool, HeldBack(spool))
    yield office
    await office.close()


# the three states (RFC 2645 §4, §5)


async def test_mail_comes_over_the_connection_that_the_customer_has_made(office: OdmrOffice) -> None:
    """From 250 on the customer is the server; the release is one as any other, and its books balance."""
    await office.mail()
    peer = await office.customer()
    await peer.play(f"C: ATRN one.example {TURNED} {one_message()} {FAREWELL}")
    assert await peer.ended() == []
    assert await office.left() == []
    [view] = office.releases.views()
    assert (view.domain, view.requester, view.target) == (
        "one.example",
        "203.0.113.7 user:tim by ATRN",
        "203.0.113.7:40000",
    )
    assert (view.items, view.delivered, view.octets_sent, view.error) == (1, 1, len(CONTENT), "")
    assert [fact.target for fact in office.told(ReleaseStarted)] == ["203.0.113.7:40000"]
    assert [(fact.reply, fact.target) for fact in office.told(ItemDelivered)] == [("250 Taken", "203.0.113.7:40000")]
    assert office.decided() == [("tim", "ATRN one.example", ("one.example",), TURNING)]


async def test_mail_with_requiretls_waits_where_the_caller_has_shown_no_certificate(office: OdmrOffice) -> None:
    """RFC 8689 §4.2.1, where the caller is the server: a login does not do. What came behind it goes."""
    await office.mail(requiretls=True)
    await office.mail()
    peer = await office.customer()
    await peer.play(f"C: ATRN one.example {TURNED} {one_message()} {FAREWELL}")
    assert await peer.ended() == []
    [item] = await office.waiting()
    assert item.envelope.requiretls
    [deferred] = office.told(ItemDeferred)
    assert deferred.reason == "450 4.7.10 REQUIRETLS, and the next hop's certificate is not verified"


async def test_what_is_said_before_the_login_is_530_and_other_commands_are_502(office: OdmrOffice) -> None:
    """And none of them releases anything; nothing of it is in the audit log, for nobody was asked."""
    await office.mail()
    peer = await office.connect()
    await peer.hear()
    peer.say("EHLO tim.example\r\n")
    assert await peer.hear(4) == ["250-office.example", "250-ATRN", "250-AUTH CRAM-MD5", "250 ENHANCEDSTATUSCODES"]
    assert (await asks(peer, "ATRN one.example")).startswith("530 5.7.0 ")
    for command in ("MAIL FROM:<x@far.example>", "ETRN one.example", "VRFY anna"):
        assert (await asks(peer, command)).startswith("502 "), command
    await log_in(peer)
    for command in ("MAIL FROM:<x@far.example>", "ETRN one.example", "TURN"):
        assert (await asks(peer, command)).startswith("502 "), command
    assert office.decided() == []
    assert await asks(peer, "ATRN one.example,,two.example") == "501 5.5.4 Syntax: ATRN [domain[,domain...]]"


@pytest.mark.parametrize(
    "domains",
    [
        "ann.example",  # another customer's
        "nobodys.example",  # granted to addresses, which prove nothing
        "unknown.example",
        "one.example,ann.example",
        "unknown.example,one.example",
        "sub.one.example",
    ],
)
async def test_one_domain_that_is_not_its_own_and_the_whole_command_is_refused(
    domains: str, office: OdmrOffice
) -> None:
    """450 with the same octets for all of them, and nothing is sent; the session goes on."""
    for recipient in ("anna@one.example", "x@ann.example", "x@nobodys.example"):
        await office.mail(recipient)
    peer = await office.customer()
    assert await asks(peer, f"ATRN {domains}") == REFUSED
    assert office.releases.views() == []
    assert office.decided() == [("tim", f"ATRN {domains}", (), REFUSED)]
    await peer.play(f"C: ATRN one.example {TURNED} {one_message()} {FAREWELL}")
    await peer.ended()
    assert sorted(await office.left()) == ["x@ann.example", "x@nobodys.example"]


async def test_453_when_there_is_no_mail(office: OdmrOffice) -> None:
    """Also where others have some; the session goes on, and mail that comes then is had."""
    await office.mail("x@ann.example")
    peer = await office.customer()
    await peer.play("""
        C: ATRN
        S: 453 4.2.0 You have no mail
        C: ATRN one.example,two.example
        S: 453 4.2.0 You have no mail
    """)
    assert office.decided()[0] == ("tim", "ATRN", ("one.example", "two.example"), "453 4.2.0 You have no mail")
    await office.mail()
    await peer.play(f"C: ATRN {TURNED} {one_message()} {FAREWELL}")
    await peer.ended()
    assert await office.left() == ["x@ann.example"]


async def test_451_when_this_host_is_stopping(office: OdmrOffice) -> None:
    """Rights come first all the same."""
    await office.mail()
    peer = await office.customer()
    await office.releases.stop(0)
    assert await asks(peer, "ATRN") == "451 4.3.0 Unable to process ATRN request now"
    assert await asks(peer, "ATRN ann.example") == REFUSED


async def test_450_with_another_code_for_who_asks_too_often(office: OdmrOffice) -> None:
    """Over all connections of one login, and not of others; after a minute it may ask again."""
    await office.mail()
    peer, other = await office.customer(), await office.customer()
    for number in range(MOST_OFTEN):
        assert await asks((peer, other)[number % 2], "ATRN ann.example") == REFUSED
    for each in (peer, other):
        assert await asks(each, "ATRN one.example") == "450 4.7.0 You ask too often, try again later"
    assert office.decided()[-1][2] == ()
    assert await asks(await office.customer("ann"), "ATRN") == "453 4.2.0 You have no mail"
    await cast("TurnedClock", office.clock).turn(OFTEN_SECONDS)
    await peer.play(f"C: ATRN one.example {TURNED}")


# the turned session


async def test_all_of_its_domains_come_one_after_the_other(office: OdmrOffice) -> None:
    """Without an argument; each is a release of its own, with its own number."""
    await office.mail("anna@one.example", "bert@two.example", "x@ann.example")
    await office.mail("anna@one.example")
    peer = await office.customer()
    first = "anna@one.example"
    await peer.play(f"""
        C: ATRN
        {TURNED}
        {one_message(first)}
        {one_message(first)}
        {one_message("bert@two.example")}
        {FAREWELL}
    """)
    assert await peer.ended() == []
    assert await office.left() == ["x@ann.example"]
    views = [(view.number, view.domain, view.items, view.delivered) for view in office.releases.views()]
    assert views == [(2, "two.example", 1, 1), (1, "one.example", 2, 2)]


async def test_a_customer_with_extensions_is_streamed_to(office: OdmrOffice) -> None:
    """Its EHLO decides, whatever was said before the turn: many messages without waiting."""
    for _ in range(5):
        await office.mail()
    peer = await office.customer()
    await peer.play(f"""
        C: ATRN
        S: {TURNING}
        C: 220 tim.example ESMTP
        S: EHLO office.example
        C: 250-tim.example
        C: 250-PIPELINING
        C: 250 CHUNKING
    """)
    heard: list[str] = []
    while sum(line.startswith("BDAT") for line in heard) < 5:
        heard += await peer.hear()
    for number in range(5):
        peer.say("250 OK\r\n" * (3 if number == 0 else 4))  # RSET stands between them
    while heard[-1] != "QUIT":
        heard += await peer.hear()
    peer.say("221 Bye\r\n")
    await peer.ended()
    assert await office.left() == []


async def test_a_refusal_is_final_and_has_a_dsn_and_not_now_waits(office: OdmrOffice) -> None:
    """The provider's usual duties (RFC 2645 §5.3): 5yz to a message goes to its sender, 4yz to nobody."""
    office.entries = (*ENTRIES, Held("far.example", NEXT_HOP))
    await office.mail("gone@one.example")
    await office.mail("full@one.example")
    peer = await office.customer()
    await peer.play(f"""
        C: ATRN one.example
        {TURNED}
        S: MAIL FROM:<carla@far.example>
        C: 250 OK
        S: RCPT TO:<gone@one.example>
        C: 550 5.1.1 No such user
        S: RSET
        C: 250 OK
        {one_message("full@one.example", end="452 4.2.2 Mailbox full")}
        {FAREWELL}
    """)
    await peer.ended()
    assert sorted(await office.left()) == ["carla@far.example", "full@one.example"]
    [failed] = office.told(ItemFailed)
    assert (failed.reason, failed.target) == ("550 5.1.1 No such user", "203.0.113.7:40000")
    [report] = [item for item in await office.waiting() if item.domain == "far.example"]
    assert b"Remote-MTA: dns; [203.0.113.7]\r\n" in await office.content(report)


async def test_a_cut_connection_leaves_all_that_was_not_confirmed(office: OdmrOffice) -> None:
    """In the midst of the second of three messages; the domain behind it is not even begun."""
    for recipient in ("a@one.example", "b@one.example", "c@two.example"):
        await office.mail(recipient)
    peer = await office.customer()
    await peer.play(f"""
        C: ATRN one.example,two.example
        {TURNED}
        {one_message("a@one.example")}
        S: MAIL FROM:<carla@far.example>
        C: 250 OK
        S: RCPT TO:<b@one.example>
        C: 250 OK
        S: DATA
        C: 354 Go on
        S: Subject: Fuel
    """)
    await peer.leave()
    await released(office)
    assert sorted(await office.left()) == ["b@one.example", "c@two.example"]
    [view] = office.releases.views()
    assert (view.domain, view.delivered, view.deferred) == ("one.example", 1, 0)
    assert view.error.startswith("203.0.113.7:40000: ")
    again = await office.customer(address="198.51.100.9")
    await again.play(f"""
        C: ATRN
        {TURNED}
        {one_message("b@one.example")}
        {one_message("c@two.example")}
        {FAREWELL}
    """)
    await again.ended()
    assert await office.left() == []


@pytest.mark.parametrize(
    "line",
    [
        "421 4.3.2 tim.example closes",
        "554 5.3.2 No mail here",
        "ETRN one.example",
        "MAIL FROM:<x@far.example>",
        "EHLO tim.example",
        "QUIT",
    ],
)
async def test_who_does_not_greet_as_a_server_gets_nothing(line: str, office: OdmrOffice) -> None:
    """Nor has it any right left: what it says is read as a server's words, and no command is done."""
    await office.mail()
    peer = await office.customer()
    assert await asks(peer, "ATRN") == TURNING
    peer.say(f"{line}\r\n")
    heard = await peer.ended()
    assert all(said.startswith("EHLO") for said in heard), heard
    assert await office.left() == ["anna@one.example"]
    assert office.told(ItemDelivered) == []
    [view] = office.releases.views()
    assert view.error


@pytest.mark.parametrize("command", ["ETRN two.example", "ATRN two.example", "MAIL FROM:<x@far.example>", "QUIT"])
async def test_a_command_in_the_turned_session_ends_it(command: str, office: OdmrOffice) -> None:
    """It is no reply; what was confirmed before counts, and the rest waits."""
    await office.mail("a@one.example")
    await office.mail("b@one.example")
    peer = await office.customer()
    await peer.play(f"C: ATRN {TURNED} {one_message('a@one.example')} S: MAIL FROM:<carla@far.example>")
    peer.say(f"{command}\r\n")
    assert await peer.ended() == []
    assert await office.left() == ["b@one.example"]
    assert office.told(ReleaseEnded)[0].delivered == 1


async def test_a_customer_may_have_an_empty_turn(office: OdmrOffice) -> None:
    """What waited was removed meanwhile: it is greeted and left, and nothing is wrong."""
    message = await office.mail()
    peer = await office.customer()
    assert await asks(peer, "ATRN") == TURNING
    [item] = await office.waiting()
    assert item.message == message
    assert await office.spool.remove([item.id]) == [item.id]
    await peer.play(f"{GREETED} {FAREWELL}")
    await peer.ended()
    assert office.told(ReleaseEnded)[0].error == ""


# bytes ahead of the turn


def ahead_of_the_turn(seed: int) -> tuple[bytes, list[int]]:
    """A server's words said too early, and where they are cut into pieces, the command among them."""
    chance = random.Random(seed)
    words = ["220 tim.example ESMTP", "250-tim.example", "250 CHUNKING", *["250 OK"] * 4, "354 Go on", "250 Taken"]
    words += ["221 Bye", "503 5.5.1 No", "EHLO tim.example", "ATRN", "QUIT", "", ".", "250 PIPELINING"]
    said = chance.choices(words, k=chance.randint(1, 40))
    if seed % 2:
        said = ["220 tim.example ESMTP", *["250 OK"] * chance.randint(0, 30), *said]
    data = b"ATRN one.example\r\n" + "\r\n".join(said).encode() + chance.choice([b"\r\n", b"", b"\r"])
    cuts = sorted(chance.sample(range(len(data)), k=min(len(data) - 1, chance.choice([0, 0, 1, 2, 10]))))
    return data, cuts


@pytest.mark.parametrize("batch", range(10))
async def test_what_is_sent_ahead_of_the_turn_delivers_nothing(batch: int, office: OdmrOffice) -> None:
    """A hundred ways; the connection ends without a 250, and the mail waits."""
    for seed in range(10 * batch, 10 * batch + 10):
        await office.mail()
        peer = await office.customer()
        data, cuts = ahead_of_the_turn(seed)
        if len(data) == len(b"ATRN one.example\r\n"):
            data += b"x"
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            peer.say(data[start:end])
            await peer.stream.drain()
            peer.stream.flush()
        assert await peer.ended() == [], (seed, data)
        assert office.told(ItemDelivered) == []
        assert office.decided()[-1] == ("tim", "ATRN one.example", (), "bytes were sent behind ATRN")
        assert office.releases.views() == []
        await cast("TurnedClock", office.clock).turn(OFTEN_SECONDS)
    assert len(await office.left()) == 10


async def test_what_the_system_has_and_nobody_has_read_yet_is_seen_too(office: OdmrOffice) -> None:
    """It came in a packet of its own, behind the one with ATRN."""
    await office.mail()
    ours, theirs = await memory_pair()
    theirs.write(b"220 tim.example ESMTP\r\n")
    theirs.flush()
    assert ours.unread == 0
    engine = ServerEngine(Features("office.example", 1, Service.ODMR))
    try:
        with pytest.raises(InjectedBytes):
            await office.decides.asked((), Principal(ours.peer[0], "tim"), engine, ours)
    finally:
        ours.abort()
        theirs.abort()


async def test_what_stands_behind_a_refused_atrn_is_a_command(office: OdmrOffice) -> None:
    """Nothing has turned, so nothing is read as a reply."""
    peer = await office.customer()
    peer.say("ATRN\r\nATRN ann.example\r\nQUIT\r\n")
    assert await peer.ended() == ["453 4.2.0 You have no mail", REFUSED, "221 2.0.0 Bye"]


# TLS


async def test_tls_stays_as_it_is(office: OdmrOffice, tmp_path: Path) -> None:
    """A domain whose mail must be encrypted is not had without; none is begun after the turn, though it is offered."""
    office.entries = (*ENTRIES[:1], structs.replace(ENTRIES[1], tls="required"), *ENTRIES[2:])
    certificate, key, _ = self_signed(tmp_path, "office.example")
    office.tls = server_context(certificate, key)
    await office.mail("anna@two.example")
    peer = await office.customer()
    needs = "450 4.7.10 Mail for you must be encrypted, use STARTTLS first"
    assert await asks(peer, "ATRN") == needs
    assert await asks(peer, "ATRN two.example") == needs
    assert await asks(peer, "ATRN one.example") == "453 4.2.0 You have no mail"
    peer = await office.connect("203.0.113.7")
    await peer.hear()
    await peer.play("C: HELO tim.example\nS: 250 office.example\nC: STARTTLS\nS: 220 2.0.0 Ready to start TLS")
    await peer.stream.start_tls(client_context(), server_side=False, server_name="office.example")
    await log_in(peer)
    greeting = GREETED.replace("C: 250 tim.example", "C: 250-tim.example\nC: 250 STARTTLS")
    await peer.play(f"C: ATRN\nS: {TURNING}\n{greeting} {one_message('anna@two.example')} {FAREWELL}")
    await peer.ended()
    assert await office.left() == []


async def test_in_clear_none_is_begun_after_the_turn_either(office: OdmrOffice) -> None:
    """A customer's program may pass lines on to a server that offers it."""
    await office.mail()
    peer = await office.customer()
    greeting = GREETED.replace("C: 250 tim.example", "C: 250-tim.example\nC: 250 STARTTLS")
    await peer.play(f"C: ATRN\nS: {TURNING}\n{greeting} {one_message()} {FAREWELL}")
    await peer.ended()
    assert await office.left() == []


# beside other releases


async def test_an_etrn_waits_behind_the_turned_release_of_its_domain(office: OdmrOffice) -> None:
    """One runs and one is queued, as ever; the second goes where ETRN's mail goes."""
    await office.mail("anna@two.example")
    peer = await office.customer()
    await peer.play(f"C: ATRN {TURNED} S: MAIL FROM:<carla@far.example>")
    await office.mail("bert@two.example")
    assert office.releases.ask(parse_node("two.example"), SITE) == Queued()
    assert office.releases.ask(parse_node("two.example"), SITE) == Queued()
    other = await office.customer()
    assert await asks(other, "ATRN") == "450 4.7.0 Your mail is on its way already, try again later"
    await peer.leave()
    await released(office)
    assert [view.target for view in office.releases.views()] == ["192.0.2.25:25", "203.0.113.7:40000"]
    assert len(office.carrier.drawn) == 2
    assert await office.left() == []


async def test_while_an_etrn_runs_atrn_is_busy_for_that_domain_only(office: OdmrOffice) -> None:
    """Nothing is turned where the mail is on its way elsewhere; a domain without mail does not count."""
    await office.mail("anna@two.example")
    office.carrier.answered.clear()
    assert office.releases.ask(parse_node("two.example"), SITE) == Started(1)
    await eventually(lambda: office.carrier.drawn)
    peer = await office.customer()
    assert (await asks(peer, "ATRN")).startswith("450 4.7.0 Your mail is on its way already")
    assert await asks(peer, "ATRN one.example") == "453 4.2.0 You have no mail"
    await office.mail()
    await peer.play(f"C: ATRN one.example {TURNED} {one_message()} {FAREWELL}")
    await peer.ended()
    office.carrier.answered.set()
    await released(office)
    assert await office.left() == []


async def test_a_domain_that_an_etrn_began_meanwhile_is_passed_over(office: OdmrOffice) -> None:
    """Its mail is on its way already when its turn comes."""
    await office.mail("anna@one.example")
    await office.mail("anna@two.example")
    peer = await office.customer()
    await peer.play(f"C: ATRN {TURNED} S: MAIL FROM:<carla@far.example>")
    office.carrier.answered.clear()
    assert office.releases.ask(parse_node("two.example"), SITE) == Started(1)
    await peer.play(f"{one_message()[one_message().index('C:') :]} {FAREWELL}")
    await peer.ended()
    office.carrier.answered.set()
    await released(office)
    assert await office.left() == []
    assert [view.target for view in office.releases.views()] == ["192.0.2.25:25", "203.0.113.7:40000"]


async def test_stop_ends_it_between_two_messages(office: OdmrOffice) -> None:
    """What is on its way is finished; the next waits, and so does the next domain."""
    for recipient in ("a@one.example", "b@one.example", "c@two.example"):
        await office.mail(recipient)
    peer = await office.customer()
    await peer.play(f"C: ATRN {TURNED} S: MAIL FROM:<carla@far.example>")
    peer.session.stop()
    await peer.play(one_message("a@one.example")[one_message().index("C:") :] + FAREWELL)
    assert await peer.ended() == []
    assert sorted(await office.left()) == ["b@one.example", "c@two.example"]
    assert [view.error for view in office.releases.views()] == ["stopped"]


async def test_a_stopping_host_cuts_a_customer_that_hangs(office: OdmrOffice) -> None:
    """After its patience, as it does with every release; the mail waits."""
    await office.mail()
    peer = await office.customer()
    await peer.play(f"C: ATRN {TURNED} S: MAIL FROM:<carla@far.example>")
    peer.session.stop()
    await office.releases.stop(0.05)
    assert await peer.ended() == []
    assert await office.left() == ["anna@one.example"]


async def test_rights_that_are_taken_away_end_it(office: OdmrOffice) -> None:
    """What is on its way is finished; the domain is another's now, and so is the rest of its mail."""
    await office.mail("a@one.example")
    await office.mail("b@one.example")
    await office.mail("c@two.example")
    peer = await office.customer()
    await peer.play(f"C: ATRN {TURNED} S: MAIL FROM:<carla@far.example>")
    tim, ann = office.users
    office.users = (replace(tim, domains=frozenset({DomainName("far.example")})), ann)
    office.releases.wake_all()
    await peer.play(one_message("a@one.example")[one_message().index("C:") :] + FAREWELL)
    await peer.ended()
    assert sorted(await office.left()) == ["b@one.example", "c@two.example"]


async def test_another_next_hop_changes_nothing_for_who_has_turned(office: OdmrOffice) -> None:
    """Its mail does not go there."""
    await office.mail("a@two.example")
    await office.mail("b@two.example")
    peer = await office.customer()
    await peer.play(f"C: ATRN {TURNED} S: MAIL FROM:<carla@far.example>")
    office.entries = (*ENTRIES[:1], Held("two.example", Caller()), *ENTRIES[2:])
    office.releases.wake_all()
    rest = one_message("a@two.example")[one_message().index("C:") :] + one_message("b@two.example") + FAREWELL
    await peer.play(rest)
    await peer.ended()
    assert await office.left() == []


# whose mail it is


@hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32))
def test_what_is_offered_is_what_is_owned(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two logins, ten domains: by ATRN alone, by a list of all their own, and never by a list with one more."""
    asyncio.run(check_matrix(seed, tmp_path_factory.mktemp("spool")))


async def check_matrix(seed: int, folder: Path) -> None:
    """One matrix; grants and owned domains, every kind of next hop."""
    chance = random.Random(seed)
    spool = await open_spool(folder)
    office = OdmrOffice(spool, HeldBack(spool))
    names = [DomainName(f"d{number}.example") for number in range(10)]
    owners = {name: chance.choice([(), ("tim",), ("ann",), ("tim", "ann")]) for name in names}
    by_grant = {name for name in names if chance.random() < 0.5}
    hops: tuple[NextHop, ...] = (Caller(), NEXT_HOP)
    office.entries = tuple(
        Held(
            name,
            chance.choice(hops),
            (Grant.parse("203.0.113.0/24"), *(Grant.parse(f"user:{o}") for o in owners[name] if name in by_grant)),
        )
        for name in names
    )
    office.take_logins(
        *(
            User(login, secret=secret, domains=frozenset(n for n in names if login in owners[n] and n not in by_grant))
            for login, secret in SECRETS.items()
        )
    )
    waiting = {name for name in names if chance.random() < 0.8}
    for name in waiting:
        await office.mail(f"anna@{name}")
    for login in chance.sample(sorted(SECRETS), 2):
        own = [name for name in names if login in owners[name]]
        foreign = [name for name in names if login not in owners[name]]
        peer = await office.customer(login)
        for other in chance.sample(foreign, min(3, len(foreign))):
            listed = [*own, other]
            chance.shuffle(listed)
            assert await asks(peer, f"ATRN {','.join(listed)}") == REFUSED, seed
        expected = {f"anna@{name}" for name in own if name in waiting}
        before = set(await office.left())
        answer = await asks(peer, "ATRN" if chance.random() < 0.5 or not own else f"ATRN {','.join(own)}")
        if not own:
            assert answer == REFUSED, seed
        elif not expected & before:
            assert answer == "453 4.2.0 You have no mail", seed
        else:
            assert answer == TURNING, seed
            assert await take_all(peer) == expected & before, seed
            await released(office)
        assert before - set(await office.left()) == expected & before, seed
    await office.close()


async def take_all(peer: Peer) -> set[str]:
    """Takes what is sent as a server that knows no extension; the recipients."""
    recipients: set[str] = set()
    peer.say("220 x\r\n")
    while (line := await peer.hear()) not in ([], ["QUIT"]):
        [text] = line
        if text.startswith("RCPT TO:<"):
            recipients.add(text.removeprefix("RCPT TO:<").rstrip(">"))
        if text == "DATA":
            peer.say("354 x\r\n")
            while await peer.hear() != ["."]:
                pass
        peer.say("250 x\r\n")
    peer.say("221 x\r\n")
    await peer.ended()
    return recipients
