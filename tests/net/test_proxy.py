"""PROXY headers as HAProxy's specification has them, and everything that is none."""

from __future__ import annotations

import ipaddress
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.model import IPAddress
from restante.net.proxy import FIXED_OCTETS, MOST_OCTETS, SIGNATURE, BadProxyHeader, Header, HeaderReader

MAIL = b"EHLO client.example\r\n"
PORTS = st.integers(0, 65535)
V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6).filter(lambda address: getattr(address, "ipv4_mapped", None) is None)
PAIRS = st.one_of(st.tuples(V4, V4), st.tuples(V6, V6))


def version_2(command: int, family: int, rest: bytes) -> bytes:
    """A header in binary."""
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack("!H", len(rest)) + rest


def said_by_v2(source: IPAddress, destination: IPAddress, ports: tuple[int, int], more: bytes = b"") -> bytes:
    """A proxied connection's header."""
    family = 0x11 if source.version == 4 else 0x21
    return version_2(1, family, source.packed + destination.packed + struct.pack("!HH", *ports) + more)


def said_by_v1(source: IPAddress, destination: IPAddress, ports: tuple[int, int]) -> bytes:
    """The same in text."""
    return f"PROXY TCP{source.version} {source} {destination} {ports[0]} {ports[1]}\r\n".encode()


def read(octets: bytes, cuts: tuple[int, ...] = ()) -> tuple[Header | None, bytes]:
    """The header of what comes in pieces, and what was not taken."""
    reader = HeaderReader()
    ends = sorted({*(cut for cut in cuts if 0 < cut < len(octets)), 0, len(octets)})
    taken = 0
    for _, end in pairwise(ends):
        while taken < end and reader.header is None:
            taken += reader.receive(octets[taken:end])
    return reader.header, octets[taken:]


@given(
    PAIRS, st.tuples(PORTS, PORTS), st.booleans(), st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=6)
)
def test_what_a_proxy_says_is_read_in_any_pieces(
    pair: tuple[IPAddress, IPAddress], ports: tuple[int, int], binary: bool, more: bytes, cuts: list[int]
) -> None:
    """Both versions; of version 2 with whatever TLVs. Not an octet of what comes behind is taken."""
    header = said_by_v2(*pair, ports, more) if binary else said_by_v1(*pair, ports)
    expected = Header((pair[0], ports[0]), (pair[1], ports[1]))
    assert read(header + MAIL, tuple(cuts)) == (expected, MAIL)
    assert read(header) == (expected, b"")
    assert read(header[:-1]) == (None, b"")


@pytest.mark.parametrize(
    "header",
    [
        version_2(0, 0x00, b""),
        version_2(0, 0x11, bytes(12)),
        version_2(0, 0xFF, b"anything"),
        version_2(1, 0x00, b"\x04\0\1x"),
        version_2(1, 0x31, bytes(216)),
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff:f...f ffff:f...f 65535 65535\r\n",
    ],
)
def test_a_proxy_that_speaks_for_itself(header: bytes) -> None:
    """A look at our health: the connection's own addresses count."""
    for cut in range(len(header)):
        assert read(header + MAIL, (cut,)) == (Header(), MAIL)


def test_a_mapped_address_is_the_ipv4_address_that_it_means() -> None:
    """So that one client has one address, whatever the proxy listens on."""
    mapped = ipaddress.ip_address("::ffff:192.0.2.1")
    header, _ = read(said_by_v2(mapped, mapped, (1, 2)))
    assert header == Header((ipaddress.ip_address("192.0.2.1"), 1), (ipaddress.ip_address("192.0.2.1"), 2))


@pytest.mark.parametrize(
    "octets",
    [
        MAIL,
        b"\x16\x03\x01\x02\x00\x01",
        b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY UNKNOWN" + b" " * 94,
        b"PROXY \r\n",
        SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\0\x0c" + bytes(12),
        version_2(1, 0x12, bytes(12)),
        version_2(1, 0x22, bytes(36)),
        version_2(1, 0x13, bytes(36)),
        version_2(1, 0x11, bytes(11)),
        version_2(1, 0x21, bytes(35)),
        version_2(1, 0x11, bytes(MOST_OCTETS - FIXED_OCTETS + 1)),
    ],
)
def test_what_is_no_header(octets: bytes) -> None:
    """It is refused whole and octet by octet, and by its first octets where these tell."""
    with pytest.raises(BadProxyHeader):
        read(octets)
    with pytest.raises(BadProxyHeader):
        read(octets, tuple(range(len(octets))))


@given(st.one_of(st.binary(), st.binary().map(SIGNATURE.__add__), st.binary().map(b"PROXY ".__add__)))
def test_whatever_comes_there_is_no_other_end(octets: bytes) -> None:
    """A header, more that is needed, or BadProxyHeader; and what is kept is bounded."""
    reader = HeaderReader()
    rest = octets
    try:
        while rest and reader.header is None:
            taken = reader.receive(rest)
            assert 0 < taken <= len(rest)
            rest = rest[taken:]
    except BadProxyHeader:
        return
    assert len(reader._taken) <= MOST_OCTETS
