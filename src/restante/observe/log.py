"""The log, on stderr: one line for each fact and each event of the process; JSON lines where RESTANTE_LOG=json.

A table gives each fact's fields; their text is what the process says of itself (say()), and what libraries log, has
too (lines.py). Two facts, of which there may be ten thousand a second, are written out in hot.py. `ready` is said when
everything is up.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TextIO, get_args

from msgspec import Struct

from restante import facts
from restante.facts import Fact
from restante.model import write_item_id, write_message_id
from restante.observe.hot import HOT
from restante.observe.lines import LineBuffer, as_json, as_text

FORMAT_VARIABLE = "RESTANTE_LOG"
SOCKET_VARIABLE = "NOTIFY_SOCKET"


@dataclass(slots=True)
class _Log:
    """Where lines go and how they look; one for the process."""

    buffer: LineBuffer
    render: Callable[[Mapping[str, object]], str]
    hot: Mapping[type, Callable[[Any], str]]
    """By the kind of fact what writes its line without the table of all facts."""
    handler: logging.Handler | None = None


_log = _Log(LineBuffer(sys.stderr), as_text, HOT)


def configure(stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> None:
    """Sends the log, and what libraries log, to `stream`: stderr where none is given."""
    flush()
    _log.buffer = LineBuffer(sys.stderr if stream is None else stream)
    is_json = environ.get(FORMAT_VARIABLE, "").lower() == "json"
    _log.render, _log.hot = (as_json, {}) if is_json else (as_text, HOT)
    if _log.handler is not None:
        logging.getLogger().removeHandler(_log.handler)
    _log.handler = _Libraries()
    logging.getLogger().addHandler(_log.handler)


def log_fact(fact: Fact) -> None:
    """Writes one fact's line; a listener for the feed."""
    write = _log.hot.get(type(fact), _line)
    _log.buffer.write(write(fact))


def _line(fact: Fact) -> str:
    shape = _SHAPES[type(fact)]
    return _log.render({"level": shape.level(fact), "event": shape.event(fact), **dict(_fields(shape, fact))}) + "\n"


def words_of(fact: Fact) -> tuple[str, dict[str, object]]:
    """What a fact's line says: its event, and its fields by their keys."""
    shape = _SHAPES[type(fact)]
    return shape.event(fact), dict(_fields(shape, fact))


def say(event: str, *, level: str = "info", **fields: object) -> None:
    """Writes, at once, what the process has to say of itself: `ready`, `stopping`, a notice."""
    _log.buffer.write(_log.render({"level": level, "event": event, **fields}) + "\n")
    flush()


def flush() -> None:
    """Writes what is kept back; done by itself within moments, and at exit."""
    _log.buffer.flush()


