"""restante.mx.lookup against a real authoritative server and a real validating resolver, and against servers that are
not as they should be.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from tests.stories.world import World

from restante.model import HostPort
from restante.mx.lookup import Answer, LookupFailed, MxRecord, Resolver
from restante.net.dane import TlsaRecord

PLAIN = f"""
@ MX 10 mx1
@ MX 20 mx2
@ TXT "v=STSv1; " "id=1;"
mx1 A 192.0.2.7
mx1 AAAA 2001:db8::7
mx2 A 192.0.2.8
alias CNAME mx1
alias2 CNAME alias
astray CNAME nobody
here CNAME there
there CNAME here
null MX 0 .
{chr(10).join(f"many MX {n} mx{n}" for n in range(1000))}
"""
SAFE = f"""
@ MX 10 mx1
mx1 A 192.0.2.7
_25._tcp.mx1 TLSA 3 1 1 {"ab" * 32}
out CNAME mx1.plain.example.
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Zones of each kind, and the servers for them."""
    with World() as world:
        world.zone("plain.example", PLAIN)
        world.zone("safe.example", SAFE, signed=True)
        world.zone("bogus.example", "@ MX 10 mx1\nmx1 A 192.0.2.7", bogus=True)
        world.elsewhere("silent.example")
        world.start_dns()
        yield world


@pytest.fixture
def names(world: World) -> Resolver:
    """The resolver of that world."""
    del world
    return Resolver([HostPort("127.0.0.1", 53)])


pytestmark = [pytest.mark.peer, pytest.mark.netns]


async def test_mx_records(names: Resolver) -> None:
    """All of them; nothing vouches for an unsigned zone."""
    found = await names.mx("plain.example")
    assert set(found.records) == {MxRecord(10, "mx1.plain.example"), MxRecord(20, "mx2.plain.example")}
    assert (found.exists, found.is_secure, found.canonical) == (True, False, "plain.example")


async def test_both_kinds_of_addresses(names: Resolver) -> None:
    """AAAA and A, in one answer."""
    found = await names.addresses("mx1.plain.example")
    assert set(found.records) == {ipaddress.ip_address("192.0.2.7"), ipaddress.ip_address("2001:db8::7")}


async def test_text_is_joined(names: Resolver) -> None:
    """The strings of one record are one text."""
    assert (await names.txt("plain.example")).records == ("v=STSv1; id=1;",)


async def test_cnames_are_followed(names: Resolver) -> None:
    """The answer is that of the name at their end, which is told."""
    found = await names.addresses("alias2.plain.example")
    assert len(found.records) == 2
    assert found.canonical == "mx1.plain.example"


async def test_a_circle_of_cnames_is_a_failure(names: Resolver) -> None:
    """Nothing says that it stays so."""
    with pytest.raises(LookupFailed):
        await names.mx("here.plain.example")


@pytest.mark.parametrize("name", ["nobody.plain.example", "astray.plain.example"])
async def test_a_name_that_does_not_exist(names: Resolver, name: str) -> None:
    """Which is an answer, also at the end of a CNAME."""
    assert await names.mx(name) == Answer((), exists=False, canonical="nobody.plain.example")


async def test_a_name_without_such_records(names: Resolver) -> None:
    """It exists, and has none."""
    assert await names.mx("mx1.plain.example") == Answer((), canonical="mx1.plain.example")


async def test_a_null_mx_is_a_record(names: Resolver) -> None:
    """What it means is for others to say."""
    assert (await names.mx("null.plain.example")).records == (MxRecord(0, "."),)


async def test_an_answer_that_is_too_long_for_a_datagram(names: Resolver) -> None:
    """A thousand records come over TCP."""
    assert len((await names.mx("many.plain.example")).records) == 1000


async def test_what_dnssec_proves_is_secure(names: Resolver) -> None:
    """Records, their absence, and that there is no such name."""
    assert (await names.mx("safe.example")).is_secure
    assert (await names.addresses("mx1.safe.example")).is_secure
    assert await names.txt("safe.example") == Answer((), is_secure=True, canonical="safe.example")
    assert await names.mx("no.safe.example") == Answer((), exists=False, is_secure=True, canonical="no.safe.example")
    found = await names.tlsa("_25._tcp.mx1.safe.example")
    assert found.is_secure
    assert found.records == (TlsaRecord(3, 1, 1, b"\xab" * 32),)


async def test_a_cname_that_leads_out_of_what_is_signed(names: Resolver) -> None:
    """The chain is as secure as its weakest link."""
    found = await names.addresses("out.safe.example")
    assert (len(found.records), found.is_secure) == (2, False)


@pytest.mark.parametrize(("validates", "is_secure"), [(None, True), (True, True), (False, False)])
async def test_whose_word_counts(names: Resolver, *, validates: bool | None, is_secure: bool) -> None:
    """By default that of a resolver on the loopback; the settings can say otherwise."""
    del names
    other = Resolver([HostPort("127.0.0.1", 53)], validates=validates)
    assert (await other.mx("safe.example")).is_secure is is_secure


async def test_what_fails_validation_is_a_failure(names: Resolver) -> None:
    """Bogus is not insecure: somebody may be on the way."""
    for ask in (names.mx, names.addresses):
        with pytest.raises(LookupFailed, match="SERVFAIL"):
            await ask("bogus.example")


async def test_no_answer_is_a_failure_in_time(world: World) -> None:
    """The zone's own server is silent; the limit is one for all attempts."""
    del world
    with pytest.raises(LookupFailed, match="has not answered"):
        await Resolver([HostPort("127.0.0.1", 53)], timeout=1).addresses("silent.example")


