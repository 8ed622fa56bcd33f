"""Held mail out: how many messages a second leave an office that is told ETRN, into a sink on this machine.

Measured from the ETRN to the last message's end at the sink. Afterwards the office must hold nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bench import load
from bench.figures import Sample
from bench.servers import Office, release, running, wait_for
from bench.sink import Sink

GOALS = {("smtp-sink", 4096): 5.0, ("chunking", 4096): 5.0}


def measure(make: Callable[[int], Office], way: str, size: int, *, messages: int, connections: int) -> Sample:
    """One run into a sink of the kind `way`, of an office that `make` gives for a next hop. Raises BenchError."""
    with Sink(way) as sink, running(make(sink.port)) as office:
        load.send("kept", office.port, messages=messages, size=size, connections=connections)
        wait_for(office, messages)
        before, sink_before, began = office.cpu(), sink.cpu(), time.monotonic()
        release(office)
        ended = sink.wait(messages)
        wait_for(office, 0)
        return Sample(messages, ended - began, office.cpu() - before, sink.cpu() - sink_before, office.memory())
