"""Sessions that log in: by every mechanism, by certificate, before and after TLS; what a login may do, and no more.

Users, hashes, TLS, the spool and what decides on a release are the real ones; only the clock is turned by the tests.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.net.authority import CLIENT, Authority, Wish, self_made
from tests.server.office import ENTRIES, NEXT_HOP, PEER, Office, Peer

from restante.clock import TurnedClock
from restante.directory.entries import Grant, Held
from restante.directory.users import User
from restante.facts import CommandRefused, LoggedIn, LoginRefused, MessageAccepted, ReleaseDecided
from restante.logins.passwords import hash_password, scram_keys
from restante.model import Caller, DomainName, Principal
from restante.net.tls import Pair, client_context, self_signed, server_context
from restante.release.requests import Releases
from restante.server.services import Limits
from restante.smtp.sasl import Aborted, Credentials, client_exchange
from restante.smtp.services import Service

PASSWORD, SECRET = "tanstaaf", "f00dfeedf00dfeed"
HASH = hash_password(PASSWORD)
OWN = self_made(Wish(("site.example",), use=CLIENT))
"""Self-signed; users and grants name its fingerprint."""
STRANGE = self_made(Wish(("site.example", "gw.site.example"), use=CLIENT))
"""The same names, by nobody's word but its own."""
AUTHORITY = Authority()
NAMED = AUTHORITY.issue(Wish(("gw.site.example",), use=CLIENT))
SHOWN = {"own": OWN, "named": NAMED}
ANN = User(
    "ann",
    HASH,
    scram_keys(PASSWORD),
    SECRET.encode(),
    domains=frozenset({DomainName("owned.example"), DomainName("localtest.example")}),
)
SITE = User("site", HASH, secret=SECRET.encode(), certificates=frozenset({OWN.fingerprint, "gw.site.example"}))
HELD = (
    Held("owned.example", NEXT_HOP),
    Held("by-user.example", NEXT_HOP, (Grant.parse("user:ann"),)),
    Held("by-key.example", NEXT_HOP, (Grant.parse(f"cert:{OWN.fingerprint}"),)),
    Held("by-name.example", NEXT_HOP, (Grant.parse("cert:gw.site.example"),)),
    Held("by-address.example", NEXT_HOP, (Grant.parse("192.0.2.7"),)),
    Held("caller.example", Caller(), (Grant.parse("192.0.2.0/24"), Grant.parse("user:ann"), Grant.parse("user:site"))),
)
MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
FIRST = "S: 220 office.example ESMTP restante"
INVALID = "535 5.7.8 Authentication credentials invalid"
WELCOME = "235 2.7.0 Authentication successful"

Meet = Callable[..., Awaitable[Peer]]


@pytest.fixture
def meet(office: Office, tmp_path: Path) -> Meet:
    """A peer of the office, which has TLS, users and held domains, and decides on ETRN in earnest.

    `service`; `tls`: after STARTTLS, showing `own` where given; `address`: where it comes from. It has said EHLO.
    """
    authority = AUTHORITY.own.write(tmp_path, "clients").certificate
    office.tls = server_context(*self_signed(tmp_path, "office.example")[:2], asks=True, client_ca=authority)
    office.entries = (*ENTRIES, *HELD)
    office.take_logins(ANN, SITE)
    releases = Releases(
        spool=office.spool,
        directory=office.directory,
        carriers=lambda *_: None,  # type: ignore[arg-type]  # none is begun
        announce=office.facts.append,
        clock=office.clock,
        hostname="office.example",
        at_once=0,
    )
    office.answer = releases.ask
    office.released = releases.views

    async def connect(
        service: Service = Service.MX,
        *,
        tls: bool = True,
        own: Pair | None = None,
        address: str = "203.0.113.9",
        greet: bool = True,
    ) -> Peer:
        office.service = service
        peer = await office.connect(address)
        await peer.play(FIRST)
        if tls:
            await ehlo(peer)
            await start_tls(peer, own)
        if greet:
            await ehlo(peer)
        return peer

    return connect


async def ehlo(peer: Peer) -> list[str]:
    """Says EHLO; the keywords."""
    peer.say("EHLO client.example\r\n")
    heard = await peer.hear()
    while heard[-1].startswith("250-"):
        heard += await peer.hear()
    assert heard[0] == "250-office.example"
    return [line[4:] for line in heard[1:]]


