"""rspamd's report as a verdict: each action, what it wants added, and what cannot be understood."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.filtering.filter import Accept, FilterError, Refuse
from restante.filtering.report import MOST_FIELDS, NOT_NOW, REFUSED, verdict_of

FIELD = re.compile(rb"[!-9;-~]+: [\t -~]*\r\n(?:[ \t][\t -~]*\r\n)*")


def report(action: str = "no action", **more: object) -> bytes:
    """What rspamd 3.4 answers, with what a test wants."""
    common = {"is_skipped": False, "score": 7.25, "required_score": 15.0, "symbols": {}, "message-id": "undef"}
    return json.dumps({**common, "action": action, "messages": {}, "time_real": 0.01, **more}).encode()


def test_no_action_is_taken_as_it_came() -> None:
    """Nothing is put on top."""
    assert verdict_of(report()) == Accept("no action, 7.25 of 15.00")


@pytest.mark.parametrize("action", ["add header", "rewrite subject"])
def test_what_is_probably_spam_is_marked(action: str) -> None:
    """By fields on top; a subject stays, for a signature may cover it."""
    fields = b"X-Spam: Yes\r\nX-Spam-Status: Yes, score=7.25 required=15.00\r\n"
    assert verdict_of(report(action)) == Accept(f"{action}, 7.25 of 15.00", fields)


@pytest.mark.parametrize(
    ("action", "code", "status", "text"),
    [
        ("reject", 550, "5.7.1", REFUSED),
        ("soft reject", 451, "4.7.1", NOT_NOW),
        ("greylist", 451, "4.7.1", NOT_NOW),
    ],
)
def test_a_refusal_has_rspamds_own_words_where_they_fit_into_a_reply(
    action: str, code: int, status: str, text: str
) -> None:
    """Else ours: what is not ASCII, has a line end or is very long might be another reply."""
    for told, expected in [
        ({"smtp_message": " Gtube pattern "}, "Gtube pattern"),
        ({}, text),
        ({"smtp_message": "a\r\n250 OK"}, text),
        ({"smtp_message": "grün"}, text),
        ({"smtp_message": "  "}, text),
        ({"smtp_message": "x" * 401}, text),
        ({"smtp_message": 7}, text),
    ]:
        verdict = verdict_of(report(action, messages=told))
        assert isinstance(verdict, Refuse)
        assert str(verdict.reply) == f"{code} {status} {expected}"
        assert verdict.remark == f"{action}, 7.25 of 15.00"


def fields_of(**more: object) -> bytes:
    """What is put on top."""
    verdict = verdict_of(report(**more))  # type: ignore[arg-type]
    assert isinstance(verdict, Accept)
    return verdict.fields


def test_what_rspamd_wants_added_is_added() -> None:
    """In each of the forms that it has for that; lines that it has folded stay folded."""
    added = {
        "X-One": "1",
        "X-Two": {"value": "2", "order": 1},
        "X-Many": ["a", {"value": "b", "order": 0}],
        "X-Folded": "one;\n\ttwo;\r\n three",
    }
    assert fields_of(milter={"add_headers": added, "remove_headers": {"Subject": 0}}) == (
        b"X-One: 1\r\nX-Two: 2\r\nX-Many: a\r\nX-Many: b\r\nX-Folded: one;\r\n\ttwo;\r\n three\r\n"
    )


def test_a_signature_is_put_on_top() -> None:
    """One, or several."""
    assert fields_of(**{"dkim-signature": "v=1; a=rsa-sha256;\r\n\tb=x"}) == (
        b"DKIM-Signature: v=1; a=rsa-sha256;\r\n\tb=x\r\n"
    )
    assert fields_of(**{"dkim-signature": ["v=1", "v=1; d=b"]}) == (
        b"DKIM-Signature: v=1\r\nDKIM-Signature: v=1; d=b\r\n"
    )


def test_rspamds_own_mark_is_not_doubled() -> None:
    """Whatever the case of its letters."""
    assert fields_of(action="add header", milter={"add_headers": {"x-spam": "Sure"}}) == (
        b"X-Spam-Status: Yes, score=7.25 required=15.00\r\nx-spam: Sure\r\n"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Bad", "a\r\nX-Forged: yes"),
        ("X-Bad", "a\r\n\r\nbody"),
        ("X-Bad", "a\rb"),
        ("X-Bad", "grün"),
        ("X-Bad", "x" * 1000),
        ("X-Bad", "x" * MOST_FIELDS),
        ("X Bad", "a"),
        ("X-Bad:", "a"),
        ("", "a"),
        ("X-Bad", "\0"),
    ],
)
def test_a_field_that_is_not_sound_is_left_out(name: str, value: str) -> None:
    """It could forge others, or the end of the header section."""
    assert fields_of(milter={"add_headers": {name: value, "X-Good": "1"}}) == b"X-Good: 1\r\n"


def test_fields_have_a_limit_in_all() -> None:
    """What goes beyond is left out."""
    fields = fields_of(milter={"add_headers": {"X-Many": ["x" * 900] * 100}})
    assert MOST_FIELDS - 1000 < len(fields) <= MOST_FIELDS


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"no action"',
        b"{}",
        b'{"error": "no tokens"}',
        b'{"action": 7}',
        b'{"action": "no action", "score": "high"}',
        b'{"action": "no action", "milter": []}',
        b'{"action": "no action", "milter": {"add_headers": {"X": 1}}}',
        b'{"action": "no action"} and more',
        b'{"action": "no \xff"}',
        report("discard"),
        report("quarantine"),
        report("No Action"),
        report(""),
    ],
)
def test_what_is_not_understood_is_no_verdict(answer: bytes) -> None:
    """Least of all that the message may pass."""
    with pytest.raises(FilterError):
        verdict_of(answer)


def test_scores_may_be_missing() -> None:
    """A number that is none is null in JSON."""
    assert verdict_of(report(score=None, required_score=None)) == Accept("no action, 0.00 of 0.00")


_TEXT = st.text(st.sampled_from("aX-:; \t\r\n\0ü"), max_size=12) | st.text(max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_ADDED = st.dictionaries(_TEXT, _TEXT | st.lists(_TEXT, max_size=3), max_size=4)
_ACTIONS = st.sampled_from(["no action", "add header", "reject", "soft reject", "greylist", "rewrite subject", "x"])


@given(
    _ACTIONS,
    st.fixed_dictionaries({}, optional={"milter": st.fixed_dictionaries({"add_headers": _ADDED}) | _JSON}),
    st.fixed_dictionaries({}, optional={"score": _JSON, "dkim-signature": _TEXT | _JSON, "messages": _JSON}),
)
def test_whatever_is_reported_makes_whole_fields_or_a_sound_reply_or_no_verdict(
    action: str, milter: dict[str, object], more: dict[str, object]
) -> None:
    """No other exception; nothing in the fields ends the header section."""
    try:
        verdict = verdict_of(report(action, **milter, **more))
    except FilterError:
        return
    if isinstance(verdict, Accept):
        assert FIELD.sub(b"", verdict.fields) == b""
        assert action in ("no action", "add header", "rewrite subject")
    else:
        assert verdict.reply.code == (550 if action == "reject" else 451)


@given(st.binary(max_size=200))
def test_any_octets_are_no_verdict(answer: bytes) -> None:
    """And no other error."""
    with pytest.raises(FilterError):
        verdict_of(answer)
