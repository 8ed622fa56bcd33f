"""What an item asks of its next hop: when it may go there at all, and what is said of it then."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from tests.transport.test_smtp import Sink, Stock, listening, parcel

from restante.model import ByMode, DeliverBy, Envelope, Item, Notify, Recipient
from restante.net.dial import dial
from restante.net.tls import TlsLevel, TlsPolicy, self_signed
from restante.net.tls_layers import pin_of
from restante.smtp.command import MailParameters, RcptParameters
from restante.smtp.offer import Offer
from restante.smtp.wishes import By
from restante.transport.outcome import Deferred, Delivered, Hop, ItemOutcome, Outcome, Parcel, Refused
from restante.transport.smtp import SmtpCarrier, SmtpMeans
from restante.transport.terms import Footing, hop_of, mail_parameters, proves, rcpt_parameters, unsafe

NOW = 1_767_225_600.0
PROVEN = Footing(is_proven=True)
STORE = Footing(is_final=True)
KNOWS = Offer(requiretls=True, deliver_by=True, dsn=True, priorities=True)


def item_with(envelope: Envelope | None = None, /, **changes: object) -> Item:
    """An item to bert with these in its envelope."""
    item = parcel(1).item
    return replace(item, envelope=structs.replace(envelope or item.envelope, **changes))


TAGGED = item_with(requiretls=True)


@pytest.mark.parametrize(
    ("offer", "footing", "outcome"),
    [
        (KNOWS, PROVEN, None),
        (Offer(), STORE, None),
        (KNOWS, Footing(), Deferred("450 4.7.10 REQUIRETLS, and the next hop's certificate is not verified")),
        (Offer(), PROVEN, Deferred("450 4.7.30 REQUIRETLS, and the next hop does not offer it")),
        (
            KNOWS,
            Footing(refuses=True),
            Refused("550 5.7.10 REQUIRETLS, and the next hop's certificate is not verified", "5.7.10"),
        ),
        (
            Offer(),
            Footing(is_proven=True, refuses=True),
            Refused("550 5.7.30 REQUIRETLS, and the next hop does not offer it", "5.7.30"),
        ),
    ],
)
def test_where_a_message_with_requiretls_may_go(offer: Offer, footing: Footing, outcome: Outcome | None) -> None:
    """RFC 8689 §4.2.1: to a host that offers it and has proven who it is; final delivery ends what was asked."""
    assert unsafe(TAGGED, offer, footing) == outcome
    assert unsafe(item_with(), offer, footing) is None


def test_a_report_goes_without_requiretls_rather_than_not_at_all() -> None:
    """RFC 8689 §5; where it can go with it, it does."""
    report = item_with(TAGGED.envelope, reverse_path=None)
    assert unsafe(report, Offer(), Footing(refuses=True)) is None
    assert not mail_parameters(report, Footing(), NOW).requiretls
    assert mail_parameters(report, PROVEN, NOW).requiretls


@pytest.mark.parametrize(
    ("policy", "is_proof"),
    [
        (TlsPolicy(), False),
        (TlsPolicy(TlsLevel.OFF), False),
        (TlsPolicy(TlsLevel.REQUIRED), False),
        (TlsPolicy(TlsLevel.REQUIRED, ("a" * 64,)), True),
        (TlsPolicy(TlsLevel.VERIFY), True),
        (TlsPolicy(TlsLevel.DANE), True),
    ],
)
def test_which_encryption_shows_who_the_peer_is(policy: TlsPolicy, is_proof: bool) -> None:
    """A certificate that is verified, or a key that is known."""
    assert proves(policy) == is_proof


@given(st.floats(-1e6, 1e6), st.sampled_from(ByMode), st.booleans())
def test_a_time_is_given_as_what_is_left_of_it(seconds: float, mode: ByMode, trace: bool) -> None:
    """RFC 2852 §4.1.4: never more than there is."""
    item = item_with(deliver_by=DeliverBy(NOW + seconds, mode, trace))
    by = mail_parameters(item, PROVEN, NOW).by
    assert by is not None
    assert (by.mode, by.trace) == (mode, trace)
    assert by.seconds <= seconds + 1e-6 < by.seconds + 1 + 2e-6
    assert mail_parameters(item, STORE, NOW).by is None


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (None, (Notify.FAILURE, Notify.DELAY)),
        ((Notify.SUCCESS,), (Notify.SUCCESS, Notify.DELAY)),
        ((Notify.DELAY,), (Notify.DELAY,)),
        ((Notify.NEVER,), (Notify.NEVER,)),
    ],
)
def test_a_report_of_delay_stands_in_for_a_time(given: tuple[Notify, ...] | None, asked: tuple[Notify, ...]) -> None:
    """RFC 2852 §4.1.4.2: where the next hop does not know DELIVERBY, unless the sender wants to hear nothing."""
    recipient = Recipient(parcel(1).item.envelope.recipients[0].mailbox, given)
    timed = MailParameters(by=By(60, ByMode.NOTIFY))
    assert rcpt_parameters(recipient, timed, Offer(dsn=True)) == RcptParameters(asked)
    assert rcpt_parameters(recipient, timed, KNOWS) == RcptParameters(given)
    assert rcpt_parameters(recipient, MailParameters(), Offer(dsn=True)) == RcptParameters(given)


def test_who_has_taken_it_is_told_for_the_reports() -> None:
    """A mail store is the end of the way, whatever it offers."""
    assert hop_of(KNOWS, PROVEN) == Hop(is_final=False, dsn=True, deliver_by=True)
    assert hop_of(Offer(), Footing()) == Hop(is_final=False)
    assert hop_of(KNOWS, STORE) == Hop(is_final=True)


# over the wire


async def carried(sink: Sink, item: Item, tls: TlsPolicy, *, refuses: bool = False) -> Outcome:
    """What becomes of one item at a host that serves as the sink does."""
    outcomes: list[Outcome] = []

    def report(done: ItemOutcome) -> None:
        outcomes.extend(outcome for _, outcome in done.outcomes)

    async with listening(sink.serve) as host:
        means = SmtpMeans(dial, "office.example", time.monotonic)
        carrier = SmtpCarrier(host, means, tls, refuses=refuses)
        assert not (await carrier.carry(Stock(Parcel(item, b"Hi\r\n")), report)).error
    [outcome] = outcomes
    return outcome


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    """A host with TLS."""
    sink = Sink()
    sink.tls = tmp_path
    self_signed(tmp_path, "sink.example")
    return sink


def pinned(folder: Path) -> TlsPolicy:
    """The policy that knows the sink's key."""
    certificate = x509.load_pem_x509_certificate((folder / "self-signed.pem").read_bytes())
    return TlsPolicy(TlsLevel.REQUIRED, (pin_of(certificate),))


