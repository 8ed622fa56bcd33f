"""One transaction on its way into the spool: who is a recipient, what the trace tells, where the content goes."""

from __future__ import annotations

import ipaddress

import pytest
from tests.server.office import Office

from restante.model import DomainName, Mailbox, MailParameters, Notify, Principal, Recipient, write_message_id
from restante.server.intake import Intake, Origin
from restante.spool.spool import INLINE_LIMIT, Arrival

ORIGIN = Origin(Principal(ipaddress.ip_address("2001:db8::1")), "client.example", "ESMTP", "office.example")
ANN = Mailbox.parse("ann@far.example")
TEST, OTHER = DomainName("test.example"), DomainName("other.example")


def intake(office: Office, parameters: MailParameters | None = None) -> Intake:
    """A transaction that was just opened."""
    return Intake(office.spool, ORIGIN, ANN, parameters or MailParameters(), 1_767_225_600.0)


def recipient(text: str, *notify: Notify) -> Recipient:
    """Of a plain RCPT."""
    return Recipient(Mailbox.parse(text), notify or None)


async def stored(office: Office, taken: Intake, *pieces: bytes) -> tuple[Arrival, bytes]:
    """What was handed to the spool, and what it keeps of it."""
    for piece in pieces:
        await taken.take(piece)
    await taken.accept()
    [arrival] = office.held.arrivals
    return arrival, await office.content((await office.waiting())[0])


async def test_recipients_are_sorted_by_domain_and_counted_once(office: Office) -> None:
    """The first RCPT for a mailbox counts; a local part in another case is another mailbox."""
    taken = intake(office)
    for named in (
        recipient("a@test.example", Notify.NEVER),
        recipient("b@other.example"),
        recipient("a@test.example"),
        recipient("A@test.example"),
        recipient("a@other.example"),
    ):
        taken.add(named.mailbox.domain, named)
    assert taken.recipients == 4
    arrival, _ = await stored(office, taken)
    assert [(domain, [str(r.mailbox) for r in envelope.recipients]) for domain, envelope in arrival.envelopes] == [
        (TEST, ["a@test.example", "A@test.example"]),
        (OTHER, ["b@other.example", "a@other.example"]),
    ]
    assert arrival.envelopes[0][1].recipients[0].notify == (Notify.NEVER,)
    assert {envelope.reverse_path for _, envelope in arrival.envelopes} == {ANN}


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a@test.example"], b"\r\n\tfor <a@test.example>;"),
        (["a@test.example", "a@test.example"], b"\r\n\tfor <a@test.example>;"),
        (["a@test.example", "b@test.example"], b";"),
        (["a@test.example", "a@other.example"], b";"),
        (["ü@test.example"], b";"),
    ],
)
async def test_the_trace_tells_a_recipient_only_if_it_is_the_only_one(
    office: Office, names: list[str], told: bytes
) -> None:
    """RFC 5321 §7.6: nobody learns who else got it."""
    taken = intake(office)
    for name in names:
        taken.add(Mailbox.parse(name).domain, recipient(name))
    arrival, content = await stored(office, taken, b"x\r\n")
    identifier = write_message_id(arrival.id).encode()
    assert content == (
        b"Received: from client.example ([IPv6:2001:db8::1])\r\n"
        b"\tby office.example (restante) with ESMTP id " + identifier + told + b"\r\n"
        b"\tThu, 01 Jan 2026 00:00:00 +0000\r\n"
        b"x\r\n"
    )


async def test_smtputf8_is_told_in_the_trace(office: Office) -> None:
    """RFC 6531 §4.3."""
    taken = intake(office, MailParameters(smtputf8=True))
    taken.add(TEST, recipient("ü@test.example"))
    _, content = await stored(office, taken, b"x\r\n")
    assert b" with UTF8SMTP id " in content


@pytest.mark.parametrize("pieces", [[], [b""], [b"x" * 10] * 3, [b"x" * 1000] * 200])
async def test_the_size_is_that_of_what_is_kept(office: Office, pieces: list[bytes]) -> None:
    """However it came, the empty message too."""
    taken = intake(office)
    taken.add(TEST, recipient("a@test.example"))
    arrival, content = await stored(office, taken, *pieces)
    assert content.startswith(b"Received: ")
    assert content.endswith(b"+0000\r\n" + b"".join(pieces))
    assert arrival.size == len(content) == taken.size


async def test_what_fits_in_memory_needs_no_file(office: Office) -> None:
    """Up to INLINE_LIMIT with our own field; an octet more, and all of it goes to a writer, once."""
    field = intake(office)
    field.add(TEST, recipient("a@test.example"))
    await field.take(b"")
    fits = INLINE_LIMIT - field.size
    for octets, writers in ((fits, 0), (fits + 1, 1)):
        taken = intake(office)
        taken.add(TEST, recipient("a@test.example"))
        await taken.take(b"x" * (octets - 1))
        await taken.take(b"x")
        assert len(office.held.writers) == writers
        await taken.accept()
    assert [sum(writer.pieces) for writer in office.held.writers] == [INLINE_LIMIT + 1]


async def test_what_is_dropped_is_gone(office: Office) -> None:
    """With its file, also if it is dropped again."""
    taken = intake(office)
    taken.add(TEST, recipient("a@test.example"))
    await taken.take(b"x" * 2 * INLINE_LIMIT)
    await taken.drop()
    await taken.drop()
    assert office.held.writers[0].discarded
    assert await office.waiting() == []


async def test_hops_are_counted_in_what_came(office: Office) -> None:
    """Our own field is none of them."""
    taken = intake(office)
    taken.add(TEST, recipient("a@test.example"))
    await taken.take(b"Received: from x\r\nRECEI")
    await taken.take(b"VED: from y\r\nX-Received: no\r\n\r\nReceived: no\r\n")
    assert taken.hops == 2
