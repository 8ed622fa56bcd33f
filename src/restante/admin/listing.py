"""Domains and items as the command line sees them, and the header section of a message, as far as it is shown."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping

from restante.admin.protocol import DomainStatus, QueueItem, QuotaUse, ShownItem, ShownRecipient
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
MAX_DOMAINS = 1_000_000
"""Domains in one listing, those with mail before the others; 130 octets each."""
DOMAINS_A_TURN = 5000
_ACTIONS: dict[type, str] = {Held: "hold", Relayed: "relay", Delivered: "deliver", Rejected: "reject"}
_NOTHING = Waiting()


async def domain_rows(
    directory: Directory, waiting: Mapping[DomainName, Waiting], stopped: Mapping[DomainName, Waiting]
) -> tuple[tuple[DomainStatus, ...], int]:
    """What waits for each domain, and how many did not fit. The loop turns meanwhile."""
    without_mail = [e.name for e in directory.entries() if e.name not in waiting and e.name != EVERY_OTHER]
    every_other = (EVERY_OTHER,) if directory.entry(EVERY_OTHER) is not None else ()
    names = itertools.chain(sorted(waiting), without_mail, every_other)
    wanted = itertools.islice(names, MAX_DOMAINS)
    rows: list[DomainStatus] = []
    row_of = _rows(directory, waiting, stopped)
    while portion := list(itertools.islice(wanted, DOMAINS_A_TURN)):
        rows += [row_of(DomainName(name)) for name in portion]
        await asyncio.sleep(0)
    return tuple(rows), sum(1 for _ in names)


def domain_row(
    directory: Directory,
    name: DomainName,
    waiting: Mapping[DomainName, Waiting],
    stopped: Mapping[DomainName, Waiting],
) -> DomainStatus:
    """What is done with a domain's mail, and what waits for it."""
    return _rows(directory, waiting, stopped)(name)


def _rows(
    directory: Directory, waiting: Mapping[DomainName, Waiting], stopped: Mapping[DomainName, Waiting]
) -> Callable[[DomainName], DomainStatus]:
    """Makes rows: for very many domains, whose entries share a few next hops, each of which is written once."""
    written: dict[int, str] = {}  # by the identity of a next hop

    def row_of(name: DomainName) -> DomainStatus:
        entry, its = directory.entry_for(name), waiting.get(name, _NOTHING)
        if entry is None:
            return DomainStatus(name, "", "", its.items, its.octets, its.oldest)
        action = _ACTIONS[type(entry)]
        if not isinstance(entry, (Held, Relayed)):
            return DomainStatus(name, action, "", its.items, its.octets, its.oldest)
        hop = entry.next_hop
        if (next_hop := written.get(id(hop))) is None:
            next_hop = written[id(hop)] = str(hop)
        quota = _quota(entry)
        use = None if quota is None else _use(quota, its, stopped.get(name, _NOTHING))
        return DomainStatus(name, action, next_hop, its.items, its.octets, its.oldest, use)

    return row_of


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
