"""What an ETRN names, before it is matched to domains (RFC 1985 §5.3).

test.example        that domain; a dot at its end makes no difference
@example            that domain and everything below it, on label boundaries
#customers          a group, whose names are this server's alone
24.248.49.25        a next hop's address, in brackets or not, IPv4 or IPv6
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from restante.smtp.address import AddressError, DomainName, parse_domain

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


class NodeError(ValueError):
    """Text that is no node. Trying again does not help."""


@dataclass(frozen=True, slots=True)
class DomainNode:
    """One domain."""

    domain: DomainName

    def __str__(self) -> str:
        return self.domain


@dataclass(frozen=True, slots=True)
class SubtreeNode:
    """A domain and all below it."""

    domain: DomainName

    def __str__(self) -> str:
        return f"@{self.domain}"


@dataclass(frozen=True, slots=True)
class GroupNode:
    """A group of domains, by its configured name, in lower case."""

    group: str

    def __str__(self) -> str:
        return f"#{self.group}"


@dataclass(frozen=True, slots=True)
class AddressNode:
    """The address of a next hop."""

    address: IPAddress

    def __str__(self) -> str:
        return str(self.address)


Node = DomainNode | SubtreeNode | GroupNode | AddressNode


def parse_group(text: str) -> str:
    """A group's name in lower case: letters, digits, dot, hyphen, underscore; 63 at most. Raises NodeError."""
    if not _GROUP.fullmatch(text):
        raise NodeError(f"{text!r} is not a group's name")
    return text.lower()


def parse_node(text: str) -> Node:
    """The node that an ETRN's argument names. Raises NodeError for anything else, however long or strange."""
    try:
        if text.startswith("#"):
            return GroupNode(parse_group(text[1:]))
        if text.startswith("@"):
            return SubtreeNode(_named_domain(text[1:]))
        if (address := _address(text)) is not None:
            return AddressNode(address)
        return DomainNode(_named_domain(text))
    except AddressError as error:
        raise NodeError(str(error)) from None


def _named_domain(text: str) -> DomainName:
    bare = text.removesuffix(".")  # a root that is written is the same name (RFC 1034 §3.1)
    domain = parse_domain.__wrapped__(bare)  # no memory: how long it takes must not tell who has used a name here
    if domain.startswith("[") or _address(domain) is not None:
        raise NodeError(f"{text!r} is not a domain name")
    return domain


def _address(text: str) -> IPAddress | None:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if bare[:5].lower() == "ipv6:":
        bare = bare[5:]
    if "%" in bare:  # a zone is no part of an address that others know, and may hold anything
        return None
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        return None
