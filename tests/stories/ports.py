"""Ports for the programs of a story, below the kernel's range for outgoing connections so that none of those takes one
between our look and the program's bind. Each worker of pytest-xdist has a range of its own.
"""

from __future__ import annotations

import itertools
import os
import socket
import time

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_next = itertools.count(12000 + 2000 * (WORKER % 8) + os.getpid() % 900)


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port on which nobody listens at `address`, handed out once."""
    for port in _next:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def wait_for_port(port: int, address: str = "127.0.0.1", *, timeout: float = 90) -> None:
    """Returns once somebody accepts there; raises TimeoutError after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise TimeoutError(f"nobody listens at {address}:{port} after {timeout} s") from None
            time.sleep(0.05)
        else:
            return
