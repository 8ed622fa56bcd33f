"""A failure DSN (RFC 3464) for what a next hop has refused, as a message to be spooled with the refusal's record.

None is made for the null reverse-path, for NOTIFY without FAILURE (RFC 3461 §5.2.2), or where there is no way to the
sender. Damaged content is reported without its header.
"""

from __future__ import annotations

from restante.message import dsn
from restante.model import Envelope, Item, Recipient
from restante.release.feed import let_go
from restante.release.settling import Sorted
from restante.spool.spool import Arrival, ContentDamage, Spool


def wanted_by(results: Sorted) -> list[tuple[Recipient, str, str]]:
    """The refused recipients whose sender wants to know: each with an enhanced status code and a reply."""
    envelope = results.item.envelope
    return [
        (recipient, refused.status, refused.reply)
        for recipient, refused in results.refused
        if dsn.wants_failure_report(envelope, recipient)
    ]


async def failure_report(spool: Spool, results: Sorted, *, hostname: str, remote: str, now: float) -> Arrival:
    """The report for those whom wanted_by() names: at least one. Raises SpoolBroken."""
    item = results.item
    sender = item.envelope.reverse_path
    assert sender is not None, "nobody reports to the null reverse-path"
    message = spool.new_id()
    report = dsn.failure_report(
        hostname=hostname,
        message=message,
        item=item,
        failures=wanted_by(results),
        remote=remote,
        original=await _beginning(spool, item),
        now=now,
    )
    envelope = Envelope(None, (Recipient(sender),))
    return Arrival(message, report, len(report), [(sender.domain, envelope)], now)


async def _beginning(spool: Spool, item: Item) -> bytes:
    """The content, or its first piece, which has the header section."""
    try:
        content = await spool.content(item)
    except ContentDamage:
        return b""
    if isinstance(content, bytes):
        return content
    try:
        return await anext(aiter(content), b"")
    finally:
        await let_go(content)
