"""What still fits into a window: pure, so that days of windows are tested in a moment.

The spool gives items in the domain's order, priority before all; here each is asked whether it can be whole at the
other end before the link goes. What cannot waits for a longer window or a faster link, and what is behind it gets
its turn.
"""

from __future__ import annotations

from dataclasses import dataclass

MEASURED_SECONDS = 5.0
"""A rate is believed after so long: over a far link the first confirmations are late, and say little."""


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a window: seconds (None: no end), and octets a second as measured so far (None: not yet)."""

    seconds: float | None
    octets_per_second: float | None

    @property
    def is_over(self) -> bool:
        """Whether nothing may be begun any more."""
        return self.seconds is not None and self.seconds <= 0

    def fits(self, octets: int) -> bool:
        """Whether so many octets can cross in the time left; what is not known does not stop anybody."""
        if self.seconds is None:
            return True
        if self.octets_per_second is None:
            return self.seconds > 0
        return octets <= self.seconds * self.octets_per_second
