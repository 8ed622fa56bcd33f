"""What a log line looks like, as text and as JSON, and the buffer that it leaves by.

Text is `2026-11-25T14:00:00Z info message accepted id=0QJ3K5W7T9A from=<ann@far.example>`: a time in UTC, a level, an
event, fields. A value with anything but plain ASCII in it stands in quotes, and what cannot be printed is escaped, so
that nothing that a peer said can look like a line or a field of ours, or move a terminal's cursor.
Lines are written together, as they came, FLUSH_SECONDS after the first at the latest: a kill -9 may cost that much.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import TextIO

import msgspec

FLUSH_SECONDS = 0.05
MAX_LINES = 2000
"""Lines that are kept back at most, however fast they come."""

_ODD = re.compile(r"[^!#-<>-\[\]-~]")  # a space, a quote, `=`, a backslash, and all that is not printable ASCII
_WORDS = ("time", "level", "event", "exception")


class LineBuffer:
    """A text stream that takes whole lines and writes many of them at once; without a running loop, each at once.

    Whatever becomes of the stream (a full disk, a closed pipe), it never raises: mail goes on without its log.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: deque[str] = deque()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that has promised to flush."""

    def write(self, line: str) -> None:
        """Takes a line with its end."""
        self._lines.append(line)
        if self._loop is None or self._loop.is_closed() or len(self._lines) >= MAX_LINES:
            self._promise()

    def flush(self) -> None:
        """Writes what is kept back."""
        with self._lock:
            self._loop = None
            text = "".join([self._lines.popleft() for _ in range(len(self._lines))])
            if not text:
                return
            with contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
                self._stream.write(text)
                self._stream.flush()

    def _promise(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if len(self._lines) >= MAX_LINES:
            self.flush()
        else:
            self._loop = loop
            loop.call_later(FLUSH_SECONDS, self.flush)


def as_text(event: Mapping[str, object]) -> str:
    """A line of text. An `exception` follows on lines of its own, indented, which no log line is."""
    fields = "".join([f" {key}={_value(value)}" for key, value in event.items() if key not in _WORDS])
    line = f"{stamp()} {event['level']} {escape(str(event['event']))}{fields}"
    trace = str(event.get("exception") or "")
    return "\n  ".join([line, *map(escape, trace.splitlines())]) if trace else line


def as_json(event: Mapping[str, object]) -> str:
    """The same as one JSON object on a line."""
    fields = {key: value for key, value in event.items() if key not in _WORDS}
    words = {key: event[key] for key in _WORDS if key in event}
    line = {"time": stamp(), **words, **fields}
    try:
        return msgspec.json.encode(line, enc_hook=str).decode()
    except UnicodeEncodeError:  # lone surrogates, from a file's name
        return msgspec.json.encode({key: escape(str(value)) for key, value in line.items()}).decode()


def escape(text: str) -> str:
    r"""Text that stays on its line and does nothing to a terminal: what cannot be printed is written `\x1b`."""
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() else _escaped(c) for c in text])


def _value(value: object) -> str:
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return f"{value:.3f}"
    return plain(",".join(map(str, value)) if isinstance(value, tuple | list) else str(value))


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """A value as a line of text has it: as it is, or in quotes."""
    return text if text and not _ODD.search(text) else _quoted(text)


def _quoted(text: str) -> str:
    inside = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escape(inside)}"'


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]


def stamp() -> str:
    """The time, as each line begins with it."""
    return _stamp(int(time.time()))


@lru_cache(maxsize=4)
def _stamp(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
