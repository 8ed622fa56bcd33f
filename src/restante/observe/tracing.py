"""The life of one message, out of a log: its own lines, and those of the releases that carried it, in their order.

Lines are read as lines.py writes them, as text or JSON, with whatever a journal has put before them. All is found in
one pass: of a release that runs the line of its start is kept, in case that it carries what is looked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from restante.model import ItemId, MessageId, is_item_id, message_of, write_item_id, write_message_id

_VALUE = r"(?:\"(?:[^\"\\]|\\.)*\"|[^\s\"]\S*)"
_LINE = re.compile(rf"(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ([a-z]+) ([a-z][a-z ]*?)((?: [a-z_]+={_VALUE})*)$")
_FIELD = re.compile(rf" ([a-z_]+)=({_VALUE})")
_ESCAPED = re.compile(r"\\([\"\\])")
_OF_ITEMS = ("item", "items")
_OF_MESSAGES = ("id", "dsn", "notice")
_STARTED, _ENDED, _READY = "release started", "release ended", "ready"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log. `text` is all of it, without what was before it."""

    time: str
    level: str
    event: str
    fields: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


def parse_line(raw: str) -> Line | None:
    """The line in what a log or a journal has; None for what is none of ours."""
    raw = raw.rstrip("\r\n")
    if (brace := raw.find('{"time":"')) >= 0:
        return _from_json(raw[brace:])
    found = _LINE.search(raw)
    if found is None:
        return None
    fields = {match[1]: _unquoted(match[2]) for match in _FIELD.finditer(found[4])}
    return Line(found[1], found[2], found[3], fields, found[0])


def _unquoted(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def _from_json(text: str) -> Line | None:
    try:
        members = json.loads(text)
        head = [str(members.pop(name)) for name in ("time", "level", "event")]
    except (ValueError, KeyError, RecursionError):
        return None
    fields = {
        key: ",".join(map(str, value)) if isinstance(value, list) else str(value) for key, value in members.items()
    }
    return Line(head[0], head[1], head[2], fields, text)


def trace(lines: Iterable[str], wanted: MessageId | ItemId) -> Iterator[Line]:
    """The lines about a message with all its items, or about one item of it, in their order."""
    message = message_of(ItemId(wanted)) if is_item_id(wanted) else MessageId(wanted)
    id_, item = write_message_id(message), write_item_id(ItemId(wanted)) if is_item_id(wanted) else None
    running: dict[str, Line] = {}
    """Releases that have started, by number, and have not carried what is wanted."""
    carrying: set[str] = set()
    for raw in lines:
        has_id = id_ in raw
        if not (has_id or _STARTED in raw or _ENDED in raw or _READY in raw):
            continue
        line = parse_line(raw)
        if line is None:
            continue
        release = line.fields.get("release", "")
        if line.event == _READY:  # another process: its releases begin at 1
            running.clear()
            carrying.clear()
        elif line.event == _STARTED:
            running[release] = line
        elif line.event == _ENDED:
            running.pop(release, None)
            if release in carrying:
                carrying.discard(release)
                yield line
        elif has_id and _is_about(line, id_, item):
            if (started := running.pop(release, None)) is not None:
                carrying.add(release)
                yield started
            yield line


def _is_about(line: Line, message: str, item: str | None) -> bool:
    """Whether a line names the message, or the item."""
    if any(line.fields.get(name) == message for name in _OF_MESSAGES):
        return True
    named = [one for name in _OF_ITEMS for one in line.fields.get(name, "").split(",")]
    return item in named if item is not None else any(one.partition("-")[0] == message for one in named)