async def start_tls(peer: Peer, own: Pair | None = None) -> None:
    """STARTTLS, and the handshake."""
    await peer.play("C: STARTTLS\nS: 220 2.0.0 Ready to start TLS")
    await peer.stream.start_tls(client_context(own=own), server_side=False)


def end_point(peer: Peer) -> bytes:
    """The channel binding of the session's TLS."""
    return peer.stream.tls.server_end_point if peer.stream.tls is not None else b""


async def auth(
    office: Office,
    peer: Peer,
    mechanism: str,
    login: str = "ann",
    password: str | None = None,
    *,
    binds: bytes | None = None,
    last: str = WELCOME,
) -> None:
    """A whole AUTH, by the password or secret that is right for it and bound as it says, unless others are given."""
    if binds is None:
        binds = end_point(peer) if mechanism == "SCRAM-SHA-256-PLUS" else b""
    right = SECRET if mechanism == "CRAM-MD5" else PASSWORD
    here = client_exchange(
        mechanism,
        Credentials(login, password if password is not None else right, has_certificate=True),
        nonce="abcdefgh",
        server_end_point=binds,
    )
    initial = "" if here.initial is None else " " + (base64.b64encode(here.initial).decode() or "=")
    heard = await said(office, peer, f"AUTH {mechanism}{initial}")
    while heard.startswith("334 "):
        answer = here.respond(base64.b64decode(heard[4:]))
        assert not isinstance(answer, Aborted), answer
        heard = await said(office, peer, base64.b64encode(answer).decode())
    assert heard == last


async def said(office: Office, peer: Peer, line: str) -> str:
    """The answer to a line, for which the clock is turned while somebody sleeps."""
    clock = office.clock
    assert isinstance(clock, TurnedClock)
    peer.say(f"{line}\r\n")
    hearing = asyncio.create_task(peer.hear(within=60))
    while not hearing.done():
        await asyncio.sleep(0.001)
        await clock.turn(0.25)
    [heard] = await hearing
    return heard


def plain(login: str = "ann", password: str = PASSWORD, authorization: str = "") -> str:
    """PLAIN's response, as it goes over the wire."""
    return base64.b64encode(f"{authorization}\0{login}\0{password}".encode()).decode()


# what is offered, and where


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("service", [Service.MX, Service.SUBMISSION, Service.ODMR])
async def test_each_mechanism_logs_in_over_tls(office: Office, meet: Meet, mechanism: str, service: Service) -> None:
    """It is offered before, and not after, when it is out of sequence; the log knows who and how."""
    peer = await meet(service, greet=False)
    offered = next(line for line in await ehlo(peer) if line.startswith("AUTH "))
    assert offered == "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"
    await auth(office, peer, mechanism)
    assert not [line for line in await ehlo(peer) if line.startswith("AUTH")]
    await peer.play("C: AUTH PLAIN\nS: 503 5.5.1 Bad sequence of commands")
    [fact] = office.told(LoggedIn)
    assert (fact.mechanism, str(fact.principal)) == (mechanism, "203.0.113.9 user:ann")


@pytest.mark.parametrize(
    ("service", "place", "offered"),
    [
        (Service.MX, "203.0.113.9", ""),
        (Service.MX, "127.0.0.1", "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"),
        (Service.MX, "::1", "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"),
        (Service.MX, "allowed", "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"),
        (Service.SUBMISSION, "203.0.113.9", ""),
        (Service.SUBMISSION, "allowed", "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"),
        (Service.ODMR, "203.0.113.9", "CRAM-MD5"),
        (Service.ODMR, "allowed", "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"),
    ],
)
async def test_in_clear_only_what_may_be_seen_there(
    office: Office, meet: Meet, service: Service, place: str, offered: str
) -> None:
    """On loopback, where it is configured, and CRAM-MD5 for ODMR; what is not offered cannot be had either."""
    office.passwords_in_clear = place == "allowed"
    peer = await meet(service, tls=False, address="203.0.113.9" if place == "allowed" else place, greet=False)
    assert [line for line in await ehlo(peer) if line.startswith("AUTH")] == [f"AUTH {offered}"] * bool(offered)
    for mechanism in MECHANISMS:
        if mechanism in offered.split():
            continue
        peer.say(f"AUTH {mechanism} {plain()}\r\n")
        assert (await peer.hear())[0][:3] in ("504", "502", "530")
    assert office.told(LoggedIn) == []
    if offered:
        await auth(office, peer, offered.split(maxsplit=1)[0])


