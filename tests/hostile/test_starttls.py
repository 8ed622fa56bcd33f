"""Attacks on the way into TLS and out of it: injected commands (CVE-2011-0411), kept state, TLS that ends half-way.

What stands behind STARTTLS before the handshake is never a command; what was said before it counts for nothing after
it (RFC 3207 §4.2); a message whose TLS ends before its content does is none, whatever follows in clear.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterator

import pytest
from tests.hostile.attack import codes, connect, converse, replies, say, secured
from tests.hostile.office import AttackedOffice

EHLO = b"EHLO client.example\r\n"
ENVELOPE = b"MAIL FROM:<ann@far.example>\r\nRCPT TO:<anna@held.example>\r\n"
BEFORE_TLS = [220, 250]


def hello() -> bytes:
    """A true ClientHello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


INJECTED = {
    "a command": b"NOOP\r\n",
    "a greeting": EHLO,
    "RSET": b"RSET\r\n",
    "QUIT": b"QUIT\r\n",
    "ETRN": b"ETRN held.example\r\n",
    "a whole message": EHLO + ENVELOPE + b"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n",
    "a message in a chunk": EHLO + ENVELOPE + b"BDAT 3 LAST\r\nx\r\n",
    "a second STARTTLS": b"STARTTLS\r\n",
    "half a command": b"MAIL FROM:<ann@far",
    "an empty line": b"\r\n",
    "a bare LF": b"\n",
    "one octet": b"N",
    "NUL": b"\0",
    "a true ClientHello": hello(),
    "a true ClientHello behind a command": b"NOOP\r\n" + hello(),
    "64 KB of nothing": bytes(65536),
}


def assert_no_more_than_before_tls(heard: bytes) -> None:
    """The greeting and the reply to EHLO, as far as they came before the reset."""
    said = codes(heard)
    assert said == BEFORE_TLS[: len(said)]


@pytest.mark.parametrize("injected", INJECTED.values(), ids=INJECTED)
def test_what_is_sent_behind_starttls_ends_the_session(injected: bytes, office: AttackedOffice) -> None:
    """In the same segment: the server resets the connection, without a 220, and takes no command out of it."""
    before = office.held
    with connect(office.port) as connection:
        heard = converse(connection, EHLO + b"STARTTLS\r\n" + injected, ends=False)
    assert_no_more_than_before_tls(heard)
    assert office.held == before


NO_HANDSHAKE = {name: injected for name, injected in INJECTED.items() if name != "a true ClientHello"}


@pytest.mark.parametrize("injected", NO_HANDSHAKE.values(), ids=NO_HANDSHAKE)
def test_what_is_sent_ahead_of_the_220_is_at_most_a_handshake(injected: bytes, office: AttackedOffice) -> None:
    """In the next segment: it is taken for a handshake, and fails as one; nothing is answered in clear any more."""
    before = office.held
    heard = say(office.port, EHLO + b"STARTTLS\r\n", injected)
    clear, _, rest = heard.partition(b"220 2.0.0 Ready to start TLS\r\n")
    assert_no_more_than_before_tls(clear)
    assert rest[:1] in (b"", b"\x15", b"\x16"), rest  # an alert, or a handshake that nobody goes on with
    assert office.held == before


@contextlib.contextmanager
def tls(office: AttackedOffice, *pieces: bytes) -> Iterator[ssl.SSLSocket]:
    """A connection that has TLS on it, after these pieces in clear."""
    with connect(office.port) as connection, secured(connection, pieces=pieces or (EHLO,)) as secure:
        yield secure


def heard_from(secure: ssl.SSLSocket, *pieces: bytes) -> bytes:
    """Says pieces under TLS, and gives all that is said until the server hangs up, in whatever way."""
    for piece in pieces:
        secure.sendall(piece)
    heard = b""
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        while data := secure.recv(65536):
            heard += data
    return heard


FORGOTTEN = {
    "the greeting": (EHLO, b"MAIL FROM:<ann@far.example>\r\n", [503]),
    "a dropped transaction": (EHLO + ENVELOPE + b"RSET\r\n", b"RCPT TO:<anna@held.example>\r\n", [503]),
    "a refused transaction": (EHLO + b"MAIL FROM:<ann@far.example>\r\nRSET\r\n", b"DATA\r\n", [503]),
    "the chance to ask for TLS": (EHLO, EHLO + b"STARTTLS\r\n", [250, 502]),
}


@pytest.mark.parametrize(("before", "after", "expected"), FORGOTTEN.values(), ids=FORGOTTEN)
def test_tls_begins_anew(before: bytes, after: bytes, expected: list[int], office: AttackedOffice) -> None:
    """Nothing of what was said in clear is known after the handshake."""
    with tls(office, before) as secure:
        heard = codes(heard_from(secure, after + b"QUIT\r\n"))
    assert heard[-1] == 221
    assert [503 if code == 502 else code for code in heard[:-1]] == [503 if code == 502 else code for code in expected]


def test_starttls_is_no_longer_offered_under_tls(office: AttackedOffice) -> None:
    """RFC 3207 §4.2."""
    with tls(office) as secure:
        said = replies(heard_from(secure, EHLO + b"QUIT\r\n"))
    assert "STARTTLS" not in said[0]


