"""One fact, many readers: rooms announce what happened, and whoever has subscribed is told, in that order, at once.

announce() stands in the path of every message, so it does nothing but call. A listener must not block; one that
raises is reported to the event loop and hurts neither the other listeners nor who announced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from restante.facts import Fact

Listener = Callable[[Fact], None]
Unsubscribe = Callable[[], None]


class FactFeed:
    """The facts of one process. Used from one thread, that of the event loop."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()  # replaced whole, so that it may change while it is gone through
        self._subscriptions: dict[object, Listener] = {}

    def announce(self, fact: Fact) -> None:
        """Tells every listener. Never raises."""
        for listener in self._listeners:
            try:
                listener(fact)
            except Exception as error:  # noqa: BLE001 - whoever announces has other things to do
                _report(listener, error)

    def subscribe(self, listener: Listener) -> Unsubscribe:
        """Has a function called with every fact from now on, until what this returned is called."""
        key = object()
        self._subscriptions[key] = listener
        self._listeners = tuple(self._subscriptions.values())

        def unsubscribe() -> None:
            self._subscriptions.pop(key, None)
            self._listeners = tuple(self._subscriptions.values())

        return unsubscribe


def _report(listener: Listener, error: Exception) -> None:
    message = f"a listener failed: {getattr(listener, '__qualname__', listener)}"
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        logging.getLogger(__name__).error(message, exc_info=error)  # noqa: TRY400 - the exception handled here is not that one
    else:
        loop.call_exception_handler({"message": message, "exception": error})
