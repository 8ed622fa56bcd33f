"""Domains and items as the command line sees them, and the header section of a message, as far as it is shown."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from restante.admin.protocol import QueueItem, QuotaUse, Rows, ShownItem, ShownRecipient
from restante.directory.entries import (
    EVERY_OTHER,
    NO_QUOTA,
    Delivered,
    Directory,
    Entry,
    Held,
    Quota,
    Rejected,
    Relayed,
)
from restante.model import DomainName, Item, Waiting, write_item_id
from restante.smtp.address import write_path
from restante.spool.spool import Spool

RECIPIENTS_LISTED = 5
HEADERS_LIMIT = 16 * 1024
_ACTIONS: dict[type, str] = {Held: "hold", Relayed: "relay", Delivered: "deliver", Rejected: "reject"}
_NOTHING = Waiting()


def domains_listed(directory: Directory, waiting: Mapping[DomainName, Waiting]) -> list[DomainName]:
    """All domains: those with mail in order of names, then the others, then `*`, where it is there."""
    every_other = (EVERY_OTHER,) if directory.entry(EVERY_OTHER) is not None else ()
    without_mail = (name for name in directory.names() if name not in waiting and name != EVERY_OTHER)
    return [*sorted(waiting), *map(DomainName, itertools.chain(without_mail, every_other))]


def rows_of(
    names: Sequence[DomainName],
    directory: Directory,
    waiting: Mapping[DomainName, Waiting],
    stopped: Mapping[DomainName, Waiting],
) -> Rows:
    """What is done with each domain's mail, and what waits for it."""
    its = tuple(waiting.get(name, _NOTHING) for name in names)
    said: list[tuple[str, str, int]] = []
    quotas: dict[str, QuotaUse] = {}
    start = 0
    for _, group in itertools.groupby(directory.entries_for(names), _what_is_said):
        entry, *others = group
        end = start + 1 + len(others)
        said.append((*_said(entry), end - start))
        if (quota := _quota(entry)) is not None:
            for name, waits in zip(names[start:end], its[start:end], strict=True):
                quotas[name] = _use(quota, waits, stopped.get(name, _NOTHING))
        start = end
    return Rows(tuple(names), its, tuple(said), quotas)


def _what_is_said(entry: Entry | None) -> object:
    """The same for entries of which a row says the same: very many share a few next hops, the same objects."""
    if isinstance(entry, Held):
        return id(entry.next_hop), id(entry.quota)
    return (Relayed, id(entry.next_hop)) if isinstance(entry, Relayed) else type(entry)


def _said(entry: Entry | None) -> tuple[str, str]:
    """What a row says of an entry: its action and its next hop."""
    action = "" if entry is None else _ACTIONS[type(entry)]
    return action, str(entry.next_hop) if isinstance(entry, (Held, Relayed)) else ""


def quota_use(
    directory: Directory, name: DomainName, waiting: Waiting, stopped: Mapping[DomainName, Waiting]
) -> QuotaUse | None:
    """How full a domain is, where it has a quota; that of `*` is for each of its domains."""
    quota = quota_of(directory, name)
    return None if quota is None else _use(quota, waiting, stopped.get(name, _NOTHING))


def _use(quota: Quota, waiting: Waiting, kept: Waiting) -> QuotaUse:
    return QuotaUse(waiting.items + kept.items, waiting.octets + kept.octets, quota.items, quota.octets)


def quota_of(directory: Directory, name: DomainName) -> Quota | None:
    """The quota of a domain; None where it has none."""
    return _quota(directory.entry_for(name))


def _quota(entry: Entry | None) -> Quota | None:
    return entry.quota if isinstance(entry, Held) and entry.quota != NO_QUOTA else None


def queue_item(item: Item) -> QueueItem:
    """One line of a listing."""
    recipients = item.envelope.recipients
    return QueueItem(
        id=write_item_id(item.id),
        domain=item.domain,
        state=item.state,
        size=item.size,
        arrived=item.arrived,
        priority=item.priority,
        attempts=item.attempts,
        next_attempt=item.next_attempt,
        reverse_path=write_path(item.envelope.reverse_path) if item.is_known else "",
        recipients=tuple(str(recipient.mailbox) for recipient in recipients[:RECIPIENTS_LISTED]),
        recipients_total=len(recipients),
        detail=item.detail,
    )


def shown_item(item: Item) -> ShownItem:
    """All of an item's envelope."""
    envelope = item.envelope
    recipients = tuple(
        ShownRecipient(str(r.mailbox), tuple(map(str, r.notify)) if r.notify is not None else None, r.orcpt)
        for r in envelope.recipients
    )
    return ShownItem(
        item=queue_item(item),
        recipients=recipients,
        body=str(envelope.body) if envelope.body is not None else None,
        smtputf8=envelope.smtputf8,
        ret=str(envelope.ret) if envelope.ret is not None else None,
        envid=envelope.envid,
        requiretls=envelope.requiretls,
        deliver_by=None if envelope.deliver_by is None else envelope.deliver_by.at,
        comes_back=envelope.deliver_by is not None and envelope.deliver_by.is_final,
    )


async def header_section(spool: Spool, item: Item) -> tuple[bytes, bool]:
    """The header section of an item's content, and whether it was cut at HEADERS_LIMIT. Raises ContentDamage."""
    content = await spool.content(item)
    if isinstance(content, bytes):
        start = content[: HEADERS_LIMIT + 4]
    else:
        start = b""
        async for piece in content:
            start += piece
            if len(start) > HEADERS_LIMIT:
                break
        if (close := getattr(content, "aclose", None)) is not None:
            await close()
    end = start.find(b"\r\n\r\n", 0, HEADERS_LIMIT + 4)
    headers = start if end < 0 else start[: end + 2]
    return headers[:HEADERS_LIMIT], len(headers) > HEADERS_LIMIT
