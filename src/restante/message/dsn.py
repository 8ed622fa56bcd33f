"""Failure reports (RFC 3464) in the envelope of RFC 6522: what could not be delivered, to whom, and why.

A report is ASCII with CRLF line ends whatever it is about, so that it can go to any server: what is not, is escaped
(RFC 6533 §3), encoded or left out. What a peer or a sender wrote is cleaned first: it forges no field and no part.
The original comes back as its header section; whole only where RET=FULL asks for it and it fits. Who is to get a
report, and whether one can be sent, release/ decides with wants_failure_report().
"""

from __future__ import annotations

import binascii
import hashlib
import re
import textwrap
from collections.abc import Sequence
from email.header import Header
from email.message import Message
from email.policy import compat32

from restante.message.trace import date
from restante.model import (
    Envelope,
    HostPort,
    Item,
    MessageId,
    NextHopError,
    Notify,
    Recipient,
    Ret,
    write_item_id,
    write_message_id,
)
from restante.smtp.command import decode_xtext

MAX_RETURNED = 64 * 1024  # octets of the original that come back at the most
MAX_TEXT = 500  # characters of a reply that are told

# Not policy.SMTP: it decodes encoded words in what it is given, and a peer's reply may hold any.
_POLICY = compat32.clone(linesep="\r\n", max_line_length=78, mangle_from_=False)
_STATUS = re.compile(r"5\.[0-9]{1,3}\.[0-9]{1,3}", re.ASCII)
_SEVEN_BIT = re.compile(rb"(?:[^\0\r\n\x80-\xff]{0,998}\r\n)*[^\0\r\n\x80-\xff]{0,998}")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_NOT_IN_ADDRESS = re.compile(r"[^!-~]|[+=\\]")


def wants_failure_report(envelope: Envelope, recipient: Recipient) -> bool:
    """Whether the sender is to be told that a recipient failed (RFC 3461 §5.2.2): never the null reverse-path."""
    if envelope.reverse_path is None:
        return False
    return recipient.notify is None or Notify.FAILURE in recipient.notify


def failure_report(
    *,
    hostname: str,
    message: MessageId,
    item: Item,
    failures: Sequence[tuple[Recipient, str, str]],
    remote: str,
    original: bytes,
    now: float,
) -> bytes:
    """A whole message to the item's reverse-path: each failure is a recipient, an enhanced status code, a reply.

    `message` is the report's own id, `remote` the carrier's target, `original` the content or the beginning of it,
    `now` a wall time.
    """
    sender = item.envelope.reverse_path
    assert sender is not None, "nobody reports to the null reverse-path"
    whole = item.envelope.ret is Ret.FULL and _is_whole(item, original)
    returned = _text_part("rfc822-headers", _header_section(original)) if not whole else _whole_part(original)
    text = _explanation(hostname, item, failures, remote, whole=whole)
    parts = [
        _text_part("plain; charset=utf-8", text.encode()),
        _status_part(hostname, item, failures, remote),
        returned,
    ]

    report = Message(_POLICY)
    report["From"] = f"Mail Delivery System <MAILER-DAEMON@{hostname}>"
    report["To"] = str(sender) if sender.is_ascii else _group_named(str(sender))
    report["Subject"] = "Your message could not be delivered"
    report["Date"] = date(int(now))
    report["Message-ID"] = f"<{write_message_id(message)}@{hostname}>"
    report["Auto-Submitted"] = "auto-replied"  # RFC 3834 §5
    report["MIME-Version"] = "1.0"
    boundary = f"=_{write_message_id(message)}_{_digest(parts)}"
    report["Content-Type"] = f'multipart/report; report-type=delivery-status; boundary="{boundary}"'
    report.set_payload([*parts])
    return report.as_bytes(policy=_POLICY)


def _digest(parts: Sequence[Message]) -> str:
    """Of all that stands between the boundaries: nothing can hold its own hash, so no part can hold the boundary."""
    return hashlib.sha256(b"".join(part.as_bytes(policy=_POLICY) for part in parts)).hexdigest()[:32]


# what a person reads


def _explanation(
    hostname: str, item: Item, failures: Sequence[tuple[Recipient, str, str]], remote: str, *, whole: bool
) -> str:
    lines = [
        f"This is the mail system at {hostname}.",
        "",
        "Your message was refused by the host or mailbox that it was meant for,",
        "and no further attempt to deliver it is made. It did not reach:",
        "",
    ]
    host = _remote_host(remote)
    for recipient, _, reply in failures:
        said = f"{host} said: {_clean(reply)}" if host else _clean(reply)
        lines.append(f"  <{_clean(str(recipient.mailbox))}>")
        lines += textwrap.wrap(said, 74, initial_indent="    ", subsequent_indent="    ", break_long_words=False)
    attached = "the message itself" if whole else "the message's header"
    known = f"It was known here as {write_item_id(item.id)}."
    lines += ["", f"Attached are the same for mail programs, and {attached}.", known, ""]
    return "\r\n".join(lines)


