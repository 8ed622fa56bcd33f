"""The PROXY protocol, versions 1 and 2: what a load balancer says ahead of a connection that it passes on. No I/O.

HAProxy's doc/proxy-protocol.txt is the specification; its sections are named here. A header is believed only where
the listener's configuration says that a proxy stands, and there it must come: whoever reads it gives HeaderReader
what has come, and takes from the connection just what belongs to the header, for behind it may come a TLS handshake.
What a version 2 header has behind its addresses (TLVs, a checksum among them) is skipped.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass

from restante.errors import RestanteError
from restante.smtp.node import IPAddress

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED_OCTETS = 16
"""What each version 2 header begins with: signature, version and command, family, length."""
MOST_OCTETS = 4096
"""Of a version 2 header; HAProxy's own have some hundred with all TLVs."""
MOST_OCTETS_V1 = 107
"""§2.1, the CR LF included."""
_ADDRESSES = {0x11: struct.Struct("!4s4sHH"), 0x21: struct.Struct("!16s16sHH")}
"""§2.2: TCP over IPv4 and over IPv6."""
_WITHOUT = (0x00, 0x31)
"""Families without IP addresses: unspecified, and a UNIX stream."""
_V1 = re.compile(
    rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]{2,39}) ([0-9A-Fa-f.:]{2,39}) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n"
)


class BadProxyHeader(RestanteError):
    """No valid header of the PROXY protocol. The connection must be closed (§2); trying again does not help."""


@dataclass(frozen=True, slots=True)
class Header:
    """Who has connected to the proxy, and where. None: nobody; the proxy itself talks, and its own address counts."""

    source: tuple[IPAddress, int] | None = None
    destination: tuple[IPAddress, int] | None = None


class HeaderReader:
    """Reads one header, in whatever pieces it comes. `header` is None until it is whole."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self._taken = b""

    def receive(self, data: bytes) -> int:
        """Takes what belongs to the header of what has come, one octet at least; how many. Raises BadProxyHeader.

        Until the header is whole, all of it does.
        """
        assert data, "nothing has come"
        assert self.header is None, "it is whole"
        before = len(self._taken)
        octets = self._taken + data
        end = _end(octets)
        if end is None or end > len(octets):
            self._taken = octets
            return len(data)
        self.header = _parsed(octets[:end])
        return end - before


def _end(octets: bytes) -> int | None:
    """How long the header is that begins so, None when that is not known yet. Raises BadProxyHeader."""
    if octets.startswith(SIGNATURE[: len(octets)]):
        return _end_v2(octets)
    if not octets.startswith(b"PROXY "[: len(octets)]):
        raise BadProxyHeader("a connection from a proxy begins without a PROXY header")
    at = octets.find(b"\n", 0, MOST_OCTETS_V1)
    if at < 0 and len(octets) >= MOST_OCTETS_V1:
        raise BadProxyHeader(f"a PROXY header is longer than {MOST_OCTETS_V1} octets")
    return at + 1 if at >= 0 else None


def _end_v2(octets: bytes) -> int | None:
    if len(octets) < FIXED_OCTETS:
        return None
    end = FIXED_OCTETS + int.from_bytes(octets[14:16])
    if end > MOST_OCTETS:
        raise BadProxyHeader(f"a PROXY header is longer than {MOST_OCTETS} octets")
    return end


def _parsed(octets: bytes) -> Header:
    return _parsed_v2(octets) if octets.startswith(SIGNATURE) else _parsed_v1(octets)


def _parsed_v2(octets: bytes) -> Header:
    version_and_command, family = octets[12], octets[13]
    if version_and_command == 0x20:  # LOCAL: a look at our health; what follows is of no meaning
        return Header()
    if version_and_command != 0x21:
        raise BadProxyHeader(f"a PROXY header of version and command {version_and_command:#04x}")
    if family in _WITHOUT:
        return Header()
    layout = _ADDRESSES.get(family)
    if layout is None:
        raise BadProxyHeader(f"a PROXY header of family {family:#04x}")
    if len(octets) < FIXED_OCTETS + layout.size:
        raise BadProxyHeader("a PROXY header is too short for its addresses")
    source, destination, source_port, destination_port = layout.unpack_from(octets, FIXED_OCTETS)
    return Header((_address(source), source_port), (_address(destination), destination_port))


def _parsed_v1(octets: bytes) -> Header:
    if octets.startswith(b"PROXY UNKNOWN") and octets.endswith(b"\r\n") and octets[13:14] in (b" ", b"\r"):
        return Header()  # §2.1: what follows must be ignored
    match = _V1.fullmatch(octets)
    if match is None:
        raise BadProxyHeader("a PROXY header that cannot be read")
    family, *addresses, source_port, destination_port = (group.decode("ascii") for group in match.groups())
    kind = ipaddress.IPv4Address if family == "TCP4" else ipaddress.IPv6Address
    try:
        source, destination = (_address(kind(address).packed) for address in addresses)
    except ValueError:
        raise BadProxyHeader("a PROXY header with an address that cannot be read") from None
    ports = int(source_port), int(destination_port)
    if max(ports) > 65535:
        raise BadProxyHeader("a PROXY header with a port beyond 65535")
    return Header((source, ports[0]), (destination, ports[1]))


def _address(packed: bytes) -> IPAddress:
    address = ipaddress.ip_address(packed)
    return getattr(address, "ipv4_mapped", None) or address
