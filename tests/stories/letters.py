"""Messages to send, and whether what was delivered is what was sent, byte for byte.

A server on a message's way puts fields on top of it (Return-Path, Delivered-To, Received and the like) and changes
nothing else. So a delivered message is known by peeling such fields off its top until its hash is that of a sent one.
Line ends are CR LF on the wire and may be LF in a mailbox; nothing else may differ.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator

TRACE_FIELD = re.compile(rb"(?i:Return-Path|Delivered-To|X-Original-To|Received):[^\n]*\n(?:[ \t][^\n]*\n)*")


def letter(subject: str, body: str = "Nothing but a greeting.\n", sender: str = "anna@test.example") -> bytes:
    """A message of plain text, as a client sends it."""
    text = f"From: {sender}\nSubject: {subject}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n{body}"
    return text.replace("\n", "\r\n").encode()


def awkward_letters(*, big_octets: int = 5_000_000) -> list[bytes]:
    """Messages that have broken mail servers: each differs from all others."""
    dots = ".\n..\n...\n.leading\nmiddle . dot\n. \n.\n"
    eight_bit = "Grüße aus Æbeltoft, Łódź, Ρόδος, 東京, at 8 bits.\n"
    letters = [
        letter("dots at line starts", dots),
        letter("a dot as the whole body", ".\n"),
        letter("8 bit", eight_bit * 50),
        letter("8 bit and dots", f".{eight_bit}..{eight_bit}" * 20),
        letter("latin-1", "").replace(b"utf-8", b"latin-1") + bytes(range(0xA0, 0x100)) + b"\r\n",
        letter("every octet of text but CR and LF", "") + bytes(set(range(1, 256)) - {10, 13}) + b"\r\n",
        letter("lines of 998 octets", ("x" * 998 + "\n") * 30),
        letter("a line of 20,000 octets", "y" * 20_000 + "\n"),
        letter("no text at all", ""),
        letter("empty lines", "\n" * 200 + "end\n"),
        letter("white space at line ends", "a \nb\t\n \n\t\n"),
        letter("words of SMTP", "QUIT\nRSET\nMAIL FROM:<x@y.example>\nBDAT 5 LAST\nFrom the start\n"),
        letter("a folded field\n with a second line\n\tand a third", "body\n"),
        letter("big", _words(big_octets)),
    ]
    return letters + [letter(f"number {n}", _words(200 + 37 * n)) for n in range(60 - len(letters))]


def _words(octets: int) -> str:
    chosen = random.Random(octets)
    line = " ".join("".join(chosen.choices("abcdefghijklmnopqrstuvwxyz.", k=7)) for _ in range(9)) + "\n"
    return line * (octets // len(line)) + "." * (octets % len(line)) + "\n"


def digest(content: bytes) -> str:
    """The SHA-256 of a message, whichever line ends a mailbox keeps it with."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def peeled(stored: bytes) -> Iterator[bytes]:
    """A stored message, then that without its first trace field, and so on while there is one on top."""
    stored = stored.replace(b"\r\n", b"\n")
    yield stored
    while field := TRACE_FIELD.match(stored):
        stored = stored[field.end() :]
        yield stored


def recognised(stored: Iterable[bytes], sent: Iterable[bytes]) -> Counter[bytes]:
    """Which of the sent messages was delivered how often. A delivered one that nobody has sent fails the test."""
    known = {digest(content): content for content in sent}
    found: Counter[bytes] = Counter()
    for message in stored:
        for rest in peeled(message):
            if (hashed := digest(rest)) in known:
                found[known[hashed]] += 1
                break
        else:
            raise AssertionError(f"nobody has sent this: {message[:2000]!r}")
    return found
