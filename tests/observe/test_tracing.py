"""One message's life, out of a log that has many."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.observe.test_log import ACCEPTED, ANN, LINES, MESSAGE, TEST

from restante import facts
from restante.facts import Fact
from restante.model import ItemId, MessageId, item_id
from restante.observe import log
from restante.observe.tracing import Line, parse_line, trace

OTHER = MessageId(MESSAGE + 1)
FIRST, SECOND = item_id(MESSAGE, 1), item_id(MESSAGE, 2)
SITE = "192.0.2.25:25"
LIFE: Sequence[Fact | str] = (
    "ready",
    ACCEPTED,
    facts.MessageAccepted(OTHER, ANN, "<ann@far.example>", (TEST,), 1, 4096),
    facts.ReleaseStarted(1, "other.example", "operator", SITE, 1, 4096),
    facts.ReleaseStarted(2, "test.example", "operator", SITE, 2, 8192),
    facts.ItemDelivered(item_id(OTHER, 1), TEST, 2, SITE, 1, 4096, "250 OK"),
    facts.ItemDeferred(FIRST, TEST, 2, SITE, 1, "451 later"),
    facts.ItemDelivered(SECOND, TEST, 2, SITE, 1, 4096, '250 "OK" said id=0KWMNSNFG01'),
    facts.ReleaseEnded(1, "other.example", "operator", SITE, 1, 0, 0, 0, 4096, 1.0, ""),
    facts.ReleaseEnded(2, "test.example", "operator", SITE, 2, 1, 0, 1, 8192, 1.0, ""),
    "ready",
    facts.ItemChanged(FIRST, "freeze"),
    facts.ReleaseStarted(2, "other.example", "operator", SITE, 1, 4096),
    facts.ReleaseEnded(2, "other.example", "operator", SITE, 1, 0, 0, 0, 4096, 1.0, ""),
    facts.ItemFailed(FIRST, TEST, 3, SITE, 1, "550 no", OTHER),
)


def written(life: Iterable[Fact | str], form: str = "") -> list[str]:
    """The lines of a log."""
    stream = io.StringIO()
    log.configure(stream, {log.FORMAT_VARIABLE: form})
    try:
        for one in life:
            if isinstance(one, str):
                log.say(one)
            else:
                log.log_fact(one)
    finally:
        log.flush()
        log.configure(environ={})
    return stream.getvalue().splitlines(keepends=True)


@pytest.mark.parametrize("form", ["", "json"])
@pytest.mark.parametrize("before", ["", "Nov 25 14:00:00 office restante[7]: "])
def test_the_life_of_a_message_from_its_arrival_on(form: str, before: str) -> None:
    """With the release that carried it, and not the one of the same number in the next process."""
    found = list(trace([before + line for line in written(LIFE, form)], MESSAGE))
    assert [line.event for line in found] == [
        "message accepted",
        "release started",
        "item deferred",
        "item delivered",
        "release ended",
        "item changed",
        "item failed",
    ]
    assert not any("other.example" in line.text for line in found)
    assert not any(line.text.startswith("Nov") for line in found)


def test_one_item_of_it() -> None:
    """The arrival is that of the whole message; what became of the others is theirs."""
    found = [(line.event, line.fields.get("item", "")) for line in trace(written(LIFE), SECOND)]
    assert found == [
        ("message accepted", ""),
        ("release started", ""),
        ("item delivered", "0KWMNSNFG00-2"),
        ("release ended", ""),
    ]


def test_a_notice_leads_to_what_it_is_about() -> None:
    """It is named where it was made; what a peer has said names nothing."""
    found = [line.event for line in trace(written(LIFE), OTHER)]
    assert found == ["message accepted", "release started", "item delivered", "release ended", "item failed"]


@pytest.mark.parametrize("fact", [fact for fact, _ in LINES], ids=lambda fact: type(fact).__name__)
def test_every_line_can_be_read(fact: Fact) -> None:
    """As text and as JSON it has the same fields, but for how a number is written."""
    (text,), (as_json,) = written([fact]), written([fact], "json")
    read, same = parse_line(text), parse_line(as_json)
    assert read is not None
    assert same is not None
    assert (read.level, read.event, read.fields.keys()) == (same.level, same.event, same.fields.keys())
    assert text.rstrip() == read.text


@given(st.text())
@example("2026-11-25T14:00:00Z info message accepted id=")
@example("2026-11-25T14:00:00Z info message accepted" + ' id="x"' * 200 + " ?")
@example('{"time":"x","level":"y"}')
@example('{"time":"x","level":"y","event":[' + "[" * 5000)
def test_whatever_else_is_in_a_file_is_left_out_or_read(text: str) -> None:
    """Nothing is raised."""
    assert parse_line(text) is None or isinstance(parse_line(text), Line)
    list(trace([text, f"0KWMNSNFG00 {text}"], ItemId(FIRST)))
