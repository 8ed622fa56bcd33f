"""How long a message takes to be safe, as its sender waits for it: one is timed at a time, so that it costs nothing."""

from __future__ import annotations

import time

from restante.spool.histogram import Histogram

BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds."""
_NOBODY = -1


class CommitTimes:
    """The times of some. begin() for each that is handed in; done() or forget() for each, whatever it was."""

    __slots__ = ("_began", "_timed", "seconds")

    def __init__(self) -> None:
        self.seconds = Histogram(BOUNDS)
        self._timed = _NOBODY
        self._began = 0.0

    def begin(self, number: int) -> None:
        """A message is handed in."""
        if self._timed == _NOBODY:
            self._timed = number
            self._began = time.perf_counter()  # the loop's clock counts whole milliseconds

    def done(self, number: int) -> None:
        """It is safe."""
        if number == self._timed:
            self.seconds.add(time.perf_counter() - self._began)
            self._timed = _NOBODY

    def forget(self, number: int) -> None:
        """It has failed."""
        if number == self._timed:
            self._timed = _NOBODY
