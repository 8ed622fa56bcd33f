"""Log lines: nothing that a peer says can look like one, and they leave together."""

from __future__ import annotations

import asyncio
import io
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from restante.observe.lines import FLUSH_SECONDS, MAX_LINES, LineBuffer, as_json, as_text, escape

FIELD = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|[^ "=\\]+)')
"""How a reader cuts a line."""
ANY_TEXT = st.text(st.characters(), max_size=60)  # lone surrogates among it


def event(**fields: object) -> dict[str, object]:
    """As log.py hands it over."""
    return {"level": "info", "event": "item failed", **fields}


@given(ANY_TEXT, ANY_TEXT)
def test_no_text_of_a_peer_can_forge_a_line_or_a_field(said: str, also: str) -> None:
    """Whatever it says, it is one printable line of two fields, and nothing that can be printed is lost."""
    line = as_text(event(reason=said, reply=also))
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    fields = line.partition(" info item failed")[2]
    assert re.fullmatch(f"(?:{FIELD.pattern})*", fields)
    found = FIELD.findall(fields)
    assert [key for key, _ in found] == ["reason", "reply"]
    for (_, value), text in zip(found, (said, also), strict=True):
        if text.isprintable():
            unquoted = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
            assert unquoted == text


@given(ANY_TEXT)
def test_json_lines_are_one_line_whatever_is_in_them(said: str) -> None:
    """And a JSON object with the text as it was, lone surrogates aside."""
    line = as_json(event(reason=said))
    assert "\n" not in line
    reason = json.loads(line)["reason"]
    assert reason in (said, escape(said))


@given(ANY_TEXT)
def test_an_exception_cannot_forge_a_line_either(said: str) -> None:
    """Its lines are indented; log lines begin with a year."""
    _, *trace = as_text(event(exception=f"ValueError: {said}")).split("\n")
    assert trace
    assert all(part.startswith("  ") and part.isprintable() for part in trace)


def test_plain_values_stand_as_they_are_and_odd_ones_in_quotes() -> None:
    """So that a line is easy to read, and easy to cut."""
    line = as_text(event(octets=4096, seconds=0.25, domains=("a.example", "b.example"), reply='250 "OK"', empty=""))
    assert line.endswith(
        r' info item failed octets=4096 seconds=0.250 domains=a.example,b.example reply="250 \"OK\"" empty=""'
    )


def test_control_characters_and_bidi_marks_are_written_out() -> None:
    """A terminal that shows the log does what we want, not what a peer wants."""
    assert as_text(event(reply="\x1b[2J\r\n\u202e\x9b")).endswith(r'reply="\x1b[2J\r\n\u202e\x9b"')


def test_a_line_begins_with_the_time_in_utc() -> None:
    """To the second, as RFC 3339 writes it."""
    stamp = as_text(event()).split(" ")[0]
    assert stamp == json.loads(as_json(event()))["time"]
    assert len(stamp) == len("2026-11-25T14:00:00Z")
    assert stamp.endswith("Z")


class Stream(io.StringIO):
    """Counts its writes."""

    writes = 0

    def write(self, text: str) -> int:
        """As a pipe would take it."""
        self.writes += 1
        return super().write(text)


async def test_lines_of_one_moment_are_one_write() -> None:
    """In order, and soon."""
    stream = Stream()
    buffer = LineBuffer(stream)
    for number in range(100):
        buffer.write(f"{number}\n")
    assert stream.writes == 0
    await asyncio.sleep(FLUSH_SECONDS * 2)
    assert stream.writes == 1
    assert stream.getvalue().split() == [str(number) for number in range(100)]


async def test_a_flood_is_not_kept_back() -> None:
    """However fast lines come, no more than so many wait."""
    stream = Stream()
    buffer = LineBuffer(stream)
    for _ in range(MAX_LINES * 3 + 1):
        buffer.write("x\n")
    assert stream.writes == 3


def test_without_a_loop_each_line_is_written_at_once() -> None:
    """Also when a loop that had promised to write is gone."""
    stream = Stream()
    buffer = LineBuffer(stream)

    async def promises() -> None:
        buffer.write("one\n")

    asyncio.run(promises())
    buffer.write("two\n")
    assert stream.getvalue() == "one\ntwo\n"


def test_a_stream_that_is_closed_stops_nobody() -> None:
    """The log is lost; mail is not."""
    stream = io.StringIO()
    buffer = LineBuffer(stream)
    stream.close()
    buffer.write("x\n")