async def test_an_offer_that_somebody_in_between_has_cut_is_noticed(office: Office, meet: Meet) -> None:
    """RFC 5802 §6: a client that could bind its channel, and was not offered it, says so; this one was offered it."""
    peer = await meet()
    await auth(office, peer, "SCRAM-SHA-256", binds=end_point(peer), last=INVALID)
    await auth(office, peer, "SCRAM-SHA-256", binds=b"")


async def test_a_channel_that_somebody_in_between_has_is_another(office: Office, meet: Meet) -> None:
    """RFC 5929: with his certificate instead of ours the proof of the password is none."""
    peer = await meet()
    await auth(office, peer, "SCRAM-SHA-256-PLUS", binds=bytes(32), last=INVALID)
    await auth(office, peer, "SCRAM-SHA-256-PLUS")


async def test_what_stands_where_nobody_may_log_in(meet: Meet) -> None:
    """502 where a login is not needed; 530 where one is, and TLS is what is missing."""
    peer = await meet(tls=False)
    await peer.play("C: AUTH PLAIN =\nS: 502 5.5.1 Command not implemented")
    peer = await meet(Service.SUBMISSION, tls=False)
    await peer.play("C: AUTH PLAIN =\nS: 530 5.7.0 Must issue a STARTTLS command first")


async def test_where_tls_comes_first_nothing_else_does(office: Office, meet: Meet) -> None:
    """RFC 3207 §4; on loopback too. AUTH is not told of before."""
    office.tls_first = True
    peer = await meet(tls=False, address="127.0.0.1", greet=False)
    assert not [line for line in await ehlo(peer) if line.startswith("AUTH")]
    for line in ("MAIL FROM:<ann@owned.example>", "ETRN owned.example", f"AUTH PLAIN {plain()}"):
        await peer.play(f"C: {line}\nS: 530 5.7.0 Must issue a STARTTLS command first")
    await start_tls(peer)
    await ehlo(peer)
    await auth(office, peer, "PLAIN")
    await peer.play("C: ETRN owned.example\nS: 251 2.0.0 OK, no messages waiting for node owned.example")


# refusals


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("AUTH", "501 5.5.4 Syntax: AUTH mechanism"),
        ("AUTH GSSAPI", "504 5.5.4 Unrecognized authentication type"),
        ("AUTH EXTERNAL =", "504 5.5.4 Unrecognized authentication type"),
        ("AUTH PLAIN !", "501 5.5.2 Cannot decode BASE64"),
        ("AUTH PLAIN YW5u", "501 5.5.2 Cannot understand this mechanism's response"),
        (f"AUTH PLAIN {plain(authorization='site')}", INVALID),
        (f"AUTH PLAIN {plain(password='wrong')}", INVALID),
    ],
)
async def test_what_is_no_login_is_told_apart(office: Office, meet: Meet, line: str, answer: str) -> None:
    """501, 504, 535; the session goes on, and nobody is logged in."""
    peer = await meet(Service.SUBMISSION)
    heard = await said(office, peer, line)
    assert heard.partition(" ")[0] == answer.partition(" ")[0]
    assert heard == answer or not answer.startswith("535")
    await peer.play("C: MAIL FROM:<ann@owned.example>\nS: 530 5.7.0 Authentication required")
    await auth(office, peer, "PLAIN")
    await peer.play("C: MAIL FROM:<ann@owned.example>\nS: 250 2.1.0 Sender OK")


async def test_an_exchange_that_is_cancelled(meet: Meet) -> None:
    """`*` is 501; the next line is a command again."""
    peer = await meet(Service.SUBMISSION)
    await peer.play("C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: *")
    assert (await peer.hear())[0].startswith("501 5.")
    await peer.play("C: NOOP\nS: 250 2.0.0 OK")


