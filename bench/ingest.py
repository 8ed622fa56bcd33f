"""Held mail in: how many messages a second an office takes and has on disk, over 20 connections.

Measured from the first connection to the last acknowledgement. Afterwards the office must hold just so many messages.
"""

from __future__ import annotations

from collections.abc import Callable

from bench import load
from bench.figures import Sample
from bench.machine import free_port
from bench.servers import Office, running, wait_for

GOALS = {
    ("kept", 4096): 8.0,
    ("pipelined", 4096): 8.0,
    ("new", 4096): 4.0,
    ("kept", 200 * 1024): 2.0,
    ("kept", 5 * 1024 * 1024): 1.0,
}
MESSAGES = {4096: 10_000, 200 * 1024: 1_000, 5 * 1024 * 1024: 100}


def messages_of(size: int) -> int:
    """How many messages of a size make a run of a few seconds."""
    return MESSAGES.get(size) or max(50, min(10_000, 200 * 1024 * 1024 // size))


def measure(make: Callable[[int], Office], way: str, size: int, *, messages: int, connections: int) -> Sample:
    """One run, of an office that `make` gives for a next hop (nobody is there). Raises BenchError."""
    with running(make(free_port())) as office:
        before = office.cpu()
        sent = load.send(way, office.port, messages=messages, size=size, connections=connections)
        wait_for(office, messages)
        return Sample(messages, sent.seconds, office.cpu() - before, sent.cpu, office.memory())
