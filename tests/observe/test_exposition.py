"""/metrics as text that Prometheus reads."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain
from tests.observe.test_log import LINES
from tests.work import Calls

from restante.directory.entries import Directory, Held, Relayed
from restante.facts import AlarmKind
from restante.model import ByMx, DomainName, HostPort, ItemState, Waiting
from restante.observe.counts import Counts
from restante.observe.exposition import MOST_DOMAINS, Snapshot, render
from restante.observe.families import GAUGES, HISTOGRAMS, PREFIX, TOTALS
from restante.observe.stopped import Stopped
from restante.spool.histogram import Histogram

NOW = 2000.0
HERE, THERE = DomainName("here.example"), DomainName("there.example")
HOP = HostPort("192.0.2.25")


def snapshot(waiting: Mapping[DomainName, Waiting] | None = None, *names: str) -> Snapshot:
    """An office; `names` are held, and all others go by MX."""
    counts = Counts(lambda: NOW)
    for fact, _ in LINES:
        counts.heard(fact)
    commits = Histogram((0.5, 1.0))
    for seconds in (0.25, 0.5, 0.75, 9.0):
        commits.add(seconds)
    alone = [name for name, family in GAUGES.items() if not family.labels]
    taken = ("domains", "oldest_item_age_seconds")
    return Snapshot(
        totals=counts.totals(),
        histograms={
            "commit_seconds": commits,
            "release_seconds": counts.release_seconds,
            "release_rate_bytes_per_second": counts.release_rate,
            "filter_seconds": counts.filter_seconds,
        },
        now=NOW,
        waiting=waiting or {},
        directory=Directory("office.example", [*(Held(name, HOP) for name in names), Relayed("*", ByMx())]),
        claimed=1,
        stopped=Stopped({ItemState.FROZEN: 2, ItemState.QUARANTINED: 3}, 500),
        gauges=dict.fromkeys([name for name in alone if name not in taken], 1.0),
        labelled={
            "releases": {"running": 2, "queued": 5},
            "call_last_end_timestamp_seconds": {"complete": 1000.0},
            "alarms": dict.fromkeys(map(str, AlarmKind), 0),
            "build_info": {"1": 1},
        },
    )


def told(taken: Snapshot) -> dict[str, dict[tuple[str, ...], float]]:
    """Each sample by its name and the values of its labels, as both formats have it."""
    found: list[dict[str, dict[tuple[str, ...], float]]] = []
    for accept, parse in (("application/openmetrics-text;version=1.0.0", parse_openmetrics), ("", parse_plain)):
        samples: dict[str, dict[tuple[str, ...], float]] = {}
        text, media_type = render(taken, accept)
        assert media_type.startswith(accept.partition(";")[0] or "text/plain")
        for family in parse(text.decode()):
            for sample in family.samples:
                if not sample.name.startswith("process_"):
                    samples.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
        found.append(samples)
    assert found[0] == found[1]
    return found[0]


def test_every_family_is_there_and_no_other() -> None:
    """In both formats, which parsers of their own read."""
    waiting = {HERE: Waiting(2, 100, NOW - 60)}
    names = {name.removeprefix(PREFIX) for name in told(snapshot(waiting, HERE))}
    of_histograms = {f"{name}_{end}" for name in HISTOGRAMS for end in ("bucket", "count", "sum")}
    assert names == {f"{name}_total" for name in TOTALS} | set(GAUGES) | of_histograms


def test_what_is_in_the_spool() -> None:
    """By state; what is claimed is not waiting, and still in the octets of what waits."""
    found = told(snapshot({HERE: Waiting(2, 100, NOW - 60), THERE: Waiting(3, 900, NOW - 5)}, HERE))
    assert found["restante_items"] == {("waiting",): 4, ("claimed",): 1, ("frozen",): 2, ("quarantined",): 3}
    assert found["restante_bytes"] == {("waiting",): 1000, ("stopped",): 500}
    assert found["restante_domains"] == {(): 2}
    assert found["restante_oldest_item_age_seconds"] == {(): 60}


def test_only_held_domains_are_told_by_name() -> None:
    """What else waits are the names of the world."""
    found = told(snapshot({HERE: Waiting(2, 100, NOW - 60), THERE: Waiting(3, 900, NOW - 5)}, HERE))
    assert found["restante_domain_items"] == {(HERE,): 2}
    assert found["restante_domain_bytes"] == {(HERE,): 100}
    assert found["restante_domain_oldest_item_age_seconds"] == {(HERE,): 60}


def test_an_empty_spool_has_an_age_too() -> None:
    """An alert on it would else say nothing, or too much."""
    assert told(snapshot())["restante_oldest_item_age_seconds"] == {(): 0}


def test_what_cannot_be_known_is_left_out() -> None:
    """A broken spool cannot be asked what is frozen."""
    found = told(replace(snapshot(), stopped=None, gauges={"spool_free_inodes": None, "ready": 0.0}))
    assert set(found["restante_items"]) == {("waiting",), ("claimed",)}
    assert "restante_spool_free_inodes" not in found
    assert found["restante_ready"] == {(): 0}


def test_histograms_are_cumulative() -> None:
    """As Prometheus wants them."""
    found = told(snapshot())
    assert found["restante_commit_seconds_bucket"] == {("0.5",): 2, ("1.0",): 3, ("+Inf",): 4}
    assert found["restante_commit_seconds_count"] == {(): 4}
    assert found["restante_commit_seconds_sum"] == {(): 10.5}


def test_a_hundred_thousand_domains_are_told_of_in_no_time_and_few_lines() -> None:
    """Five calls of functions for each, 13 ms of one core in all; those with most items are named."""
    names = [DomainName(f"d{number}.example") for number in range(100_000)]
    waiting = {name: Waiting(number + 1, 100, NOW - number) for number, name in enumerate(names)}
    mixed = list(waiting.items())
    random.Random(1).shuffle(mixed)
    waiting = dict(mixed)
    taken = snapshot(waiting, *names)
    with Calls() as calls:
        text, _ = render(taken, "")
    assert calls.number < 8 * len(names)
    assert text.count(b"\n") < 600
    found = told(taken)
    assert sum(found["restante_items"].values()) == sum(range(100_001)) + 5
    assert set(found["restante_domain_items"]) == {(name,) for name in names[-MOST_DOMAINS:]}


def test_an_odd_accept_field_gets_text() -> None:
    """Whatever a client makes up."""
    for accept in ("\0", "text/plain;version=x", "application/openmetrics-text;version=zzz", "*/*"):
        assert render(snapshot(), accept)[0]
