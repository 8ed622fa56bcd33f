"""Items as the command line sees them, and the header section of a message, read no further than it is shown."""

from __future__ import annotations

from restante.admin.protocol import QueueItem, ShownItem, ShownRecipient
from restante.model import Item, write_item_id
from restante.smtp.address import write_path
from restante.spool.spool import Spool

RECIPIENTS_LISTED = 5
HEADERS_LIMIT = 16 * 1024


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
