"""The subject of a message as people read it: found in its header section, decoded from whatever it is written in.

Encoded words (RFC 2047) of any character set that Python knows, plain UTF-8 (RFC 6532), or Latin-1 where it is neither.
It may be hostile: what is read is bounded, and what comes out is one line of printable text.
"""

from __future__ import annotations

import binascii
import re

MAX_FIELD = 4000  # octets of the field that are looked at
MAX_SUBJECT = 200  # characters that are shown
_FIELD = rb"(?:^|\r\n)%b[ \t]*:(?P<body>[^\r\n]*(?:\r\n[ \t][^\r\n]*)*)"
_WORD = re.compile(r"=\?([A-Za-z0-9._-]{1,40})(?:\*[A-Za-z0-9-]*)?\?([bq])\?([^?\s]*)\?=", re.IGNORECASE)
"""An encoded word; a language may stand behind its character set (RFC 2231 §5)."""
_BETWEEN = re.compile(r"\?=\s+(?==\?)")
_NO_CHARACTER_SETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7"})
_JOINERS = "\u200c\u200d"  # not printable by themselves, but words of Persian and of Indian languages need them


def subject_of(original: bytes) -> str:
    """The subject of the message that begins so; empty where it has none."""
    return field_of(original, "subject")


def field_of(original: bytes, name: str) -> str:
    """The same for the first field of any name, whatever structure it has."""
    pattern = _FIELD % re.escape(name.encode())
    found = re.search(pattern, original.partition(b"\r\n\r\n")[0], re.IGNORECASE)
    if found is None or original.startswith(b"\r\n"):
        return ""
    text = one_line(_decoded(_text(found["body"][:MAX_FIELD].replace(b"\r\n", b""))))
    return text if len(text) <= MAX_SUBJECT else f"{text[: MAX_SUBJECT - 1]}…"


def one_line(text: str) -> str:
    """The same without line ends, controls, and what turns the direction of writing."""
    return "".join(c if c.isprintable() or c in _JOINERS else "?" for c in " ".join(text.split()))


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _decoded(field: str) -> str:
    """With its encoded words decoded; those that follow one another are one text, which may be cut inside a letter."""
    found: list[str] = []
    charset, octets, end = "", b"", 0
    field = _BETWEEN.sub("?=", field)
    for word in _WORD.finditer(field):
        if word.start() != end or word[1].lower() != charset:
            found += [_in_charset(octets, charset), field[end : word.start()]]
            charset, octets = word[1].lower(), b""
        octets += _octets(word[2].lower(), word[3])
        end = word.end()
    return "".join([*found, _in_charset(octets, charset), field[end:]])


def _octets(encoding: str, text: str) -> bytes:
    octets = text.encode("utf-8", "replace")
    if encoding == "q":
        return binascii.a2b_qp(octets, header=True)
    try:
        return binascii.a2b_base64(octets + b"==")
    except binascii.Error:
        return b"?"


def _in_charset(octets: bytes, charset: str) -> str:
    if charset.replace("_", "-") in _NO_CHARACTER_SETS or not charset:
        charset = "ascii"
    try:
        return octets.decode(charset, "replace")
    except (LookupError, ValueError):
        return octets.decode("ascii", "replace")
