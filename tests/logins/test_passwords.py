"""How passwords are kept, and that nothing else is taken for one."""

from __future__ import annotations

import argon2
import pytest
from argon2.profiles import RFC_9106_LOW_MEMORY
from hypothesis import given
from hypothesis import strategies as st

from restante.logins import passwords
from restante.logins.passwords import (
    NotChecked,
    PasswordError,
    check_hash,
    check_password,
    hash_password,
    new_secret,
    parse_scram,
    scram_keys,
    verify,
    write_scram,
)
from restante.smtp.scram import derive_keys


def test_a_hash_fits_its_password_alone() -> None:
    """And each hash has a salt of its own; the parameters are RFC 9106's second choice."""
    kept = hash_password("tanstaaf")
    assert check_hash(kept) == kept
    assert verify(kept, "tanstaaf")
    assert not verify(kept, "tanstaaF")
    assert kept != hash_password("tanstaaf")
    assert argon2.extract_parameters(kept) == RFC_9106_LOW_MEMORY


def test_nobodys_hash_costs_as_much_and_fits_nothing() -> None:
    """It has the parameters of a real one, and even if it fitted, nobody would be let in."""
    assert argon2.extract_parameters(check_hash(passwords._NOBODY)) == RFC_9106_LOW_MEMORY
    assert not verify(None, "")
    assert not verify(None, "tanstaaf")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tanstaaf",
        "$argon2id$",
        "$argon2i$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=65536,t=3,p=4$AAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=0,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        " $argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$2b$12$abcdefghijklmnopqrstuv",
    ],
)
def test_what_is_no_hash_is_said_to_be_none(text: str) -> None:
    """When the configuration is read, not when somebody logs in."""
    with pytest.raises(PasswordError):
        check_hash(text)


def test_a_hash_that_cannot_be_checked_is_an_error_of_ours() -> None:
    """It needs more memory than can be had: not a wrong password."""
    with pytest.raises(NotChecked, match="could not be checked"):
        verify("$argon2id$v=19$m=7,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "tanstaaf")


@pytest.mark.parametrize("text", ["", "bell\x07", "\u06271", "x" * 1025])
def test_a_password_that_no_login_could_show_is_not_kept(text: str) -> None:
    """SASL would refuse it (RFC 4013), or it is longer than an exchange takes."""
    with pytest.raises(PasswordError):
        check_password(text)


def test_a_new_password_is_prepared() -> None:
    """As it will be when it is shown."""
    assert check_password("\u2168 \u00aa") == "IX a"


def test_scrams_text_is_the_rfcs() -> None:
    """RFC 5803 section 3, with RFC 7677's example as what is kept."""
    keys = scram_keys("pencil", lambda octets: bytes(range(octets)))
    text = write_scram(keys)
    assert text.startswith("SCRAM-SHA-256$4096:AAECAwQFBgcICQoLDA0ODw==$")
    assert parse_scram(text) == keys == derive_keys("pencil", bytes(range(16)), 4096)


GOOD = write_scram(derive_keys("pencil", b"saltSALTsaltSALT"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pencil",
        GOOD.replace("256", "1"),
        GOOD.replace("4096", "4095"),
        GOOD.replace("4096", "04096"),
        GOOD.replace("4096", "99999999999"),
        GOOD[:-3],
        GOOD.replace("=", "", 1),
        GOOD + "$",
        f" {GOOD}",
        "SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA",
        "SCRAM-SHA-256$4096:$AAAA:AAAA",
    ],
)
def test_what_is_no_scram_text_is_said_to_be_none(text: str) -> None:
    """Too few iterations are none either (RFC 7677 section 4)."""
    with pytest.raises(PasswordError):
        parse_scram(text)


@given(st.text())
def test_any_other_text_is_an_error(text: str) -> None:
    """And nothing else is raised."""
    for parse in (check_hash, parse_scram):
        with pytest.raises(PasswordError):
            parse(text)


def test_a_secret_is_long_and_new() -> None:
    """At least 160 bits, and nothing that a shell or a configuration would have to quote."""
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(bytes.fromhex(secret)) * 8 >= 160 for secret in secrets)
