"""What goes to which peer: by the words of its EHLO, and so that our own server reads what was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.smtp.client_talk import ANN, message
from tests.smtp.test_wishes import BYS

from restante.smtp.command import Body, MailParameters, Ret, encode_xtext, parse_mail
from restante.smtp.offer import Offer, Outgoing, mail_line, unsendable
from restante.smtp.services import Features
from restante.smtp.wishes import By, ByMode

ALL = Offer.of_ehlo(["office.example", *Features("office.example", 5000, encrypted=True).keywords()])
PARAMETERS = st.builds(
    MailParameters,
    st.just(0),
    st.sampled_from([Body.EIGHT_BIT, Body.BINARY]),
    st.booleans(),
    st.none() | st.sampled_from(Ret),
    st.none() | st.text(min_size=1, max_size=20).filter(lambda text: "\ud800" not in text).map(encode_xtext),
    st.booleans(),
    st.none() | BYS,
    st.none() | st.integers(-9, 9),
)


@given(PARAMETERS.filter(lambda given: given.envid is None or len(given.envid) <= 100))
def test_our_own_server_reads_what_our_client_says(parameters: MailParameters) -> None:
    """A peer that offers all that we know gets all that was given."""
    line = mail_line(ALL, Outgoing(ANN, parameters, [], 0, b"")).decode()
    assert parse_mail(line.removeprefix("MAIL ").removesuffix("\r\n")) == (ANN, parameters)


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        (("REQUIRETLS",), "REQUIRETLS"),
        (("DELIVERBY",), "BY=60;NT"),
        (("deliverby 240",), "BY=60;NT"),
        (("MT-PRIORITY MIXER",), "MT-PRIORITY=3"),
        (("MT-PRIORITY", "REQUIRETLS"), "REQUIRETLS MT-PRIORITY=3"),
        (("8BITMIME",), ""),
    ],
)
def test_a_wish_goes_only_to_a_peer_that_knows_of_it(keywords: tuple[str, ...], said: str) -> None:
    """RFC 8689, 2852, 6710; what is only to be reported when it is late goes to anybody, with what is left."""
    parameters = MailParameters(requiretls=True, by=By(60, ByMode.NOTIFY, trace=True), priority=3)
    offer, outgoing = Offer.of_ehlo(["a", *keywords]), message(parameters=parameters)
    assert mail_line(offer, outgoing).decode() == f"MAIL FROM:<ann@far.example> {said}".rstrip() + "\r\n"
    assert unsendable(offer, outgoing) is None


@pytest.mark.parametrize(
    ("keyword", "seconds", "why"),
    [
        ("DELIVERBY", 1, None),
        ("DELIVERBY", 0, "554 5.4.7"),
        ("DELIVERBY", -5, "554 5.4.7"),
        ("DELIVERBY 60", 60, None),
        ("DELIVERBY 60", 59, "554 5.4.7"),
        ("DELIVERBY x", 1, None),
        ("DSN", 1_000_000, "554 5.3.3"),
    ],
)
def test_what_is_to_come_back_in_time_goes_only_to_who_heeds_that(keyword: str, seconds: int, why: str | None) -> None:
    """RFC 2852 §4.1.4.1: not to a peer without DELIVERBY, nor to one that wants more time than is left."""
    outgoing = message(parameters=MailParameters(by=By(seconds, ByMode.RETURN)))
    refusal = unsendable(Offer.of_ehlo(["a", keyword]), outgoing)
    assert (str(refusal)[:9] if refusal else None) == why
