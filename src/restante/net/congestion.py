"""Which of the kernel's congestion controls a connection should use: looked at every few seconds. Pure.

BBR does not slow down for the loss of single packets, which a radio link has all the time and which costs CUBIC most of
its rate; but every ten seconds it lets the path run empty for a round trip, eight parts in a hundred of a link of
600 ms. So a connection begins with BBR, goes over to CUBIC where the path loses next to nothing, and comes back for
good where that was wrong. A change makes CUBIC look for the path's limit once, at the cost of some packets: the first
looks after it do not count.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

LOOK_SECONDS = 2.0
LEAST_SEGMENTS = 100
"""Segments between two looks, below which a look tells nothing."""
CLEAN = 0.001
LOSSY = 0.02
SETTLING_LOOKS = 8
_COUNTS = struct.Struct("=100xI32xI")  # tcp_info of linux/tcp.h: total_retrans, segs_out
INFO_OCTETS = 144


@dataclass(frozen=True, slots=True)
class Sent:
    """What a connection has sent since it stands: segments, and those of them that were sent again."""

    segments: int
    again: int

    @staticmethod
    def of_info(info: bytes) -> Sent:
        """From the kernel's TCP_INFO. Raises struct.error where that is too short."""
        again, segments = _COUNTS.unpack_from(info)
        return Sent(segments, again)


class Congestion:
    """The choice for one connection."""

    def __init__(self) -> None:
        self._last = Sent(0, 0)
        self._clean_looks = 0
        self._settling = 0
        self._is_final = False
        self.name = "bbr"

    def look(self, sent: Sent) -> str | None:
        """The control to change to, or None to leave it as it is."""
        segments = sent.segments - self._last.segments
        if self._is_final or segments < LEAST_SEGMENTS:
            return None
        lost = (sent.again - self._last.again) / segments
        self._last = sent
        if self._settling:
            self._settling -= 1
            return None
        if self.name == "bbr":
            self._clean_looks = self._clean_looks + 1 if lost <= CLEAN else 0
            if self._clean_looks < 2:
                return None
            self._settling = SETTLING_LOOKS
            self.name = "cubic"
            return self.name
        if lost <= LOSSY:
            return None
        self._is_final = True
        self.name = "bbr"
        return self.name
