"""Notices (RFC 3464) to the senders of what a release has settled, or of what waits: as messages to be spooled with it.

None is made for the null reverse-path, where NOTIFY does not ask for it (RFC 3461 §5.2), or where there is no way to
the sender; and not more than his allowance. Damaged content is reported without its header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from restante.message import dsn
from restante.message.causes import About, Times, wants
from restante.model import DomainName, Envelope, Item, Recipient
from restante.release.allowance import Allowance
from restante.release.feed import let_go
from restante.spool.spool import Arrival, ContentDamage, Spool


class Reports:
    """Who is told, whether he may be, and the notice. `can_route`: whether mail for a domain can leave."""

    def __init__(
        self, spool: Spool, *, hostname: str, allowance: Allowance, can_route: Callable[[DomainName], bool]
    ) -> None:
        self._spool = spool
        self._hostname = hostname
        self._allowance = allowance
        self._can_route = can_route

    def wanted(self, item: Item, about: Iterable[About]) -> list[About]:
        """Of what the sender of an item is told, if anything."""
        sender = item.envelope.reverse_path
        if sender is None or not self._can_route(sender.domain):
            return []
        return [each for each in about if wants(item.envelope, each.recipient, each.cause)]

    def may_be_told(self, item: Item) -> bool:
        """Whether the sender may get one more notice now."""
        sender = item.envelope.reverse_path
        return sender is not None and self._allowance.allows(sender)

    def tell(self, item: Item) -> bool:
        """The same; and if so, he gets it."""
        sender = item.envelope.reverse_path
        return sender is not None and self._allowance.take(sender)

    async def notice(self, item: Item, about: Sequence[About], times: Times, *, remote: str = "") -> Arrival:
        """The notice about what wanted() gave: at least one recipient. Raises SpoolBroken."""
        sender = item.envelope.reverse_path
        assert sender is not None, "nobody reports to the null reverse-path"
        message = self._spool.new_id()
        content = dsn.notice(
            hostname=self._hostname,
            message=message,
            item=item,
            about=about,
            remote=remote,
            original=await self._beginning(item),
            times=times,
        )
        envelope = Envelope(None, (Recipient(sender),), requiretls=item.envelope.requiretls)
        # RFC 6710 §5.1, RFC 8689 §5: it has the message's own priority, and its need of TLS
        return Arrival(message, content, len(content), [(sender.domain, envelope)], times.now, item.priority)

    async def _beginning(self, item: Item) -> bytes:
        """The content, or its first piece, which has the header section."""
        try:
            content = await self._spool.content(item)
        except ContentDamage:
            return b""
        if isinstance(content, bytes):
            return content
        try:
            return await anext(aiter(content), b"")
        finally:
            await let_go(content)