# what a program reads


def _status_part(hostname: str, item: Item, failures: Sequence[tuple[Recipient, str, str]], remote: str) -> Message:
    about_message = Message(_POLICY)
    if item.envelope.envid is not None:
        about_message["Original-Envelope-Id"] = _ascii(decode_xtext(item.envelope.envid))
    about_message["Reporting-MTA"] = f"dns; {hostname}"
    about_message["Arrival-Date"] = date(int(item.arrived))
    part = Message(_POLICY)
    part["Content-Type"] = "message/delivery-status"
    part.set_payload([about_message, *(_about_recipient(*failure, _remote_host(remote)) for failure in failures)])
    return part


def _about_recipient(recipient: Recipient, status: str, reply: str, host: str) -> Message:
    block = Message(_POLICY)
    if recipient.orcpt is not None:
        kind, _, address = recipient.orcpt.partition(";")
        is_utf8 = kind.lower() == "utf-8"  # RFC 6533 §3: not xtext, but an encoding of its own, which passes as it is
        block["Original-Recipient"] = _typed(kind, address if is_utf8 else decode_xtext(address), encoded=is_utf8)
    block["Final-Recipient"] = _typed("rfc822", str(recipient.mailbox))
    block["Action"] = "failed"
    block["Status"] = status if _STATUS.fullmatch(status) else "5.0.0"
    if host:
        block["Remote-MTA"] = f"dns; {host}"
    plain = _ascii(reply).replace("=?", "= ?")  # no encoded word: a reader that decodes it might find a line end in it
    block["Diagnostic-Code"] = f"{'smtp' if host else 'X-Restante'}; {plain}"
    return block


def _typed(kind: str, address: str, *, encoded: bool = False) -> str:
    """An address with its type; beyond ASCII as utf-8-addr-xtext (RFC 6533 §3), which a 7-bit report must use."""
    if address.isascii():
        return f"{_ascii(kind)}; {_ascii(address)}"
    escaped = "".join(c if c.isascii() else rf"\x{{{ord(c):02X}}}" for c in address) if encoded else _escape(address)
    return f"utf-8; {_ascii(escaped)}"


def _escape(address: str) -> str:
    return _NOT_IN_ADDRESS.sub(lambda match: rf"\x{{{ord(match[0]):02X}}}", address)


def _remote_host(remote: str) -> str:
    """The host of a carrier's target as RFC 3464 §2.1.2 writes it; empty for a carrier that asks no host."""
    if ":" not in remote:  # `maildir`; a host comes with its port
        return ""
    try:
        target = HostPort.parse(remote)
    except NextHopError:
        return ""
    address = target.address
    if address is None:
        return target.host
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


def _group_named(address: str) -> str:
    """An empty group with that name: how a field without UTF-8 tells an address beyond ASCII (RFC 6857 §3.1.8)."""
    name = Header(address, "utf-8", header_name="To")
    name.append(":;", "us-ascii")
    return name.encode()


# what comes back


def _is_whole(item: Item, original: bytes) -> bool:
    """Whether it is all of the message, and fit to be shown as it is: message/rfc822 cannot be encoded."""
    return len(original) == item.size <= MAX_RETURNED and _SEVEN_BIT.fullmatch(original) is not None


def _whole_part(original: bytes) -> Message:
    part = Message(_POLICY)
    part["Content-Type"] = "message/rfc822"
    part.set_payload(original.decode("ascii"))
    return part


def _header_section(original: bytes) -> bytes:
    """The header section without the empty line, or as many whole lines of it as may come back."""
    if original.startswith(b"\r\n"):
        return b""
    end = original.find(b"\r\n\r\n", 0, MAX_RETURNED)
    if end < 0 and len(original) > MAX_RETURNED:
        end = original.rfind(b"\r\n", 0, MAX_RETURNED)
    return (original if end < 0 else original[:end] + b"\r\n")[:MAX_RETURNED]


def _text_part(subtype: str, text: bytes) -> Message:
    """A text part: as it is where that is 7-bit lines, else quoted-printable."""
    part = Message(_POLICY)
    part["Content-Type"] = f"text/{subtype}"
    if _SEVEN_BIT.fullmatch(text) is None:
        part["Content-Transfer-Encoding"] = "quoted-printable"
        text = binascii.b2a_qp(_LINE_END.sub(b"\n", text), istext=True)
    part.set_payload(text.decode("ascii"))
    return part


# cleaning


def _clean(text: str) -> str:
    """One line, no controls, not too long."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))[:MAX_TEXT]


def _ascii(text: str) -> str:
    """The same in ASCII."""
    return "".join(c if c.isascii() else "?" for c in _clean(text))
