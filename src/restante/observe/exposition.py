"""/metrics as text, for Prometheus and OpenMetrics: all is made at the scrape, from numbers that were taken before.

The only module that needs prometheus_client; it is imported where somebody scrapes. render() blocks for milliseconds
and is for a thread: a Snapshot is all that it knows.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from restante.directory.entries import Directory, Held
from restante.model import DomainName, Waiting
from restante.observe.counts import Key
from restante.observe.families import GAUGES, HISTOGRAMS, PREFIX, TOTALS
from restante.observe.stopped import Stopped
from restante.spool.histogram import Histogram

MOST_DOMAINS = 20
"""So many held domains are told of by name: those with most items."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is told, as of one moment. Whatever is None is left out."""

    totals: Mapping[Key, float]
    histograms: Mapping[str, Histogram]
    now: float
    waiting: Mapping[DomainName, Waiting]
    directory: Directory
    claimed: int
    stopped: Stopped | None
    gauges: Mapping[str, float | None]
    """Those without labels."""
    labelled: Mapping[str, Mapping[str, float]]
    """Those with one label, by its value."""


def render(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """The text, and its media type: OpenMetrics where an Accept field knows that, else Prometheus' own."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Taken(snapshot))
    if openmetrics.CONTENT_TYPE_LATEST.partition(";")[0] in accept:
        text: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
        return text, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Taken(Collector):
    """A snapshot as families."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._taken = snapshot

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        taken = self._taken
        yield from self._totals()
        for name, histogram in taken.histograms.items():
            made = HistogramMetricFamily(PREFIX + name, HISTOGRAMS[name].help)
            made.add_metric((), list(_buckets(histogram)), histogram.total)
            yield made
        yield from self._spool()
        for name, number in taken.gauges.items():
            if number is not None:
                yield _gauge(name, {(): number})
        for name, by_label in taken.labelled.items():
            yield _gauge(name, {(value,): number for value, number in by_label.items()})
        yield from ProcessCollector(registry=None).collect()

    def _totals(self) -> Iterator[Metric]:
        made = {
            name: CounterMetricFamily(PREFIX + name, family.help, labels=family.labels)
            for name, family in TOTALS.items()
        }
        for (name, *labels), total in self._taken.totals.items():
            made[name].add_metric(labels, total)
        yield from made.values()

    def _spool(self) -> Iterator[Metric]:
        taken = self._taken
        total = _total(taken.waiting.values())
        items = {"waiting": total.items - taken.claimed, "claimed": taken.claimed}
        octets = {"waiting": total.octets}
        if taken.stopped is not None:
            items |= {str(state): number for state, number in taken.stopped.items.items()}
            octets["stopped"] = taken.stopped.octets
        yield _gauge("items", {(state,): number for state, number in items.items()})
        yield _gauge("bytes", {(state,): number for state, number in octets.items()})
        yield _gauge("domains", {(): len(taken.waiting)})
        yield _gauge("oldest_item_age_seconds", {(): _age(total.oldest, taken.now)})
        largest = _largest(taken)
        yield _gauge("domain_items", {(domain,): each.items for domain, each in largest})
        yield _gauge("domain_bytes", {(domain,): each.octets for domain, each in largest})
        ages: dict[tuple[str, ...], float] = {(domain,): _age(each.oldest, taken.now) for domain, each in largest}
        yield _gauge("domain_oldest_item_age_seconds", ages)


def _largest(taken: Snapshot) -> Collection[tuple[DomainName, Waiting]]:
    """The held domains with most items. What else waits leaves by itself, and is the world's names."""
    entry_for, least = taken.directory.entry_for, 0
    largest: list[tuple[int, DomainName]] = []
    for domain, each in taken.waiting.items():
        if each.items <= least or not isinstance(entry_for(domain), Held):
            continue
        if len(largest) < MOST_DOMAINS:
            heapq.heappush(largest, (each.items, domain))
        else:
            heapq.heapreplace(largest, (each.items, domain))
            least = largest[0][0]
    return [(domain, taken.waiting[domain]) for _, domain in sorted(largest, reverse=True)]


def _total(waiting: Iterable[Waiting]) -> Waiting:
    items = octets = 0
    oldest = float("inf")
    for each in waiting:  # one loop: there may be a hundred thousand
        items += each.items
        octets += each.octets
        if each.oldest is not None and each.oldest < oldest:
            oldest = each.oldest
    return Waiting(items, octets, oldest if items else None)


def _age(oldest: float | None, now: float) -> float:
    return 0.0 if oldest is None else max(0.0, now - oldest)


def _gauge(name: str, values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GAUGES[name]
    made = GaugeMetricFamily(PREFIX + name, family.help, labels=family.labels)
    for labels, number in values.items():
        made.add_metric(labels, number)
    return made


def _buckets(histogram: Histogram) -> Iterator[tuple[str, float]]:
    """Cumulative counts, as Prometheus has them."""
    total = 0
    for bound, count in zip((*map(_bound, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        total += count
        yield bound, total


def _bound(bound: float) -> str:
    return repr(float(bound))