async def test_auth_is_out_of_sequence_inside_a_transaction(meet: Meet) -> None:
    """RFC 4954 §4."""
    peer = await meet()
    await peer.play("C: MAIL FROM:<>\nS: 250 2.1.0 Sender OK\nC: AUTH LOGIN\nS: 503 5.5.1 Bad sequence of commands")


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_an_unknown_user_and_a_wrong_password_look_the_same(office: Office, meet: Meet, mechanism: str) -> None:
    """The same octets at every step, after the same time of the same clock; the log knows who was claimed."""
    heard: list[list[object]] = []
    waited = []
    for login in ("ann", "nobody", "site"):
        peer = await meet(address=f"198.51.100.{len(heard) + 1}")
        binds = end_point(peer) if mechanism.endswith("PLUS") else b""
        here = client_exchange(mechanism, Credentials(login, "wrong"), nonce="abc", server_end_point=binds)
        initial = "" if here.initial is None else f" {base64.b64encode(here.initial).decode()}"
        began = office.clock.monotonic()
        lines = [await said(office, peer, f"AUTH {mechanism}{initial}")]
        while lines[-1].startswith("334 "):
            answer = here.respond(base64.b64decode(lines[-1][4:]))
            assert not isinstance(answer, Aborted)
            lines.append(await said(office, peer, base64.b64encode(answer).decode()))
        waited.append(office.clock.monotonic() - began >= 1)
        heard.append([len(line) if line.startswith("334") else line for line in lines])  # nonces differ
    assert heard[0] == heard[1] == heard[2]
    assert heard[0][-1] == INVALID
    assert waited == [True, True, True]
    facts = office.told(LoginRefused)
    assert [fact.login for fact in facts] == ["ann", "nobody", "site"]
    assert len({(fact.why, fact.reply) for fact in facts}) == 1


# guessing


async def test_guessing_is_slowed_and_then_refused(office: Office, meet: Meet) -> None:
    """Each failure takes longer, up to 5 s; after ten in ten minutes even the right password is 454 from there."""
    for number in range(10):
        peer = await meet()
        began = office.clock.monotonic()
        await auth(office, peer, "CRAM-MD5", password="guess", last=INVALID)
        assert office.clock.monotonic() - began >= min(5, number + 1)
    peer = await meet()
    refused = "454 4.7.0 Temporary authentication failure, try again later"
    await auth(office, peer, "CRAM-MD5", last=refused)
    await auth(office, peer, "PLAIN", last=refused)
    await auth(office, await meet(address="198.51.100.1"), "CRAM-MD5")
    assert isinstance(office.clock, TurnedClock)
    await office.clock.turn(600)
    await auth(office, peer, "CRAM-MD5")
    assert [fact.reply for fact in office.told(LoginRefused)] == [*[INVALID] * 10, refused, refused]
    assert len({fact.login for fact in office.told(LoginRefused)}) == 1, (
        "the log tells whose login was tried, each time"
    )


async def test_a_certificate_s_owner_is_not_locked_out_by_others(office: Office, meet: Meet, tmp_path: Path) -> None:
    """A hundred failures from everywhere: who shows its certificate logs in all the same, by whatever mechanism."""
    for number in range(100):
        peer = await meet(tls=False, service=Service.ODMR, address=f"198.51.100.{number // 10}")
        await auth(office, peer, "CRAM-MD5", "site", "guess", last=INVALID)
    refused = "454 4.7.0 Temporary authentication failure, try again later"
    await auth(office, await meet(address="203.0.113.77"), "CRAM-MD5", "site", last=refused)
    own = OWN.write(tmp_path, "own")
    await auth(office, await meet(own=own), "CRAM-MD5", "site")
    await auth(office, await meet(own=own), "EXTERNAL", "")


# certificates


@pytest.mark.parametrize("shown", ["own", "named"])
@pytest.mark.parametrize("authorization", ["", "site", "Site"])
async def test_external_is_for_whom_the_certificate_names(
    office: Office, meet: Meet, tmp_path: Path, shown: str, authorization: str
) -> None:
    """By its fingerprint; by a name in it, where our authority has issued it."""
    peer = await meet(Service.SUBMISSION, own=SHOWN[shown].write(tmp_path, "shown"), greet=False)
    assert "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 EXTERNAL CRAM-MD5 PLAIN LOGIN" in await ehlo(peer)
    await auth(office, peer, "EXTERNAL", authorization)
    [fact] = office.told(LoggedIn)
    assert fact.principal.login == "site"


async def test_external_is_for_nobody_else(office: Office, meet: Meet, tmp_path: Path) -> None:
    """Whoever exists, or not: the same octets."""
    peer = await meet(own=OWN.write(tmp_path, "own"))
    for name in ("ann", "nobody"):
        await auth(office, peer, "EXTERNAL", name, last=INVALID)
    assert office.told(LoggedIn) == []


