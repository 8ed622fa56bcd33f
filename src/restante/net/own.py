"""Which addresses are this host's own, as far as somebody could reach us there."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from restante.model import HostPort
from restante.smtp.node import IPAddress


class OwnAddresses:
    """The addresses at which we listen on one port. `0.0.0.0` and `::` are all that this host has at that moment.

    Those under which others reach us through a NAT are not known here.
    """

    def __init__(self, listening: Iterable[HostPort], port: int) -> None:
        addresses = [at.address for at in listening if at.port == port]
        self._named = {address for address in addresses if address is not None and not address.is_unspecified}
        self._families = {address.version for address in addresses if address is not None and address.is_unspecified}

    def __contains__(self, address: IPAddress) -> bool:
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address in self._named or (address.version in self._families and _is_here(address))


def _is_here(address: IPAddress) -> bool:
    """Whether an interface has it: then a packet to it would leave from it. None is sent."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 25))
        except OSError:
            return False
        return ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]) == address
