"""At which addresses others may reach this host, as far as it can know by itself."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Sequence

from restante.model import HostPort, IPAddress
from restante.net.networks import Networks

_HIDDEN = Networks(
    [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16")]
    + [ipaddress.ip_network(text) for text in ("172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7", "fe80::/10")]
)
"""Networks whose addresses others cannot reach."""
_FAR = ("198.51.100.1", "2001:db8::1")
"""Somewhere else, of each family; nothing is sent there."""


def seen(listen: Sequence[HostPort]) -> Iterator[IPAddress]:
    """Addresses at which others may reach us: those that are listened at, or those of the routes out."""
    named = [at.address for at in listen if at.address is not None and not at.address.is_unspecified]
    families = {at.address.version for at in listen if at.address is not None and at.address.is_unspecified}
    routed = [_towards(far) for far in map(ipaddress.ip_address, _FAR) if far.version in families]
    found: dict[IPAddress, None] = dict.fromkeys([*named, *(address for address in routed if address is not None)])
    return (address for address in found if address not in _HIDDEN)


def _towards(far: IPAddress) -> IPAddress | None:
    """Our address on the way there; None: there is no way."""
    family = socket.AF_INET6 if far.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(far), 25))
        except OSError:
            return None
        return ipaddress.ip_address(probe.getsockname()[0].partition("%")[0])
