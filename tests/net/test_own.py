"""restante.net.own: which addresses lead back to this host."""

from __future__ import annotations

import ipaddress

import pytest

from restante.model import HostPort
from restante.net.own import OwnAddresses


@pytest.mark.parametrize(
    ("listening", "address", "is_own"),
    [
        ("192.0.2.1:25", "192.0.2.1", True),
        ("192.0.2.1:25", "::ffff:192.0.2.1", True),
        ("192.0.2.1:25", "192.0.2.2", False),
        ("192.0.2.1:2525", "192.0.2.1", False),  # port 25 there is somebody else's, who may stand before us
        ("[2001:db8::1]:25", "2001:db8::1", True),
        ("0.0.0.0:25", "127.0.0.1", True),
        ("0.0.0.0:25", "192.0.2.77", False),
        ("[::]:25", "::1", True),
        ("[::]:25", "2001:db8::77", False),
        ("0.0.0.0:587", "127.0.0.1", False),
        ("mail.example:25", "192.0.2.1", False),
    ],
)
def test_who_is_at_port_25(listening: str, address: str, *, is_own: bool) -> None:
    """What is listened on, or all that this host has."""
    own = OwnAddresses([HostPort.parse("127.0.0.2:587"), HostPort.parse(listening)], 25)
    assert (ipaddress.ip_address(address) in own) is is_own
