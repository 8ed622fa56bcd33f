"""What the rates of releases and calls have in common, as JSON."""

from __future__ import annotations

from restante.web.common import Shape


class Point(Shape):
    """How much had gone by a time, in seconds since 1970, since the start."""

    at: float
    octets: int
    """Contents of more than 1 MiB as they leave, others when they are confirmed."""
    messages: int


class Rate(Shape):
    """Octets and messages a second, over so many seconds up to now."""

    octets: float
    messages: float
    seconds: float