async def test_a_second_server_helps(names: Resolver) -> None:
    """Where the first has nothing but SERVFAIL, or nobody listens."""
    del names
    servers = [HostPort("192.0.2.99", 53), HostPort("127.0.0.1", 53)]
    assert (await Resolver(servers, timeout=9).mx("plain.example")).records


async def test_the_systems_servers(names: Resolver, tmp_path: Path) -> None:
    """They are read anew for each question: a host that moves gets others. A file without any is no answer."""
    del names
    file = tmp_path / "resolv.conf"
    resolver = Resolver(system=file)
    with pytest.raises(LookupFailed, match="no resolver is known"):
        await resolver.mx("plain.example")
    file.write_text("search test.example\nnameserver nonsense\n")
    with pytest.raises(LookupFailed, match="names none"):
        await resolver.mx("plain.example")
    file.write_text("# remark\nnameserver 127.0.0.1\noptions edns0\n")
    assert (await resolver.mx("safe.example")).is_secure


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..example"])
async def test_a_name_that_cannot_be_asked_for(names: Resolver, name: str) -> None:
    """No failure of ours; an MX record's host may be anything."""
    with pytest.raises(LookupFailed):
        await names.addresses(name)


# servers that are not as they should be

Say = Callable[[dns.message.QueryMessage], dns.message.Message | bytes]


class Serve(Protocol):
    """Makes a resolver that asks a server which answers as it is told."""

    def __call__(self, say: Say, timeout: float = 60) -> Resolver: ...


def _alone(say: Say, at: socket.socket) -> None:
    while True:
        data, peer = at.recvfrom(4096)
        if not data:
            return
        question = dns.message.from_wire(data)
        assert isinstance(question, dns.message.QueryMessage)
        said = say(question)
        at.sendto(said if isinstance(said, bytes) else said.to_wire(), peer)


@pytest.fixture
def server() -> Iterator[Serve]:
    """Makes a resolver that asks a server which answers as it is told."""
    opened: list[tuple[socket.socket, threading.Thread]] = []

    def made(say: Say, timeout: float = 60) -> Resolver:
        at = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        at.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_alone, args=(say, at))
        thread.start()
        opened.append((at, thread))
        return Resolver([HostPort("127.0.0.1", at.getsockname()[1])], timeout=timeout)

    yield made
    for at, thread in opened:
        at.sendto(b"", at.getsockname())
        thread.join()
        at.close()


def _answer(question: dns.message.QueryMessage, *records: str) -> dns.message.Message:
    response = dns.message.make_response(question)
    response.flags |= dns.flags.AD
    for record in records:
        name, kind, data = record.split(" ", 2)
        response.answer.append(dns.rrset.from_text(name, 0, "IN", kind, data))
    return response


async def test_a_server_that_follows_no_cname(server: Serve) -> None:
    """We do; a lifetime of 0 is as good as another."""

    def say(question: dns.message.QueryMessage) -> dns.message.Message:
        if str(question.question[0].name) == "one.example.":
            return _answer(question, "one.example. CNAME two.example.")
        return _answer(question, "two.example. MX 5 MX.Two.Example.")

    found = await server(say).mx("one.example")
    assert found == Answer((MxRecord(5, "mx.two.example"),), is_secure=True, canonical="two.example")


async def test_a_circle_that_no_server_follows(server: Serve) -> None:
    """It is seen after one round; a chain without an end after some."""

    def circle(question: dns.message.QueryMessage) -> dns.message.Message:
        name = str(question.question[0].name)
        return _answer(question, f"{name} CNAME {'two' if name == 'one.example.' else 'one'}.example.")

    def chain(question: dns.message.QueryMessage) -> dns.message.Message:
        name = str(question.question[0].name)
        return _answer(question, f"{name} CNAME a{name}")

    for say in (circle, chain):
        with pytest.raises(LookupFailed, match="in a circle, or too far"):
            await server(say).mx("one.example")


async def test_one_kind_of_address_is_enough(server: Serve) -> None:
    """A server that fails for AAAA does not hide the A; nor does it make that look unproven."""

    def say(question: dns.message.QueryMessage) -> dns.message.Message:
        if question.question[0].rdtype.name == "AAAA":
            response = dns.message.make_response(question)
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        return _answer(question, "one.example. A 192.0.2.7")

    found = await server(say).addresses("one.example")
    assert (found.records, found.is_secure) == ((ipaddress.ip_address("192.0.2.7"),), True)


async def test_no_address_and_a_failure_is_a_failure(server: Serve) -> None:
    """What was not answered may be the address."""

    def say(question: dns.message.QueryMessage) -> dns.message.Message:
        response = dns.message.make_response(question)
        if question.question[0].rdtype.name == "AAAA":
            response.set_rcode(dns.rcode.SERVFAIL)
        return response

    with pytest.raises(LookupFailed):
        await server(say).addresses("one.example")


@pytest.mark.parametrize("said", [b"", b"\0", b"\xff" * 40, b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_what_is_no_answer_is_a_failure(server: Serve, said: bytes) -> None:
    """Octets that are no message of the DNS, or not to this question."""
    with pytest.raises(LookupFailed):
        await server(lambda question: question.to_wire()[:2] + said, timeout=0.5).mx("one.example")
