"""AUTH lines: strict base64, and a client's exchange line by line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.smtp.exchange import MAX_INITIAL_LINE, Login, decode, encode
from restante.smtp.reply import Reply
from restante.smtp.sasl import Credentials, client_exchange

EMPTY = Reply(334, "")


def login(mechanism: str, password: str = "secret") -> Login:
    """The exchange of `tim`."""
    return Login(mechanism, client_exchange(mechanism, Credentials("tim", password), nonce="n0nce"))


@given(st.binary(max_size=60))
def test_base64_goes_there_and_back(data: bytes) -> None:
    """Whatever the octets."""
    assert decode(encode(data)) == decode(encode(data).encode()) == data


@given(st.text("AQab+/=-_ \r\n", max_size=12))
def test_what_is_decoded_has_a_whole_number_of_quads(text: str) -> None:
    """RFC 4648 §4: padding where it belongs and nowhere else; everything else is a ValueError."""
    try:
        data = decode(text)
    except ValueError:
        return
    assert len(text) == len(encode(data))
    assert encode(data).rstrip("=")[:-1] == text.rstrip("=")[:-1]


def test_an_initial_response_goes_with_the_command() -> None:
    """And may succeed at once; an empty one is written `=` (RFC 4954 §4)."""
    plain = login("PLAIN")
    assert plain.command() == b"AUTH PLAIN AHRpbQBzZWNyZXQ=\r\n"
    assert plain.may_succeed
    external = Login("EXTERNAL", client_exchange("EXTERNAL", Credentials("", has_certificate=True), nonce="n"))
    assert external.command() == b"AUTH EXTERNAL =\r\n"


def test_an_initial_response_that_is_too_long_waits_for_a_challenge() -> None:
    """RFC 4954 §4: AUTH is a command line of 512 octets at most."""
    plain = login("PLAIN", "x" * MAX_INITIAL_LINE)
    assert plain.command() == b"AUTH PLAIN\r\n"
    assert not plain.may_succeed
    assert plain.respond(EMPTY) == encode(b"\0tim\0" + b"x" * MAX_INITIAL_LINE).encode() + b"\r\n"
    assert plain.may_succeed


@pytest.mark.parametrize(
    "challenge", [Reply(334, "not base64!"), Reply(334, "AA="), Reply(334, "AA==", more=("AA==",))]
)
def test_a_challenge_that_cannot_be_read_cancels(challenge: Reply) -> None:
    """With a star (RFC 4954 §4)."""
    cram = login("CRAM-MD5")
    assert cram.command() == b"AUTH CRAM-MD5\r\n"
    assert cram.respond(challenge) == b"*\r\n"
    assert "base64" in cram.problem
    assert not cram.may_succeed


def test_a_challenge_too_many_cancels() -> None:
    """Nothing more is said than the mechanism has to say."""
    plain = login("PLAIN")
    plain.command()
    assert plain.respond(EMPTY) == b"*\r\n"
    assert plain.problem