OUT_OF_PLACE = {
    "before EHLO": (b"STARTTLS\r\n", [220, 503]),
    "inside a transaction": (EHLO + ENVELOPE + b"STARTTLS\r\n", [220, 250, 250, 250, 503]),
    "with an argument": (EHLO + b"STARTTLS now\r\n", [220, 250, 501]),
    "as content": (EHLO + ENVELOPE + b"DATA\r\nSTARTTLS\r\nRSET\r\n.\r\n", [220, 250, 250, 250, 354, 250]),
    "as a chunk": (EHLO + ENVELOPE + b"BDAT 10 LAST\r\nSTARTTLS\r\n", [220, 250, 250, 250, 250]),
}


@pytest.mark.parametrize(("session", "expected"), OUT_OF_PLACE.values(), ids=OUT_OF_PLACE)
def test_starttls_out_of_place_changes_nothing(session: bytes, expected: list[int], office: AttackedOffice) -> None:
    """The session goes on in clear; as content it is just that."""
    before = office.held
    assert codes(say(office.port, session + b"QUIT\r\n")) == [*expected, 221]
    assert office.held == before + (b"BDAT" in session or b"DATA" in session)


def test_clear_text_under_tls_ends_the_session(office: AttackedOffice) -> None:
    """Commands that somebody else puts on the wire, beside TLS."""
    before = office.held
    with tls(office) as secure:
        os.write(secure.fileno(), EHLO + ENVELOPE + b"BDAT 3 LAST\r\nx\r\n")
        assert heard_from(secure) == b""
    assert office.held == before


def no_more(secure: ssl.SSLSocket) -> None:
    """The end of the connection without that of TLS: anybody on the way can make it."""
    socket.socket.shutdown(secure, socket.SHUT_WR)


def reset(secure: ssl.SSLSocket) -> None:
    """RST."""
    secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(secure.detach())


def close_notify(secure: ssl.SSLSocket) -> None:
    """The end of TLS, and then of the connection."""
    secure.settimeout(5)
    with contextlib.suppress(OSError):
        secure.unwrap()


def close_notify_then_clear(secure: ssl.SSLSocket) -> None:
    """The end of TLS, then the rest of the message in clear (CVE-2026-45185)."""
    fd = os.dup(secure.fileno())
    secure.setblocking(False)
    with contextlib.suppress(OSError):
        secure.unwrap()
    with contextlib.suppress(OSError):
        os.write(fd, b"rest\r\n.\r\nQUIT\r\n")
    os.close(fd)
    secure.settimeout(20)


def garbage(secure: ssl.SSLSocket) -> None:
    """Octets that are no TLS record."""
    os.write(secure.fileno(), b"rest\r\n.\r\nQUIT\r\n")


def broken_record(secure: ssl.SSLSocket) -> None:
    """A record of application data whose seal is wrong."""
    os.write(secure.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))


ENDS: list[Callable[[ssl.SSLSocket], None]] = [
    *(no_more, reset, close_notify, close_notify_then_clear, garbage, broken_record)
]
UNFINISHED = {
    "in a line": b"DATA\r\nSubject: x\r\n\r\nhalf a li",
    "behind a line": b"DATA\r\nSubject: x\r\n\r\nhalf\r\n",
    "in the end of it": b"DATA\r\nSubject: x\r\n\r\nhalf\r\n.",
    "before the last octet": b"DATA\r\nSubject: x\r\n\r\nhalf\r\n.\r",
    "in a chunk": b"BDAT 100 LAST\r\nSubject: x\r\n\r\nhalf\r\n",
    "between chunks": b"BDAT 16\r\nSubject: x\r\n\r\nx\r\n",
    "behind 100,000 octets": b"DATA\r\n" + b"0123456\r\n" * 11_112,
}


@pytest.mark.parametrize("content", UNFINISHED.values(), ids=UNFINISHED)
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_tls_that_ends_inside_a_message_takes_it_along(
    end: Callable[[ssl.SSLSocket], None], content: bytes, office: AttackedOffice
) -> None:
    """No 250 for it, no message, and no further reply."""
    before = office.held
    with tls(office) as secure:
        secure.sendall(EHLO + ENVELOPE + content)
        heard = b""
        expected = 2 + len(ENVELOPE.splitlines()) - 1 + (not content.startswith(b"BDAT 100"))
        while sum(line[3:4] == b" " for line in heard.splitlines()) < expected:
            heard += secure.recv(65536)
        end(secure)
        if secure.fileno() >= 0:
            assert heard_from(secure) == b""
    assert office.held == before


def test_a_message_under_tls_is_taken(office: AttackedOffice) -> None:
    """The same with its end is one: it is what is missing that was refused."""
    before = office.held
    with tls(office) as secure:
        heard = codes(heard_from(secure, EHLO + ENVELOPE + UNFINISHED["behind a line"] + b".\r\nQUIT\r\n"))
    assert heard == [250, 250, 250, 354, 250, 221]
    assert office.held == before + 1
