"""IP networks: which of them one party has, and sets of them that are asked for every connection, as fast for a hundred
thousand networks as for one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from restante.smtp.node import IPAddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network_of(address: IPAddress) -> bytes:
    """What one party usually has, and is counted as one: an IPv4 address, however it is written; an IPv6 /64."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.packed
    return address.packed[:8] if address.ipv4_mapped is None else address.ipv4_mapped.packed


class Networks:
    """Whether an address is in one of them. Networks of one length share a look-up, and there are few lengths."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._starts: dict[tuple[int, int], set[int]] = {}
        """By IP version and number of bits that follow the prefix: the prefixes."""
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            self._starts.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)

    def __contains__(self, address: IPAddress) -> bool:
        if not self._starts:  # most often, and each connection asks three times
            return False
        number, version = int(address), address.version
        return any(number >> shift in starts for (of, shift), starts in self._starts.items() if of == version)


NOWHERE = Networks()