async def test_a_message_with_requiretls_goes_on_with_it_by_a_proven_connection(sink: Sink, tmp_path: Path) -> None:
    """With its time and priority; who has taken it is told."""
    wished = item_with(TAGGED.envelope, deliver_by=DeliverBy(time.time() + 3600, ByMode.RETURN))
    outcome = await carried(sink, replace(wished, priority=-3), pinned(tmp_path))
    assert isinstance(outcome, Delivered)
    assert outcome.hop == Hop(is_final=False, dsn=True, deliver_by=True)
    [asked] = sink.asked
    assert (asked.requiretls, asked.priority) == (True, -3)
    assert asked.by is not None
    assert 3500 < asked.by.seconds < 3600


@pytest.mark.parametrize(
    ("keeps_tls", "level"),
    [(False, TlsLevel.OPPORTUNISTIC), (True, TlsLevel.OPPORTUNISTIC), (True, TlsLevel.REQUIRED)],
)
@pytest.mark.parametrize("refuses", [False, True])
async def test_a_message_with_requiretls_goes_to_nobody_unproven(
    sink: Sink, keeps_tls: bool, level: TlsLevel, refuses: bool
) -> None:
    """In clear, or with a certificate that anybody could have made, not a word of it is said: it waits or goes back."""
    if not keeps_tls:
        sink.tls = None
    outcome = await carried(sink, TAGGED, TlsPolicy(level), refuses=refuses)
    assert isinstance(outcome, Refused if refuses else Deferred)
    assert ".7.10 " in outcome.reply
    assert sink.asked == []


async def test_a_peer_that_does_not_offer_requiretls_gets_no_such_message(sink: Sink, tmp_path: Path) -> None:
    """RFC 8689 §4.2.1: 5.7.30."""
    sink.hidden = frozenset({"REQUIRETLS"})
    outcome = await carried(sink, TAGGED, pinned(tmp_path), refuses=True)
    assert isinstance(outcome, Refused)
    assert (outcome.status, sink.asked) == ("5.7.30", [])


@pytest.mark.parametrize(("seconds", "status"), [(3600, "5.3.3"), (-1, "5.3.3")])
async def test_what_is_to_come_back_in_time_comes_back_from_who_knows_of_no_time(
    sink: Sink, seconds: int, status: str
) -> None:
    """RFC 2852 §4.1.4.1; what is only to be reported goes on, and it is told that nobody reports it there."""
    sink.hidden = frozenset({"DELIVERBY"})
    by = DeliverBy(time.time() + seconds, ByMode.RETURN)
    refused = await carried(sink, item_with(deliver_by=by), TlsPolicy())
    assert isinstance(refused, Refused)
    assert (refused.status, sink.asked) == (status, [])
    taken = await carried(sink, item_with(deliver_by=replace(by, mode=ByMode.NOTIFY)), TlsPolicy())
    assert isinstance(taken, Delivered)
    assert taken.hop == Hop(is_final=False, dsn=True)
