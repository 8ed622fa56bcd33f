"""Requests that come again because their answer was lost: known by a key that the client has made (Idempotency-Key).

In memory, for a day: after a restart a repeat is a new request, which starts or joins a release and harms nobody.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from restante.clock import Clock
from restante.web.problems import Problem

KEPT_SECONDS = 86_400.0
MOST_KEPT = 10_000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Done(Generic[Result]):
    what: str
    result: Result
    until: float


class Repeats(Generic[Result]):
    """What was done for whom, by key; the oldest give way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._done: OrderedDict[Hashable, _Done[Result]] = OrderedDict()

    def find(self, key: Hashable, what: str) -> Result | None:
        """What it came to when the same was asked. Raises Problem where the key was used for something else."""
        done = self._done.get(key)
        if done is None or self._clock.monotonic() >= done.until:
            return None
        if done.what != what:
            raise Problem(422, "this Idempotency-Key was used for another request")
        return done.result

    def keep(self, key: Hashable, what: str, result: Result) -> None:
        """Remembers it, from its first time on."""
        if self.find(key, what) is not None:
            return
        self._done.pop(key, None)
        self._done[key] = _Done(what, result, self._clock.monotonic() + KEPT_SECONDS)
        while len(self._done) > MOST_KEPT:
            self._done.popitem(last=False)
