"""How many notices one address is sent in an hour. Pure: token buckets, one for each address that lately got any.

Whoever writes another's address into MAIL can have notices sent to him: so many, and no more. What is behind a `+` of
a local part does not make another address. Buckets that nobody has drawn from for an hour are full, and forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from restante.model import Mailbox

HOUR = 3600.0
MOST_BUCKETS = 50_000
"""The one that was not drawn from for the longest time gives way."""


class Allowance:
    """All buckets. `now` gives monotonic seconds; `per_hour` may be changed at any time."""

    def __init__(self, now: Callable[[], float], per_hour: int = 20) -> None:
        self.per_hour = per_hour
        self._now = now
        self._drawn: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By address: how many were drawn and are not given back yet, and when that was reckoned."""

    def allows(self, address: Mailbox) -> bool:
        """Whether one more may be sent now."""
        return self._used(_key(address)) + 1 <= self.per_hour

    def take(self, address: Mailbox) -> bool:
        """The same; and if so, it is."""
        key = _key(address)
        used = self._used(key) + 1
        if used > self.per_hour:
            return False
        self._drawn[key] = (used, self._now())
        self._drawn.move_to_end(key)
        self._forget()
        return True

    def _used(self, key: str) -> float:
        used, since = self._drawn.get(key, (0.0, 0.0))
        return max(0.0, used - (self._now() - since) * self.per_hour / HOUR)

    def _forget(self) -> None:
        while self._drawn:
            _, since = next(iter(self._drawn.values()))
            if self._now() - since < HOUR and len(self._drawn) <= MOST_BUCKETS:
                return
            self._drawn.popitem(last=False)


def _key(address: Mailbox) -> str:
    return f"{address.key.partition('+')[0]}@{address.domain}"
