"""What an office's reply to ETRN or ATRN means (RFC 1985 §5.1-5.2, RFC 2645 §5.2.1), in whatever words. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from restante.smtp.node import NodeError, parse_node
from restante.smtp.reply import Reply

MAX_NODE = 500  # with `ETRN ` and CRLF within RFC 5321's 512
_COUNT = re.compile(r"(?<!\S)(\d{1,9})(?!\S)", re.ASCII)
_OPAQUE = re.compile(r"#[\x21-\x7e]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Started:
    """It sends what waits: so many messages (251 says 0, 253 says how many), or it does not tell (250, 252)."""

    count: int | None


@dataclass(frozen=True, slots=True)
class NotNow:
    """Not now (458, 451 and other 4yz): worth asking again."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Not for us (459 or 450, which is no passing thing although it begins with 4) or not at all (5yz).

    `ends_asking`: RFC 1985 §5.2, after 5yz a client should not go on with its other names.
    """

    ends_asking: bool


Answer = Started | NotNow | Refused


def understand(reply: Reply) -> Answer:
    """What a reply to ETRN means. Codes that RFC 1985 does not know mean what their first digit says."""
    if reply.code == 251:
        return Started(0)
    if reply.code == 253:
        match = _COUNT.search(" ".join(reply.lines))
        return Started(int(match[1]) if match else None)
    if reply.is_positive and reply.code < 300:
        return Started(None)
    if reply.is_transient and reply.code != 459:
        return NotNow()
    return Refused(ends_asking=not reply.is_transient)


def understand_turn(reply: Reply) -> Answer:
    """What a reply to ATRN means where it did not turn the connection round (RFC 2645 §5.2.1).

    450 has two meanings, told apart by the enhanced code: too often (4.7.0), or not ours, which is no passing thing.
    """
    if reply.code == 453:
        return Started(0)
    if reply.is_transient and (reply.code != 450 or reply.enhanced == "4.7.0"):
        return NotNow()
    return Refused(ends_asking=True)


def check_node(text: str) -> str:
    """A node as it is sent: as it was written where that is ASCII, so that odd servers get what they want.

    After `#` whatever can be printed may stand (RFC 1985 §5.3: the server's own syntax). Raises NodeError.
    """
    if len(text) > MAX_NODE:
        raise NodeError(f"a node has {MAX_NODE} characters at most")
    if _OPAQUE.fullmatch(text):
        return text
    node = parse_node(text)
    return text if text.isascii() else str(node)