def has_listener(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether systemd wants to be told."""
    return environ.get(SOCKET_VARIABLE, "").startswith(("/", "@"))


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Tells systemd `READY=1`, `STOPPING=1` and their like (sd_notify(3)); where it did not ask, nothing happens."""
    if not has_listener(environ):
        return
    address = environ[SOCKET_VARIABLE]
    if address.startswith("@"):  # the abstract name space
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect(address)
        datagrams.send(state.encode())


def reloading() -> str:
    """What systemd is told when the configuration is read again, and `READY=1` after it (Type=notify-reload)."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


atexit.register(flush)


def unexpected(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """What nobody caught: it is in the log with its traceback, and the server goes on. A loop's exception handler."""
    del loop
    error = context.get("exception")
    text = str(context.get("message", "unexpected"))
    say(text, level="error", **_traced(error if isinstance(error, BaseException) else None))


class _Libraries(logging.Handler):
    """Says what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises, as logging has it: what cannot be said is told on stderr."""
        try:
            error = record.exc_info[1] if record.exc_info else None
            say(record.getMessage(), level=record.levelname.lower(), **_traced(error))
        except Exception:  # noqa: BLE001 - whatever a library hands in
            self.handleError(record)


def _traced(error: BaseException | None) -> dict[str, str]:
    return {} if error is None else {"exception": "".join(traceback.format_exception(error)).rstrip()}


# facts as fields


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one kind of fact is written: its level, its event, and for each field the key, the getter and the writer."""

    level: Callable[[Any], str]
    event: Callable[[Any], str]
    fields: tuple[tuple[str, Callable[[Any], Any], Callable[[Any], object] | None], ...]


_KEYS = {"message": "id", "reverse_path": "from"}
_EVENTS: dict[type, Callable[[Any], str]] = {
    facts.MessageAccepted: lambda _: "message accepted",
    facts.ConnectionRefused: lambda _: "connection refused",
    facts.CommandRefused: lambda _: "command refused",
    facts.LoggedIn: lambda _: "logged in",
    facts.LoginRefused: lambda _: "login refused",
    facts.ReleaseDecided: lambda fact: "release granted" if fact.granted else "release not granted",
    facts.ReleaseStarted: lambda _: "release started",
    facts.ItemDelivered: lambda _: "item delivered",
    facts.ItemDeferred: lambda _: "item deferred",
    facts.ItemFailed: lambda _: "item failed",
    facts.ItemExpired: lambda _: "item expired",
    facts.ItemLate: lambda _: "item late",
    facts.NoticeWithheld: lambda _: "notice withheld",
    facts.ReleaseEnded: lambda _: "release ended",
    facts.CallStarted: lambda _: "call started",
    facts.CallEnded: lambda _: "call ended",
    facts.HookEnded: lambda _: "hook ended",
    facts.ConfigurationReloaded: lambda fact: (
        "configuration not reloaded" if fact.problems else "configuration reloaded"
    ),
    facts.ItemChanged: lambda _: "item changed",
    facts.ItemReturned: lambda _: "item sent back",
    facts.ItemRedirected: lambda _: "item redirected",
    facts.ItemHeldBack: lambda _: "item held back",
    facts.ContentDamaged: lambda _: "content damaged",
    facts.ItemDamaged: lambda _: "item damaged",
    facts.SpoolMended: lambda _: "spool mended",
    facts.FilterJudged: lambda fact: "filter accepts" if fact.accepted else "filter refuses",
    facts.FilterPassedOver: lambda _: "too long for the filter",
    facts.FilterFailed: lambda _: "filter fails",
    facts.RecipientsSent: lambda _: "recipients sent",
    facts.RecipientsTold: lambda fact: "recipients not told" if fact.error else "recipients told",
    facts.AlarmRaised: lambda _: "alarm",
    facts.AlarmCleared: lambda _: "alarm is over",
    facts.AlarmsTold: lambda fact: "alarms not told" if fact.error else "alarms told",
}
_WARNS_OF_ERROR = (facts.ReleaseEnded, facts.CallEnded, facts.HookEnded, facts.RecipientsTold, facts.AlarmsTold)


def _fields(shape: _Shape, fact: Fact) -> list[tuple[str, object]]:
    """What is empty is not written."""
    return [
        (key, value if write is None else write(value))
        for key, get, write in shape.fields
        if (value := get(fact)) or value == 0
    ]


def _level(kind: type) -> Callable[[Any], str]:
    if kind in _WARNS_OF_ERROR:
        return lambda fact: "warning" if fact.error else "info"
    if kind is facts.ConfigurationReloaded:
        return lambda fact: "error" if fact.problems else "info"
    levels: dict[type, str] = {
        facts.ConnectionRefused: "warning",
        facts.LoginRefused: "warning",
        facts.ItemFailed: "warning",
        facts.ItemExpired: "warning",
        facts.NoticeWithheld: "warning",
        facts.ContentDamaged: "error",
        facts.ItemDamaged: "error",
        facts.SpoolMended: "warning",
        facts.FilterPassedOver: "warning",
        facts.FilterFailed: "warning",
        facts.AlarmRaised: "warning",
    }
    level = levels.get(kind, "info")
    return lambda _: level


def _writer(kind: type, field: str) -> Callable[[Any], object] | None:
    if field == "items" and kind is facts.ContentDamaged:
        return lambda items: tuple(map(write_item_id, items))
    writers: dict[str, Callable[[Any], object]] = {
        "message": write_message_id,
        "dsn": write_message_id,
        "notice": write_message_id,
        "item": write_item_id,
        "principal": str,
        "address": str,
    }
    return writers.get(field)


def _shape(kind: type[Struct]) -> _Shape:
    names = kind.__struct_fields__
    fields = tuple((_KEYS.get(name, name), attrgetter(name), _writer(kind, name)) for name in names)
    return _Shape(_level(kind), _EVENTS[kind], fields)


_SHAPES = {kind: _shape(kind) for kind in get_args(Fact)}
