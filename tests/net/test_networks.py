"""Sets of networks: the same answers as asking each network in turn."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from restante.net.networks import NOWHERE, Networks

PARTS = [0, 1, 10, 127, 192, 255]
V4 = st.tuples(*[st.sampled_from(PARTS)] * 4).map(lambda parts: ipaddress.IPv4Address(bytes(parts)))
V6 = st.tuples(*[st.sampled_from(PARTS)] * 16).map(lambda parts: ipaddress.IPv6Address(bytes(parts)))
NETWORKS = st.one_of(
    st.tuples(V4, st.integers(0, 32)).map(lambda pair: ipaddress.IPv4Network(pair, strict=False)),
    st.tuples(V6, st.integers(0, 128)).map(lambda pair: ipaddress.IPv6Network(pair, strict=False)),
)


@given(st.lists(NETWORKS, max_size=8), st.one_of(V4, V6))
def test_an_address_is_in_the_set_when_it_is_in_one_of_them(
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Of its own version; that 0.0.0.0/0 is all of IPv4 says nothing of IPv6."""
    assert (address in Networks(networks)) == any(address in network for network in networks)


def test_nowhere_is_nobody() -> None:
    """Without networks no address is in."""
    assert ipaddress.ip_address("127.0.0.1") not in NOWHERE