async def test_a_strange_certificate_proves_nothing(meet: Meet, tmp_path: Path) -> None:
    """Though it has the names: EXTERNAL is not even offered; no certificate at all is no worse."""
    for own in (STRANGE.write(tmp_path, "strange"), None):
        peer = await meet(own=own, greet=False)
        offered = next(line for line in await ehlo(peer) if line.startswith("AUTH "))
        assert "EXTERNAL" not in offered
        for node in ("by-key.example", "by-name.example", "@example"):
            await peer.play(f"C: ETRN {node}\nS: 459 4.7.1 Node {node} not allowed")


async def test_after_starttls_all_is_forgotten(office: Office, meet: Meet) -> None:
    """The login of before, the greeting, the transaction; and RFC 3207 §4.2: a login is offered anew."""
    peer = await meet(tls=False, address="127.0.0.1")
    await auth(office, peer, "PLAIN")
    await peer.play("C: ETRN by-user.example\nS: 251 2.0.0 OK, no messages waiting for node by-user.example")
    await start_tls(peer)
    await peer.play("C: MAIL FROM:<ann@owned.example>\nS: 503 5.5.1 Bad sequence of commands")
    await peer.play("C: ETRN by-user.example\nS: 459 4.7.1 Node by-user.example not allowed")
    assert "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN" in await ehlo(peer)
    await auth(office, peer, "SCRAM-SHA-256-PLUS")
    await peer.play("C: ETRN by-user.example\nS: 251 2.0.0 OK, no messages waiting for node by-user.example")


async def test_a_login_in_clear_gives_no_rights_under_tls(office: Office, meet: Meet) -> None:
    """Submission, too: 530 until somebody logs in again."""
    peer = await meet(Service.SUBMISSION, tls=False, address="127.0.0.1")
    await auth(office, peer, "PLAIN")
    await start_tls(peer)
    await ehlo(peer)
    await peer.play("C: MAIL FROM:<ann@owned.example>\nS: 530 5.7.0 Authentication required")


# submission


async def test_submission_is_for_logins_and_their_own_senders(office: Office, meet: Meet) -> None:
    """RFC 6409: 530 first; then its own domains and `<>`, to anybody; the trace tells ESMTPSA and who."""
    peer = await meet(Service.SUBMISSION)
    await peer.play("C: MAIL FROM:<ann@owned.example>\nS: 530 5.7.0 Authentication required")
    await auth(office, peer, "PLAIN")
    for sender in ("ann@other.example", "ann@sub.owned.example", "ann@far.example", "ann@owned.example.far.example"):
        await peer.play(f"C: MAIL FROM:<{sender}>\nS: 550 5.7.1 This sender is not yours")
    for number, (sender, recipient) in enumerate(
        [
            ("<Anybody@OWNED.example>", "u@far.example"),
            ("<>", "u@far.example"),
            ("<a@localtest.example>", "b@x.far.example"),
        ]
    ):
        await peer.play(f"C: MAIL FROM:{sender}\nS: 250 2.1.0 Sender OK")
        await peer.play(f"C: RCPT TO:<{recipient}>\nS: 250 2.1.5 Recipient OK")
        await peer.play("C: DATA\nS: 354 End data with <CR><LF>.<CR><LF>")
        peer.say("Subject: x\r\n\r\n.\r\n")
        assert (await peer.hear())[0].startswith("250 2.0.0 OK queued")
        assert len(await office.waiting()) == number + 1
    item = (await office.waiting())[0]
    content = (await office.content(item)).decode()
    assert content.startswith(
        "Received: from client.example ([203.0.113.9] user=ann)\r\n\tby office.example (restante) with ESMTPSA id "
    )
    assert {str(fact.principal) for fact in office.told(MessageAccepted)} == {"203.0.113.9 user:ann"}
    refused = [fact for fact in office.told(CommandRefused) if fact.reply.startswith("550")]
    assert {str(fact.principal) for fact in refused} == {"203.0.113.9 user:ann"}


