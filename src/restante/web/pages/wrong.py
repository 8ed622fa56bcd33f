"""What is wrong, for the start page: of values, what to tell a tired person, the worst first. Pure.

findings() gives no more than MOST_OF_A_KIND of each kind, and how many there are besides: a hundred thousand sites that
were missed are one cause, and one screen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from restante.admin.fullness import Full
from restante.admin.protocol import CallStatus, QuotaUse
from restante.admin.words import counted, size, span
from restante.facts import AlarmKind
from restante.model import CallView, Progress, ReleaseView
from restante.observe.alarms import Alarm

MOST_OF_A_KIND = 5
FULL_PERCENT = 100

_HOST: Mapping[AlarmKind, tuple[str, str]] = {
    AlarmKind.BROKEN: (
        "No mail is taken",
        "Look into the log, put the disk right, and restart restante. What was acknowledged is on the disk.",
    ),
    AlarmKind.DISK: (
        "The disk is nearly full",
        "Make room on it. While it is full, mail is refused.",
    ),
    AlarmKind.CERTIFICATE: ("The certificate runs out", "Renew it. The new one is in force without a restart."),
}
"""Of alarms about this host: what they mean, and what to do."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where more is told, or something can be done."""

    text: str
    path: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: `what`, in a few words; `why`, which may be a peer's words; what to do about it.

    `is_grave`: mail is refused, or may be damaged.
    """

    what: str
    why: str = ""
    advice: str = ""
    links: tuple[Link, ...] = ()
    is_grave: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found by who looks, of what he may see. `now` and the times of alarms are wall times.

    `not_ready`: why no mail is taken. `quarantined` items are at least so many where `are_more_quarantined`. `releases`
    are all that are known, the newest first.
    """

    now: float
    not_ready: str = ""
    alarms: Sequence[Alarm] = ()
    full: Sequence[Full] = ()
    frozen: int = 0
    quarantined: int = 0
    are_more_quarantined: bool = False
    calls: Sequence[CallStatus] = ()
    releases: Sequence[ReleaseView] = ()


def visible(alarms: Iterable[Alarm], within: Collection[str] | None) -> list[Alarm]:
    """Of alarms those for who sees these domains, or all: whether a site is there is of its domain, all else of us."""
    if within is None:
        return list(alarms)
    return [alarm for alarm in alarms if alarm.kind is AlarmKind.CONTACT and alarm.subject in within]


def findings(looked: Looked) -> tuple[Finding, ...]:
    """All that is wrong, the grave before the rest."""
    found = [
        *_of_this_host(looked),
        *_stopped(looked),
        *_full(looked.full),
        *_missed(looked),
        *_calls(looked),
        *_releases(looked),
    ]
    return tuple(sorted(found, key=lambda finding: not finding.is_grave))


def _of_this_host(looked: Looked) -> Iterable[Finding]:
    kinds = {alarm.kind for alarm in looked.alarms}
    if looked.not_ready and AlarmKind.BROKEN not in kinds:
        yield Finding("No mail is taken", looked.not_ready, is_grave=True)
    for alarm in looked.alarms:
        if alarm.kind in _HOST:
            what, advice = _HOST[alarm.kind]
            yield Finding(what, _since(alarm, looked.now), advice, is_grave=alarm.kind is not AlarmKind.CERTIFICATE)


def _since(alarm: Alarm, now: float) -> str:
    return f"{alarm.text} (for {span(now - alarm.since)})"


def _stopped(looked: Looked) -> Iterable[Finding]:
    if looked.quarantined:
        at_least = "at least " if looked.are_more_quarantined else ""
        yield Finding(
            f"{at_least}{counted(looked.quarantined, 'message')} damaged".capitalize(),
            "their records or contents are not what was stored; they are set aside, and never sent",
            "Look whether the disk is sound. Remove what cannot be used.",
            (Link("Show them", "/items?state=quarantined"),),
            is_grave=True,
        )
    if looked.frozen:
        links = (Link("Show them", "/items?state=frozen"),)
        yield Finding(f"{counted(looked.frozen, 'message')} frozen", "not released until thawed", links=links)


def _full(full: Sequence[Full]) -> Iterable[Finding]:
    for domain, use in full[:MOST_OF_A_KIND]:
        is_full = use.percent >= FULL_PERCENT
        yield Finding(
            f"{domain} is full" if is_full else f"{domain} is {use.percent} % full",
            f"{_use(use)}{'; new mail is refused for now' if is_full else ''}",
            "Release it, or give it a larger quota.",
            (_to_domain(domain),),
            is_grave=is_full,
        )
    if len(full) > MOST_OF_A_KIND:
        yield Finding(f"{counted(len(full) - MOST_OF_A_KIND, 'more domain')} nearly full")


def _use(use: QuotaUse) -> str:
    parts = [f"{use.items:,} of {counted(use.most_items, 'message')}"] if use.most_items is not None else []
    parts += [f"{size(use.octets)} of {size(use.most_octets)}"] if use.most_octets is not None else []
    return ", ".join(parts)


def _missed(looked: Looked) -> Iterable[Finding]:
    missed = [alarm for alarm in looked.alarms if alarm.kind is AlarmKind.CONTACT]
    for alarm in missed[:MOST_OF_A_KIND]:
        yield Finding(
            f"The site of {alarm.subject} has not come",
            f"missed for {span(looked.now - alarm.since)}",
            "Look whether its link is up, and its server runs.",
            (_to_domain(alarm.subject),),
        )
    if len(missed) > MOST_OF_A_KIND:
        more = counted(len(missed) - MOST_OF_A_KIND, "more site")
        yield Finding(f"{more} expected in vain", links=(Link("Time line", "/timeline"),))


def _calls(looked: Looked) -> Iterable[Finding]:
    failed = [status.view for status in looked.calls if status.view.progress is Progress.ENDED and status.view.error]
    for view in failed[:MOST_OF_A_KIND]:
        path = f"/calls/{quote(view.name, safe='')}"
        yield Finding(
            f"The call {view.name} went wrong{_ago(view, looked.now)}", view.error, links=(Link("Show the call", path),)
        )
    if len(failed) > MOST_OF_A_KIND:
        more = counted(len(failed) - MOST_OF_A_KIND, "more call")
        yield Finding(f"{more} went wrong", links=(Link("Show them", "/calls"),))


def _releases(looked: Looked) -> Iterable[Finding]:
    failed = last_failed(looked.releases)
    for view in failed[:MOST_OF_A_KIND]:
        yield Finding(
            f"The last release of {view.domain} went wrong{_ago(view, looked.now)}",
            view.error,
            "What was not confirmed waits as it was.",
            (Link("Show the release", f"/releases/{view.number}"),),
        )
    if len(failed) > MOST_OF_A_KIND:
        more = counted(len(failed) - MOST_OF_A_KIND, "more domain")
        yield Finding(f"The last releases of {more} went wrong", links=(Link("Show them", "/releases?wrong=last"),))


def last_failed(releases: Iterable[ReleaseView]) -> list[ReleaseView]:
    """Of releases, the newest first, those that ended with an error and were the last of their destinations."""
    seen: set[str] = set()
    failed: list[ReleaseView] = []
    for view in releases:
        if view.domain not in seen and view.progress is Progress.ENDED and view.error:
            failed.append(view)
        seen.add(view.domain)
    return failed


def _ago(view: CallView | ReleaseView, now: float) -> str:
    return "" if view.ended is None else f" {span(now - view.ended)} ago"


def _to_domain(domain: str) -> Link:
    return Link("Show the domain", f"/domains/{quote(domain, safe='')}")
