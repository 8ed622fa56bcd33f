"""Tokens: what is printed once, what is kept of it, and which of them is right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from restante.directory.users import Token
from restante.logins.tokens import PREFIX, SECRET_OCTETS, is_one_of, new_token, parse_token


def test_of_a_token_its_hash_is_kept() -> None:
    """The secret is in what is printed, and nowhere else."""
    text, kept = new_token("test", 7.0, lambda octets: b"\xfb" * octets)
    assert text.startswith(PREFIX)
    assert text.removeprefix(PREFIX).replace("-", "").replace("_", "").isalnum()
    shown = parse_token(text)
    assert shown is not None
    assert (shown.name, shown.secret) == ("test", b"\xfb" * SECRET_OCTETS)
    assert kept.expires == 7.0
    assert len(kept.digest) == 64
    assert shown.secret.hex() not in kept.digest
    assert new_token("test", None)[0] != new_token("test", None)[0]


def test_a_token_is_good_until_it_expires() -> None:
    """Any of a user's is; one that was never made is not."""
    text, kept = new_token("test", 100.0)
    others = [new_token("test", None)[1] for _ in range(3)]
    shown = parse_token(text)
    assert shown is not None
    assert is_one_of([*others, kept], shown.secret, 99.9)
    assert not is_one_of([*others, kept], shown.secret, 100.0)
    assert not is_one_of(others, shown.secret, 0.0)
    assert not is_one_of([], shown.secret, 0.0)
    assert not is_one_of([Token("\u00e9")], shown.secret, 0.0)


@given(st.text() | st.text().map(PREFIX.__add__) | st.binary().map(lambda octets: PREFIX + octets.hex()))
def test_any_other_text_is_no_token(text: str) -> None:
    """Or it is one of somebody's, with a secret as long as it must be."""
    shown = parse_token(text)
    assert shown is None or (shown.name and len(shown.secret) == SECRET_OCTETS)
