"""Domains and mailboxes: parse, compare, write (RFC 5321 §4.1.2, RFC 6531 §3.3, RFC 5890).

A domain is kept as its A-label in lower case, so that two spellings of one domain are one key and no look-alike
is ever equal to it. A local part is kept unquoted, in the case it came in, and is quoted again where it must be.
Source routes, %-hacks and bang paths have no meaning here: routes are refused, the rest are ordinary characters.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NewType

import idna

DomainName = NewType("DomainName", str)
"""A domain in lower-case A-labels, or an address literal in brackets. Made by parse_domain() only."""

MAX_DOMAIN = 253
MAX_PATH = 256  # RFC 5321 §4.5.3.1.3, with the brackets

_LDH = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.ASCII)
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e\x80-\U0010ffff]|\\[\x20-\x7e])*)"')


class AddressError(ValueError):
    """Text that is no domain or no mailbox. Trying again does not help."""


@lru_cache(maxsize=65536)
def parse_domain(text: str) -> DomainName:
    """The domain that `text` names, as A-labels in lower case, or a literal such as `[192.0.2.1]`.

    Raises AddressError for what RFC 5321 §4.1.2 does not allow, a trailing dot and a port among them.
    """
    if text.startswith("["):
        return DomainName(f"[{_literal(text)}]")
    lowered = text.lower()
    if not text.isascii():
        if len(text) > MAX_DOMAIN:  # idna's time grows with the square of it (CVE-2024-3651)
            raise AddressError("the domain name is too long")
        try:
            lowered = idna.encode(text, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise AddressError(f"{text!r} is not a domain name: {error}") from None
    if len(lowered) > MAX_DOMAIN or not _LDH.fullmatch(lowered):
        raise AddressError(f"{text!r} is not a domain name")
    return DomainName(lowered)


def is_name(text: str) -> bool:
    """Whether parse_domain() gives this very text, and it is no literal; for very many that are not parsed again."""
    return len(text) <= MAX_DOMAIN and _LDH.fullmatch(text) is not None


def _literal(text: str) -> str:
    """The canonical inside of an address literal (RFC 5321 §4.1.3)."""
    if not text.endswith("]"):
        raise AddressError(f"{text!r} is not an address literal")
    inside = text[1:-1]
    if "%" in inside:  # a zone would be this machine's, and may hold anything (RFC 6874)
        raise AddressError(f"{text!r} is not an address literal")
    try:
        if inside[:5].lower() == "ipv6:":
            return f"IPv6:{ipaddress.IPv6Address(inside[5:])}"
        return str(ipaddress.IPv4Address(inside))
    except ValueError:
        raise AddressError(f"{text!r} is not an address literal") from None


def is_below(domain: DomainName, parent: DomainName) -> bool:
    """Whether `domain` is `parent` or lies below it, label by label."""
    return domain == parent or domain.endswith("." + parent)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox: `local` unquoted as it was written, `domain` an A-label. `domain` is empty for bare <postmaster>."""

    local: str
    domain: DomainName

    @staticmethod
    def parse(text: str) -> Mailbox:
        """The mailbox in `text`, without angle brackets. Raises AddressError."""
        return _parse_mailbox(text)

    @property
    def key(self) -> str:
        """What two spellings of one local mailbox have in common: compared without case, as all do in practice."""
        return self.local.lower()

    @property
    def is_ascii(self) -> bool:
        """Whether it can be named to a server without SMTPUTF8 (RFC 6531)."""
        return self.local.isascii()

    def __str__(self) -> str:
        local = self.local
        if not (local.isalnum() or _DOT_ATOM.fullmatch(local)):  # the first takes a tenth of the second's time
            local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{local}@{self.domain}" if self.domain else local


@lru_cache(maxsize=16384)
def _parse_mailbox(text: str) -> Mailbox:
    if len(text.encode("utf-8", "replace")) > MAX_PATH - 2:
        raise AddressError("the address is longer than RFC 5321 4.5.3.1.3 allows")
    local, at, domain = text.rpartition("@")
    if not at or not local:
        raise AddressError(f"{text!r} is not local-part@domain")
    if not local.isprintable():  # beyond ASCII too: NEL, LINE SEPARATOR and the like end lines for some readers
        raise AddressError(f"{text!r} is not a mailbox (RFC 6531 3.3, RFC 5198)")
    if _DOT_ATOM.fullmatch(local):
        return Mailbox(local, parse_domain(domain))
    quoted = _QUOTED.fullmatch(local)
    if quoted is None:
        raise AddressError(f"{text!r} is not a mailbox (RFC 5321 4.1.2)")
    return Mailbox(re.sub(r"\\(.)", r"\1", quoted[1]), parse_domain(domain))


def parse_reverse_path(text: str) -> Mailbox | None:
    """What stands after `MAIL FROM:`, with its brackets; None is the null reverse-path `<>`. Raises AddressError."""
    return None if text == "<>" else _inside(text)


def parse_forward_path(text: str) -> Mailbox:
    """What stands after `RCPT TO:`; `<postmaster>` has an empty domain (RFC 5321 §4.1.1.3). Raises AddressError."""
    if text.lower() == "<postmaster>":
        return Mailbox(text[1:-1], DomainName(""))
    return _inside(text)


def _inside(path: str) -> Mailbox:
    if not (path.startswith("<") and path.endswith(">")):
        raise AddressError(f"{path!r} is not in angle brackets")
    if path.startswith("<@"):
        raise AddressError("source routes are not followed here (RFC 5321 4.1.1.3)")
    return Mailbox.parse(path[1:-1])


def write_path(mailbox: Mailbox | None) -> str:
    """A path as it goes into a command; None is `<>`."""
    return "<>" if mailbox is None else f"<{mailbox!s}>"
