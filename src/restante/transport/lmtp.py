"""Hands items to a mail store by LMTP (RFC 2033): as over SMTP, but that content has a reply for each recipient.

A store knows users, and no aliases: StoreCarrier hands it each user once, as `user@domain` or, where that was written
to, `user+detail@domain`, and gives the outcomes back to the recipients that meant them. A connection that is cut
between two of the replies to one content leaves the whole item waiting: whoever had it by then gets it a second time.
"""

from __future__ import annotations

from pathlib import Path

from restante.model import LMTP_PREFIX, HostPort, ItemId
from restante.net.tls import IN_CLEAR, OPPORTUNISTIC
from restante.transport.expansion import Expansion, Readers
from restante.transport.outcome import Carrier, CarryEnd, Feed, ItemOutcome, Parcel, Report
from restante.transport.smtp import SmtpCarrier, SmtpMeans


class LmtpCarrier(SmtpCarrier):
    """One way to one mail store, by its port or its socket; nobody listens at a socket, so there it is clear."""

    def __init__(self, store: HostPort | Path, means: SmtpMeans) -> None:
        super().__init__(store, means, IN_CLEAR if isinstance(store, Path) else OPPORTUNISTIC, lmtp=True)

    @property
    def target(self) -> str:
        """As the configuration writes it."""
        return f"{LMTP_PREFIX}{super().target}"


class StoreCarrier:
    """Carries items to those who read them, by a carrier that knows no aliases."""

    def __init__(self, store: Carrier, readers: Readers) -> None:
        self._store = store
        self._readers = readers

    @property
    def target(self) -> str:
        """The store's."""
        return self._store.target

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """As the store's carrier does. An item that nobody reads any more is refused without asking it."""
        expanding = _ExpandingFeed(feed, report, self._readers)
        return await self._store.carry(expanding, expanding.report)


class _ExpandingFeed:
    """A feed whose parcels have users for recipients, and the way back for what became of them."""

    def __init__(self, feed: Feed, report: Report, readers: Readers) -> None:
        self._feed = feed
        self._report = report
        self._readers = readers
        self._lent: dict[ItemId, tuple[Parcel, Expansion]] = {}

    async def next(self) -> Parcel | None:
        """The next that somebody reads."""
        while (parcel := await self._feed.next()) is not None:
            expansion = Expansion(parcel.item, self._readers)
            if expansion.readers:
                self._lent[parcel.item.id] = parcel, expansion
                return Parcel(expansion.for_store(), parcel.content, parcel.on_its_way)
            self._report(expansion.outcome({}))
        return None

    def put_back(self, parcel: Parcel) -> None:
        """As it came; who reads it may be others by then."""
        self._feed.put_back(self._lent.pop(parcel.item.id)[0])

    def report(self, outcome: ItemOutcome) -> None:
        """The store's word about each user, as the feed's owner knows the item."""
        _, expansion = self._lent.pop(outcome.item.id)
        became = zip(expansion.readers, (result for _, result in outcome.outcomes), strict=True)
        self._report(expansion.outcome(dict(became)))
