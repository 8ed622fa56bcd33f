"""Delivery status notifications (RFC 3464) in the envelope of RFC 6522: what has become of a message, and why.

A notice is ASCII with CRLF line ends whatever it is about, so that it can go to any server: what is not, is escaped
(RFC 6533 §3), encoded or left out. What a peer or a sender wrote is cleaned first: it forges no field and no part.
The original comes back as its header section; whole only where RET=FULL asks for it, something has failed, it fits,
and it may leave TLS (RFC 8689 §5). Who is to get a notice is told by causes.wants(), whether one can be sent by
release/.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from email.header import Header
from email.message import Message

from restante.message.causes import About, Action, Times
from restante.message.parts import POLICY, SEVEN_BIT, head, text_part
from restante.message.subject import subject_of
from restante.message.trace import date
from restante.message.wording import cleaned, explanation, title
from restante.model import HostPort, Item, MessageId, NextHopError, Ret, write_message_id
from restante.smtp.command import decode_xtext

MAX_RETURNED = 64 * 1024  # octets of the original that come back at the most

_CLASSES = {Action.FAILED: "5", Action.DELAYED: "4", Action.RELAYED: "2", Action.DELIVERED: "2"}
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", re.ASCII)
_NOT_IN_ADDRESS = re.compile(r"[^!-~]|[+=\\]")


def notice(
    *,
    hostname: str,
    message: MessageId,
    item: Item,
    about: Sequence[About],
    remote: str,
    original: bytes,
    times: Times,
) -> bytes:
    """A whole message to the item's reverse-path, about one recipient or more of it.

    `message` is the notice's own id, `remote` the carrier's target where one has said the replies, else empty;
    `original` the content or the beginning of it.
    """
    sender = item.envelope.reverse_path
    assert sender is not None, "nobody reports to the null reverse-path"
    has_failed = any(each.cause.action is Action.FAILED for each in about)
    whole = has_failed and item.envelope.ret is Ret.FULL and _may_return(item, original)
    returned = text_part("rfc822-headers", _header_section(original)) if not whole else _whole_part(original)
    subject = subject_of(original)
    host = _remote_host(remote)
    text = explanation(hostname, item, about, subject, times, host=host, whole=whole)
    parts = [
        text_part("plain; charset=utf-8", text.encode("utf-8", "replace")),
        _status_part(hostname, item, about, times, host),
        returned,
    ]

    made = Message(POLICY)
    head(
        made,
        hostname=hostname,
        message=message,
        to=str(sender) if sender.is_ascii else _group_named(str(sender)),
        subject=_unstructured("Subject", title(about, subject)),
        now=times.now,
        auto="auto-replied",
    )
    boundary = f"=_{write_message_id(message)}_{_digest(parts)}"
    made["Content-Type"] = f'multipart/report; report-type=delivery-status; boundary="{boundary}"'
    made.set_payload([*parts])
    return made.as_bytes(policy=POLICY)


def _digest(parts: Sequence[Message]) -> str:
    """Of all that stands between the boundaries: nothing can hold its own hash, so no part can hold the boundary."""
    return hashlib.sha256(b"".join(part.as_bytes(policy=POLICY) for part in parts)).hexdigest()[:32]


# what a program reads


def _status_part(hostname: str, item: Item, about: Sequence[About], times: Times, host: str) -> Message:
    about_message = Message(POLICY)
    if item.envelope.envid is not None:
        about_message["Original-Envelope-Id"] = _ascii(decode_xtext(item.envelope.envid))
    about_message["Reporting-MTA"] = f"dns; {hostname}"
    about_message["Arrival-Date"] = date(int(item.arrived))
    if item.envelope.deliver_by is not None:
        about_message["Deliver-By-Date"] = date(int(item.envelope.deliver_by.at))  # RFC 2852 §5
    part = Message(POLICY)
    part["Content-Type"] = "message/delivery-status"
    part.set_payload([about_message, *(_about_recipient(each, times, host) for each in about)])
    return part


def _about_recipient(each: About, times: Times, host: str) -> Message:
    block = Message(POLICY)
    recipient, action = each.recipient, each.cause.action
    if recipient.orcpt is not None:
        kind, _, address = recipient.orcpt.partition(";")
        is_utf8 = kind.lower() == "utf-8"  # RFC 6533 §3: not xtext, but an encoding of its own, which passes as it is
        block["Original-Recipient"] = _typed(kind, address if is_utf8 else decode_xtext(address), encoded=is_utf8)
    block["Final-Recipient"] = _typed("rfc822", str(recipient.mailbox))
    block["Action"] = action
    is_of_class = _STATUS.fullmatch(each.status) is not None and each.status[0] == _CLASSES[action]
    block["Status"] = each.status if is_of_class else each.cause.status
    if host:
        block["Remote-MTA"] = f"dns; {host}"
    if plain := _ascii(each.reply):
        plain = plain.replace("=?", "= ?")  # no encoded word: its reader might find a line end in it
        block["Diagnostic-Code"] = f"{'smtp' if host else 'X-Restante'}; {plain}"
    if action is Action.DELAYED and times.until is not None:
        block["Will-Retry-Until"] = date(int(times.until))
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
    name, bracket, _ = remote.partition("[")
    if name and bracket:  # a mail host with the address that was used: `mx1.test.example[192.0.2.7]:25`
        remote = f"{name}:25"
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


def _unstructured(name: str, text: str) -> str | Header:
    """A field's text, as encoded words (RFC 2047) where it is not ASCII, or might be taken for some."""
    return text if text.isascii() and "=?" not in text else Header(text, "utf-8", header_name=name)


# what comes back


def _may_return(item: Item, original: bytes) -> bool:
    """Whether it is all of the message, and fit to be shown as it is: message/rfc822 cannot be encoded."""
    is_fit = len(original) == item.size <= MAX_RETURNED and SEVEN_BIT.fullmatch(original) is not None
    return is_fit and not item.envelope.requiretls


def _whole_part(original: bytes) -> Message:
    part = Message(POLICY)
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


def _ascii(text: str) -> str:
    """Cleaned, and in ASCII."""
    return "".join(c if c.isascii() else "?" for c in cleaned(text))
