"""A slow and far link between two hosts of this machine: a network namespace each, joined by TUN devices whose packets
this program carries with a delay, a rate, a bounded queue and losses. Linux, root.

    with far_link(rtt_ms=600, kbit=10_000) as link:
        [*link.office, "restante", "serve", ...]     # argv of a program on 192.0.2.1
        [*link.site, "postfix", ...]                 # and on 192.0.2.2

`python -m bench.link --rtt 600 --kbit 10000` holds such a link until its standard input ends, and says on its first
line which namespaces it has made; far_link() runs that as a process of its own, so that carrying packets costs the
programs under test nothing but a processor. RFC 5737 addresses; no packet leaves the two namespaces.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import heapq
import itertools
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
MTU = 1500
OFFICE_IP, SITE_IP = "192.0.2.1", "192.0.2.2"


@dataclass(frozen=True, slots=True)
class Manners:
    """What a link does to packets: round trip in ms, kbit/s each way, losses from 0 to 1."""

    rtt_ms: float
    kbit: float
    loss: float = 0.0
    seed: int = 1

    @property
    def octets_per_second(self) -> float:
        """Each way, packet headers among them."""
        return self.kbit * 1000 / 8

    @property
    def queue_octets(self) -> float:
        """Twice what is in flight, 64 KB at least: a router as they are."""
        return max(64_000.0, 2 * self.octets_per_second * self.rtt_ms / 1000)


@dataclass(frozen=True, slots=True)
class Link:
    """What goes before a program's argv to run it on either host."""

    office: list[str]
    site: list[str]


@contextlib.contextmanager
def far_link(rtt_ms: float, kbit: float, loss: float = 0.0) -> Iterator[Link]:
    """Holds a link. Raises RuntimeError where the machine cannot make one."""
    argv = [sys.executable, "-m", "bench.link", "--rtt", str(rtt_ms), "--kbit", str(kbit), "--loss", str(loss)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as carrier:
        assert carrier.stdin is not None
        assert carrier.stdout is not None
        try:
            said = carrier.stdout.readline()
            if not said:
                raise RuntimeError("no link could be made: it takes root, network namespaces and /dev/net/tun")
            names = json.loads(said)
            yield Link(*(["ip", "netns", "exec", names[side]] for side in ("office", "site")))
        finally:
            carrier.stdin.close()
            carrier.wait(20)


def _ip(*argv: str) -> None:
    subprocess.run(["ip", *argv], check=True)


def _open_tun(namespace: str, address: str, peer: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    away = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(away, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"link0", IFF_TUN | IFF_NO_PI))
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(away)
    _ip("-n", namespace, "link", "set", "lo", "up")
    _ip("-n", namespace, "addr", "add", address, "peer", peer, "dev", "link0")
    _ip("-n", namespace, "link", "set", "link0", "mtu", str(MTU), "txqueuelen", "1000", "up")
    return device


class Carrier:
    """Moves packets between two devices."""

    def __init__(self, devices: tuple[int, int], manners: Manners) -> None:
        self._manners = manners
        self._other = {devices[0]: devices[1], devices[1]: devices[0]}
        self._free_at = dict.fromkeys(devices, 0.0)
        self._flying: list[tuple[float, int, int, bytes]] = []
        self._order = itertools.count()
        self._chance = random.Random(manners.seed)

    def run(self, until_closed: int) -> None:
        """Carries until that descriptor has something to read, or is closed."""
        poll = select.epoll()
        for descriptor in (*self._other, until_closed):
            poll.register(descriptor, select.EPOLLIN)
        while True:
            wait = max(0.0, self._flying[0][0] - time.monotonic()) if self._flying else 0.5
            for descriptor, _ in poll.poll(wait):
                if descriptor == until_closed:
                    return
                self._take(descriptor)
            self._deliver(time.monotonic())

    def _take(self, device: int) -> None:
        manners = self._manners
        for _ in range(64):
            try:
                packet = os.read(device, 65536)
            except BlockingIOError:
                return
            now = time.monotonic()
            begin = max(now, self._free_at[device])
            is_full = (begin - now) * manners.octets_per_second > manners.queue_octets
            if is_full or self._chance.random() < manners.loss:
                continue
            self._free_at[device] = end = begin + len(packet) / manners.octets_per_second
            arrives = end + manners.rtt_ms / 2000
            heapq.heappush(self._flying, (arrives, next(self._order), self._other[device], packet))

    def _deliver(self, now: float) -> None:
        while self._flying and self._flying[0][0] <= now:
            _, _, device, packet = heapq.heappop(self._flying)
            with contextlib.suppress(OSError):
                os.write(device, packet)


def main() -> None:
    """Holds a link until standard input ends."""
    parser = argparse.ArgumentParser(description="holds a slow and far link until standard input ends")
    parser.add_argument("--rtt", type=float, default=600, help="round trip, ms")
    parser.add_argument("--kbit", type=float, default=10_000, help="kbit/s each way")
    parser.add_argument("--loss", type=float, default=0, help="random packet loss, 0 to 1")
    given = parser.parse_args()
    names = {side: f"restante-{side}-{os.getpid()}" for side in ("office", "site")}
    try:
        for name in names.values():
            _ip("netns", "add", name)
        devices = (
            _open_tun(names["office"], f"{OFFICE_IP}/32", f"{SITE_IP}/32"),
            _open_tun(names["site"], f"{SITE_IP}/32", f"{OFFICE_IP}/32"),
        )
        print(json.dumps(names), flush=True)
        Carrier(devices, Manners(given.rtt, given.kbit, given.loss)).run(sys.stdin.fileno())
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "del", name], check=False)


if __name__ == "__main__":
    main()