async def test_where_relaying_is_by_address_submission_still_wants_a_login(office: Office, meet: Meet) -> None:
    """`[relay]` is for `mx`."""
    office.relay_from = (PEER, ipaddress.IPv4Network("203.0.113.0/24"))
    peer = await meet(Service.SUBMISSION)
    await peer.play("C: MAIL FROM:<ann@owned.example>\nS: 530 5.7.0 Authentication required")
    await auth(office, peer, "PLAIN")
    await peer.play("C: MAIL FROM:<ann@far.example>\nS: 550 5.7.1 This sender is not yours")


async def test_submission_has_no_etrn_and_no_atrn(office: Office, meet: Meet) -> None:
    """RFC 6409 §7: neither told of nor done, before a login and after it."""
    peer = await meet(Service.SUBMISSION, greet=False)
    for _ in range(2):
        assert not {"ETRN", "ATRN"} & set(await ehlo(peer))
        for line in ("ETRN owned.example", "ATRN owned.example"):
            await peer.play(f"C: {line}\nS: 502 5.5.1 Command not implemented")
        if not office.told(LoggedIn):
            await auth(office, peer, "PLAIN")


async def test_odmr_takes_no_mail(meet: Meet) -> None:
    """RFC 2645 §5: 502 for what is not its own; ATRN wants a login."""
    peer = await meet(Service.ODMR, greet=False)
    keywords = await ehlo(peer)
    assert "ATRN" in keywords
    assert "ETRN" not in keywords
    for line in ("MAIL FROM:<>", "ETRN owned.example", "VRFY ann", "RCPT TO:<a@test.example>"):
        await peer.play(f"C: {line}\nS: 502 5.5.1 Command not implemented")
    await peer.play("C: ATRN owned.example\nS: 530 5.7.0 Authentication required")


async def test_a_user_who_is_removed_may_send_no_more(office: Office, meet: Meet) -> None:
    """In the session that it has open, too."""
    peer = await meet(Service.SUBMISSION)
    await auth(office, peer, "PLAIN")
    office.users = (SITE,)
    await peer.play("C: MAIL FROM:<ann@owned.example>\nS: 550 5.7.1 This sender is not yours")


async def test_a_user_whose_domains_are_taken_away_releases_them_no_more(office: Office, meet: Meet) -> None:
    """In the session that it has open, too."""
    peer = await meet()
    await auth(office, peer, "PLAIN")
    await peer.play("C: ETRN owned.example\nS: 251 2.0.0 OK, no messages waiting for node owned.example")
    office.users = (replace(ANN, domains=frozenset()),)
    await peer.play("C: ETRN owned.example\nS: 459 4.7.1 Node owned.example not allowed")


# mx


async def test_at_mx_a_login_relays_under_its_own_name(office: Office, meet: Meet) -> None:
    """To anywhere from its own domains; under another's name what anybody may, which is held and local mail."""
    peer = await meet()
    await auth(office, peer, "SCRAM-SHA-256")
    await peer.play("""
        C: MAIL FROM:<ann@owned.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<u@far.example>
        S: 250 2.1.5 Recipient OK
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<ann@far.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<u@far.example>
        S: 550 5.7.1 Relay access denied
        C: RCPT TO:<u@owned.example>
        S: 250 2.1.5 Recipient OK
    """)


async def filled(meet: Meet) -> None:
    """One message waits for each of HELD."""
    peer = await meet(tls=False)
    peer.say("MAIL FROM:<>\r\n" + "".join(f"RCPT TO:<u@{entry.name}>\r\n" for entry in HELD) + "BDAT 3 LAST\r\nx\r\n")
    assert [line[:3] for line in await peer.hear(len(HELD) + 2)] == ["250"] * (len(HELD) + 2)


async def test_what_a_login_releases(office: Office, meet: Meet) -> None:
    """Its own domains and what names it in release_from; every decision is in the log, with who asked."""
    await filled(meet)
    peer = await meet()
    await peer.play("C: ETRN @example\nS: 459 4.7.1 Node @example not allowed")
    await auth(office, peer, "PLAIN")
    await peer.play("""
        C: ETRN owned.example
        S: 253 2.0.0 OK, 1 pending messages for node owned.example started
        C: ETRN by-key.example
        S: 459 4.7.1 Node by-key.example not allowed
        C: ETRN @example
        S: 253 2.0.0 OK, 3 pending messages for node @example started
    """)
    assert {view.domain for view in office.released()} == {"owned.example", "by-user.example", "caller.example"}
    decided = [(str(fact.principal), fact.node, bool(fact.granted)) for fact in office.told(ReleaseDecided)]
    assert decided == [
        ("203.0.113.9", "@example", False),
        ("203.0.113.9 user:ann", "owned.example", True),
        ("203.0.113.9 user:ann", "by-key.example", False),
        ("203.0.113.9 user:ann", "@example", True),
    ]


