"""Hosts on one machine: a network namespace each, joined by cables (veth pairs). Linux, root.

    with Network() as network:
        site, office = network.host("192.0.2.25"), network.host("192.0.2.26")
        network.cable(site, office)
        site.connect("192.0.2.26", 25)      # a socket of that host's
        [*site.prefix, "restante", "serve"] # argv of a program on that host

A host has one address, however many cables it has. Nothing of them reaches the machine's own network. IPv6 is silent
and each end knows the other's MAC, so that no packet passes a cable but what a program has sent. All is taken down at
the end, also after a failure.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

CLONE_NEWNET = 0x40000000
_numbers = itertools.count(1)


def _ip(*argv: str) -> str:
    done = subprocess.run(["ip", *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(argv)}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """What this thread opens meanwhile, it opens in that namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    away = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(away, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        if libc.setns(home, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns, on the way back")
        os.close(home)
        os.close(away)


@dataclass(frozen=True, slots=True)
class NetHost:
    """A host of a Network: its namespace and its address."""

    namespace: str
    address: str

    @property
    def prefix(self) -> list[str]:
        """What goes before a program's argv to run it on this host. The process keeps its id."""
        return ["ip", "netns", "exec", self.namespace]

    def connect(self, address: str, port: int, *, timeout: float = 90) -> socket.socket:
        """A connection from this host."""
        with inside(self.namespace):
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.connect((address, port))
        except OSError:
            connection.close()
            raise
        return connection

    def sent_packets(self, other: NetHost) -> int:
        """How many packets it has put on its cable to `other`."""
        shown = json.loads(_ip("-n", self.namespace, "-j", "-s", "link", "show", "dev", _device(other)))
        return int(shown[0]["stats64"]["tx"]["packets"])


def _device(other: NetHost) -> str:
    return "to-" + other.address.rpartition(".")[2]


def _mac(host: NetHost) -> str:
    return "02:00:" + ":".join(f"{int(part):02x}" for part in host.address.split("."))


class Network:
    """Hosts and cables; taken down as a context manager ends."""

    def __init__(self) -> None:
        self._hosts: list[NetHost] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for host in self._hosts:
            subprocess.run(["ip", "netns", "del", host.namespace], check=False)  # with its end of each cable

    def host(self, address: str) -> NetHost:
        """A new host with a loopback device and no cable."""
        host = NetHost(f"restante-{os.getpid()}-{next(_numbers)}", address)
        _ip("netns", "add", host.namespace)
        self._hosts.append(host)
        _ip("-n", host.namespace, "link", "set", "lo", "up")
        _ip("-n", host.namespace, "addr", "add", f"{address}/32", "dev", "lo")
        return host

    def cable(self, one: NetHost, other: NetHost) -> None:
        """Joins two hosts."""
        a, b = one.namespace, other.namespace
        ends = (_device(other), "address", _mac(one), "netns", a), (_device(one), "address", _mac(other), "netns", b)
        _ip("link", "add", *ends[0], "type", "veth", "peer", "name", *ends[1])
        for here, there in ((one, other), (other, one)):
            device = _device(there)
            _ip("-n", here.namespace, "link", "set", device, "addrgenmode", "none", "up")
            neighbour = (there.address, "lladdr", _mac(there), "dev", device, "nud", "permanent")
            _ip("-n", here.namespace, "neigh", "add", *neighbour)
            _ip("-n", here.namespace, "route", "add", f"{there.address}/32", "dev", device, "src", here.address)
