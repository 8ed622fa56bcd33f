"""Names and passwords in one form (RFC 4013)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.smtp.saslprep import prepare


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),  # RFC 4013 section 3
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("\u0007", None),
        ("\u06271", None),
        ("a b", "a b"),
        ("a\u00a0b", "a b"),
        ("e\u0301", "\u00e9"),
        ("\u06271\u0628", "\u06271\u0628"),
        ("\u0627a\u0628", None),
        ("\ud7ff\ue000", None),
        ("", None),
        ("\u00ad", None),
        ("\u200bx", "x"),
        ("\U0001f511 key", "\U0001f511 key"),  # younger than Unicode 3.2
    ],
)
def test_the_rfcs_examples_and_more(text: str, prepared: str | None) -> None:
    """None: no password may have these characters, or nothing is left."""
    assert prepare(text) == prepared


@given(st.text())
def test_any_text_has_one_form_or_none(text: str) -> None:
    """What was prepared stays as it is."""
    prepared = prepare(text)
    assert prepared != ""
    if prepared is not None:
        assert prepare(prepared) == prepared