@pytest.mark.parametrize(("shown", "released"), [("own", "by-key.example"), ("named", "by-name.example")])
async def test_what_a_certificate_releases(
    office: Office, meet: Meet, tmp_path: Path, shown: str, released: str
) -> None:
    """What names its fingerprint, or the name that our authority vouches for; without AUTH, and nothing besides."""
    await filled(meet)
    peer = await meet(own=SHOWN[shown].write(tmp_path, shown))
    for entry in HELD:
        is_its_own = entry.name == released
        peer.say(f"ETRN {entry.name}\r\n")
        assert (await peer.hear())[0][:3] == ("253" if is_its_own else "459")
    assert [view.domain for view in office.released()] == [released]
    assert office.told(ReleaseDecided)[-1].principal.certificate == SHOWN[shown].fingerprint


async def test_caller_is_the_address_that_asked_and_has_proved_who_it_is(
    office: Office, meet: Meet, tmp_path: Path
) -> None:
    """Port 25 of it. The address alone, though it is granted, releases nothing; EXTERNAL is as good as a password."""
    await filled(meet)
    peer = await meet(address="192.0.2.66")
    await peer.play("C: ETRN caller.example\nS: 459 4.7.1 Node caller.example not allowed")
    assert office.released() == []
    await auth(office, peer, "SCRAM-SHA-256")
    await peer.play("C: ETRN caller.example")
    assert (await peer.hear())[0].startswith("253")
    [view] = office.released()
    assert (view.target, view.requester) == ("192.0.2.66:25", "192.0.2.66 user:ann")
    peer = await meet(address="2001:db8::9", own=OWN.write(tmp_path, "own"))
    await peer.play("C: ETRN caller.example\nS: 459 4.7.1 Node caller.example not allowed")
    await auth(office, peer, "EXTERNAL", "")
    await peer.play("C: ETRN caller.example\nS: 250 2.0.0 OK, queuing for node caller.example started")
    assert {view.target for view in office.released()} == {"192.0.2.66:25", "[2001:db8::9]:25"}


async def test_who_tries_names_without_end_is_shown_out(meet: Meet) -> None:
    """421 after two hundred refusals, however polite the session was otherwise."""
    peer = await meet()
    peer.say("ETRN by-key.example\r\n" * 250)
    heard = await peer.ended()
    assert heard[:-1] == ["459 4.7.1 Node by-key.example not allowed"] * 201
    assert heard[-1] == "421 4.7.0 Too many errors"


async def test_a_header_section_that_is_too_long(office: Office, meet: Meet) -> None:
    """552 5.6.0, when all of it has come; of a login as of anybody."""
    office.limits = Limits(header_size=2000)
    peer = await meet(Service.SUBMISSION)
    await auth(office, peer, "PLAIN")
    for extra, answer in ((b"X: y\r\n" * 400, "552 5.6.0 The header section is too long"), (b"", "250 2.0.0 OK")):
        await peer.play("C: MAIL FROM:<ann@owned.example>\nS: 250 2.1.0 Sender OK")
        await peer.play("C: RCPT TO:<u@far.example>\nS: 250 2.1.5 Recipient OK")
        await peer.play("C: DATA\nS: 354 End data with <CR><LF>.<CR><LF>")
        peer.say(extra + b"\r\nbody\r\n.\r\n")
        assert (await peer.hear())[0].startswith(answer)


async def test_what_a_principal_is_in_the_log(office: Office, meet: Meet, tmp_path: Path) -> None:
    """Address, login, the certificate's first digits, the names that somebody vouches for."""
    peer = await meet(own=NAMED.write(tmp_path, "named"))
    await auth(office, peer, "EXTERNAL", "")
    [fact] = office.told(LoggedIn)
    principal = Principal(
        ipaddress.ip_address("203.0.113.9"), "site", NAMED.fingerprint, certificate_names=("gw.site.example",)
    )
    assert fact.principal == principal
    assert str(principal) == f"203.0.113.9 user:site cert:{NAMED.fingerprint[:16]} cert:gw.site.example"
