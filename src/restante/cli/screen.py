"""How answers look: tables on a terminal that is wide enough, plain lines elsewhere.

Whatever a peer may have written is escaped before it is shown. Ids are never cut.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from restante.admin import protocol as p
from restante.admin.words import counted, moment, rate, size, span
from restante.model import CallView, ItemState, Progress, ReleaseView
from restante.observe.lines import escape

if TYPE_CHECKING:
    from restante.store.check import Report

RELEASES_SHOWN = 10
UNKNOWN = "?"
"""What stands for that which damage has made unknown."""
_BORDER = 3  # columns that rich puts between two of a table
_NO_QUOTAS: Mapping[str, p.QuotaUse] = {}


# lines, JSON, tables


def say(text: str = "") -> None:
    """A line on stdout."""
    sys.stdout.write(f"{escape(text)}\n")


def complain(text: str) -> None:
    """A line on stderr."""
    sys.stderr.write(f"{escape(text)}\n")


def write_json(value: object) -> None:
    """A value as JSON on stdout; an answer without its tag."""
    plain = msgspec.to_builtins(value)
    if isinstance(value, p.Answer):
        del plain["answer"]
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Rows under a heading; the columns named in `right` are flush right."""
    cells = [[escape(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    if not sys.stdout.isatty():
        _write_aligned(columns, cells, widths, right)
    elif sum(widths) + _BORDER * len(widths) <= shutil.get_terminal_size().columns:
        _show_rich(columns, cells, right)
    else:
        _write_stacked(columns, cells)


def _write_aligned(
    columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], right: Sequence[str]
) -> None:
    for row in (columns, *rows):
        padded = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        ]
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def _write_stacked(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """For a narrow terminal: a row on as many lines as it takes, numbers with their names."""
    width = shutil.get_terminal_size().columns
    for row in rows:
        line = ""
        for name, cell in zip(columns, row, strict=True):
            part = f"{name.lower()} {cell}" if cell.isdigit() else cell
            if line and len(line) + len(part) + 2 > width:
                sys.stdout.write(f"{line}\n")
                line = f"    {part}"
            elif part:
                line = f"{line}  {part}" if line else part
        sys.stdout.write(f"{line}\n")


def _show_rich(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    from rich import box  # noqa: PLC0415 - only on a terminal
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


# answers


def show_status(answer: p.StatusAnswer) -> None:
    """How a host is."""
    say(_headline(answer))
    if answer.domains:
        say()
        full = ("FULL",) if any(d.quota is not None for d in answer.domains) else ()
        show_table(
            ("DOMAIN", "ACTION", "NEXT HOP", "WAITING", "SIZE", "OLDEST", *full),
            [_domain_row(d, answer.now)[: 6 + len(full)] for d in answer.domains],
            right=("WAITING", "SIZE", "FULL"),
        )
    if answer.domains_left_out:
        say(f"and {answer.domains_left_out} more domains")
    if stopped := _stopped(answer):
        say()
        say(stopped)
    if answer.calls:
        say()
        show_table(("CALL", "OFFICE", "LAST", "NEXT", "HOW IT WENT"), map(_call_row, answer.calls))
    if answer.releases:
        say()
        show_table(
            ("RELEASE", "DOMAIN", "ASKED", "BY", "TARGET", "STATE", "DELIVERED", "DEFERRED", "FAILED", "SIZE", "WHY"),
            map(_release_row, answer.releases[:RELEASES_SHOWN]),
            right=("RELEASE", "DELIVERED", "DEFERRED", "FAILED", "SIZE"),
        )


def _headline(answer: p.StatusAnswer) -> str:
    name = f"{answer.hostname}, restante {answer.version}"
    if not answer.running or answer.started is None:
        return f"{name}: not running"
    doors = ", ".join(answer.listening) or "nothing"
    up = span(answer.now - answer.started)
    return f"{name}: running for {up}, listening on {doors}, {counted(answer.connections, 'connection')}"


def _stopped(answer: p.StatusAnswer) -> str:
    counts = ((answer.frozen, ItemState.FROZEN), (answer.quarantined, ItemState.QUARANTINED))
    return ", ".join(f"{counted(number, 'message')} {state}" for number, state in counts if number)


def _domain_row(status: p.DomainStatus, now: float) -> tuple[str, ...]:
    return (
        status.domain,
        status.action or "none",
        status.next_hop,
        str(status.items),
        _size(status),
        _oldest(status.oldest, now),
        full(status.quota),
    )


def full(quota: p.QuotaUse | None) -> str:
    """How much of a quota is used; nothing where there is none."""
    return "" if quota is None else f"{quota.percent} %"


def _size(status: p.DomainStatus) -> str:
    return size(status.octets) if status.items else ""


def _oldest(wall: float | None, now: float) -> str:
    return "" if wall is None else span(now - wall)


def _call_row(call: p.CallStatus) -> tuple[str, ...]:
    view = call.view
    if view.progress is Progress.RUNNING:
        went = f"{view.step}: {view.received} in, {view.sent} out"
    elif view.ended is None:
        went = ""
    else:
        went = view.error or f"{view.received} in, {view.sent} out"
    return (view.name, view.office, moment(view.started), moment(call.next_start), went)


def _release_row(view: ReleaseView) -> tuple[str, ...]:
    return (
        str(view.number),
        view.domain,
        moment(view.asked),
        view.requester,
        view.target,
        view.progress,
        str(view.delivered),
        str(view.deferred),
        str(view.failed),
        size(view.octets_sent),
        view.error,
    )


def show_queue(
    items: Sequence[p.QueueItem], now: float, quotas: Mapping[str, p.QuotaUse] = _NO_QUOTAS, *, is_cut: bool
) -> None:
    """The items that wait, and for each domain how many and how much."""
    if not items:
        say("nothing waits")
        return
    show_table(
        ("ID", "DOMAIN", "SIZE", "AGE", "PRIORITY", "STATE", "TRIES", "SENDER -> RECIPIENTS", "WHY IT WAITS"),
        [_queue_row(item, now) for item in items],
        right=("SIZE", "AGE", "PRIORITY", "TRIES"),
    )
    say()
    for line in summary(items, now, quotas):
        say(line)
    if is_cut:
        say(f"these are the first {len(items)}; there are more (--limit)")


def _queue_row(item: p.QueueItem, now: float) -> tuple[str, ...]:
    return (
        item.id,
        item.domain or UNKNOWN,
        size(item.size) if item.recipients else UNKNOWN,
        span(now - item.arrived),
        str(item.priority),
        item.state,
        str(item.attempts),
        f"{item.reverse_path} -> {_recipients(item)}" if item.recipients else UNKNOWN,
        item.detail,
    )


def _recipients(item: p.QueueItem) -> str:
    more = item.recipients_total - len(item.recipients)
    return ", ".join(item.recipients) + (f" and {more} more" if more > 0 else "")


def summary(items: Iterable[p.QueueItem], now: float, quotas: Mapping[str, p.QuotaUse] = _NO_QUOTAS) -> list[str]:
    """A line for each domain."""
    by_domain: dict[str, list[p.QueueItem]] = {}
    for item in items:
        by_domain.setdefault(item.domain, []).append(item)
    lines = []
    for domain, its in sorted(by_domain.items()):
        states = [(state, sum(item.state is state for item in its)) for state in ItemState]
        others = "".join(f", {count} {state}" for state, count in states if count and state is not ItemState.WAITING)
        oldest = span(now - min(item.arrived for item in its))
        octets = size(sum(item.size for item in its))
        used = f", {full(quotas[domain])} of its quota used" if domain in quotas else ""
        lines.append(f"{domain or UNKNOWN}: {counted(len(its), 'message')}, {octets}, oldest {oldest}{others}{used}")
    return lines


def show_message(answer: p.ShowAnswer) -> None:
    """A message's items, and its headers."""
    for shown in answer.items:
        item = shown.item
        pairs = [
            ("id", item.id),
            ("domain", item.domain),
            ("state", item.state),
            ("size", f"{item.size} octets" if item.recipients else ""),
            ("arrived", f"{moment(item.arrived)} ({span(answer.now - item.arrived)} ago)"),
            ("priority", str(item.priority)),
            ("tries", str(item.attempts)),
            ("next try", moment(item.next_attempt) if item.next_attempt > answer.now else ""),
            ("why it waits", item.detail),
            ("sender", item.reverse_path),
            *(("recipient", _recipient(recipient)) for recipient in shown.recipients),
            ("body", shown.body or ""),
            ("smtputf8", "yes" if shown.smtputf8 else ""),
            ("ret", shown.ret or ""),
            ("envid", shown.envid or ""),
            ("requiretls", "yes" if shown.requiretls else ""),
            ("deliver by", _deliver_by(shown)),
        ]
        for key, value in pairs:
            if value:
                say(f"{key + ':':14}{value}")
        say()
    if answer.damage:
        say(answer.damage)
    for line in answer.headers.splitlines():
        say(line.replace("\t", "    "))
    if answer.cut:
        say("(and more)")


def _deliver_by(shown: p.ShownItem) -> str:
    if shown.deliver_by is None:
        return ""
    return f"{moment(shown.deliver_by)}, then {'it goes back' if shown.comes_back else 'its sender is told'}"


def _recipient(recipient: p.ShownRecipient) -> str:
    notify = f" NOTIFY={','.join(recipient.notify)}" if recipient.notify is not None else ""
    return f"<{recipient.mailbox}>{notify}" + (f" ORCPT={recipient.orcpt}" if recipient.orcpt else "")


def show_change(answer: p.ChangeAnswer, done: str) -> None:
    """What was changed, on stdout; what was not, on stderr."""
    for identifier in answer.changed:
        say(f"{identifier}: {done}")
    for identifier in answer.already:
        say(f"{identifier}: {done} already")
    for unchanged in answer.unchanged:
        complain(f"{unchanged.id} {unchanged.reason}")
    for identifier in answer.unknown:
        complain(f"{identifier}: no such message or item")
    if not (answer.changed or answer.already or answer.unchanged or answer.unknown):
        say("nothing waits")


# damage


def show_damage(report: Report) -> None:
    """What was found in a store, a line each, and what was done about it."""
    for problem in report.problems:
        say(f"{problem.kind} {problem.name}: {problem.text}" + (f": {problem.repair}" if problem.repair else ""))
    looked = f"{counted(report.messages, 'message')}, {counted(report.items, 'item')}, {size(report.octets)}"
    found = counted(len(report.problems), "problem") if report.problems else "no damage"
    set_aside = f", {counted(report.quarantined, 'item')} quarantined" if report.quarantined else ""
    say(f"{report.folder}: {looked}: {found}{set_aside}")
    if any(not problem.repair for problem in report.problems):
        say("restante fsck --repair quarantines what is damaged, and puts right all else")


# releases and calls


def release_line(view: ReleaseView, now: float) -> str:
    """A release in one line, as far as it is."""
    name = f"release {view.number} of {view.domain}" + (f" to {view.target}" if view.target else "")
    if view.progress is Progress.QUEUED or view.started is None:
        return f"{name}: {view.progress}, {counted(view.items, 'message')} waiting"
    if view.progress is Progress.ENDED and not view.items and not view.error:
        return f"{name}: nothing waits"
    seconds = (view.ended or now) - view.started
    done = f"{view.delivered} of {view.items} delivered"
    others = "".join(
        f", {count} {word}" for count, word in ((view.deferred, "deferred"), (view.failed, "failed")) if count
    )
    return f"{name}: {done}{others}, {size(view.octets_sent)}, {rate(view.octets_sent, seconds)}, {span(seconds)}"


def call_line(view: CallView, now: float) -> str:
    """A call in one line, as far as it is."""
    expected = f" of {view.expected}" if view.expected is not None else ""
    ways = (
        f"{view.received}{expected} received ({size(view.received_octets)}), "
        f"{view.sent} sent ({size(view.sent_octets)})"
    )
    seconds = (view.ended or now) - (view.started or now)
    if view.progress is Progress.ENDED:
        return f"call {view.name} to {view.office}: {ways}, {span(seconds)}"
    left = f", {span(view.window_ends - now)} left" if view.window_ends is not None else ""
    return f"call {view.name} to {view.office}: {view.step or view.progress}: {ways}, {span(seconds)}{left}"
