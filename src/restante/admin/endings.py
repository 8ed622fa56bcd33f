"""What an operator does with items besides stopping them: sends them back, or elsewhere. Items on their way are left.

Each item is one commit's: its notice is accepted as it goes, or it waits for others as it stops waiting for those it
waited for. The senders of what is sent back get as many notices as there are items, for a person has decided that.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from restante.clock import Clock
from restante.directory.entries import Directory
from restante.directory.routing import Destination, DomainRejected, Refusal, RelayDenied, UnknownUser, route
from restante.errors import RestanteError
from restante.facts import Announce, ItemRedirected, ItemReturned
from restante.message.causes import About, Cause, Times
from restante.model import DomainName, Envelope, Item, ItemId, Mailbox, MessageId, Principal, Recipient
from restante.release.allowance import Allowance
from restante.release.destinations import destination_of
from restante.release.reports import Reports
from restante.smtp.address import parse_domain, write_path
from restante.smtp.command import encode_xtext
from restante.spool.spool import Arrival, Settlement, Spool

AT_ONCE = 100
"""Items in one commit: each notice may have the header of its message."""
NO_REPORT = "the notice of it could not be made"
OPERATOR = Principal(ipaddress.ip_address("127.0.0.1"), operator=True)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of some items: those that were changed, why others were not, and for which domains mail came."""

    items: Collection[ItemId]
    reasons: Mapping[ItemId, str] = field(default_factory=dict)
    arrived: Collection[DomainName] = ()


class NowhereElse(RestanteError):
    """Mail cannot be sent there: this host has no way to it, or knows that nobody reads it. Trying again is no help."""


class Returning:
    """Sends items back, each with a notice that has `text`; one whose sender is to be told nothing just ends."""

    def __init__(
        self,
        spool: Spool,
        directory: Callable[[], Directory],
        announce: Announce,
        clock: Clock,
        *,
        text: str = "",
        by: str = "",
    ) -> None:
        self._spool = spool
        self._by = by
        self._announce = announce
        self._clock = clock
        self._text = text
        self._reports = Reports(
            spool,
            hostname=directory().hostname,
            allowance=Allowance(clock.monotonic),
            can_route=lambda domain: destination_of(directory(), domain) is not None,
        )

    async def __call__(self, items: Sequence[Item]) -> Done:
        """Those of the items that wait, or are frozen. Raises SpoolBroken."""
        returned: list[ItemId] = []
        reasons: dict[ItemId, str] = {}
        arrived: set[DomainName] = set()
        for start in range(0, len(items), AT_ONCE):
            lent = await self._spool.lend([item.id for item in items[start : start + AT_ONCE]], frozen=True)
            kept = {item.id for item in lent}
            try:
                reports = [(item, await self._report(item)) for item in lent]
                written = [(item, report) for item, report in reports if not isinstance(report, str)]
                reasons |= {item.id: report for item, report in reports if isinstance(report, str)}
                kept.difference_update(item.id for item, _ in written)
                if written:
                    await self._spool.settle([Settlement(item.id, None, dsn=report) for item, report in written])
            finally:
                self._spool.give_back(list(kept))
            for item, report in written:
                self._tell(item, report)
            returned += [item.id for item, _ in written]
            arrived |= {report.envelopes[0][0] for _, report in written if report is not None}
        return Done(returned, reasons, arrived)

    async def _report(self, item: Item) -> Arrival | str | None:
        """The notice; None where nobody is to be told, or why there is none."""
        about = [About(recipient, Cause.RETURNED, self._text) for recipient in item.envelope.recipients]
        wanted = self._reports.wanted(item, about)
        if not wanted:
            return None
        try:
            return await self._reports.notice(item, wanted, Times(self._clock.wall()))
        except RestanteError:
            raise
        except Exception as error:  # noqa: BLE001 - one odd message must not stand in the way of all others
            message = "a notice could not be made"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
            return NO_REPORT

    def _tell(self, item: Item, report: Arrival | None) -> None:
        sender = write_path(item.envelope.reverse_path)
        dsn = None if report is None else report.id
        recipients = len(item.envelope.recipients)
        self._announce(ItemReturned(item.id, item.domain, sender, recipients, self._text, dsn, self._by))


class Redirecting:
    """Sends items to an address, or to the same local parts of a domain, as this host's directory has it.

    Raises NowhereElse where nothing can be sent there, AddressError.
    """

    def __init__(self, spool: Spool, directory: Directory, announce: Announce, where: str, *, by: str = "") -> None:
        self._spool = spool
        self._by = by
        self._directory = directory
        self._announce = announce
        self._mailbox, self._domain = parse_target(where)
        refusal = self._refusal(self._mailbox or Mailbox("postmaster", self._domain))
        if refusal is not None and (self._mailbox is not None or not isinstance(refusal, UnknownUser)):
            raise NowhereElse(f"{where}: {_why(refusal)}")

    def _refusal(self, mailbox: Mailbox) -> Refusal | None:
        found = route(self._directory, mailbox, OPERATOR)
        return None if isinstance(found, Destination) else found

    async def __call__(self, items: Sequence[Item]) -> Done:
        """Those of the items that wait, or are frozen, and stay so. Raises SpoolBroken."""
        redirected: list[ItemId] = []
        reasons: dict[ItemId, str] = {}
        for start in range(0, len(items), AT_ONCE):
            lent = await self._spool.lend([item.id for item in items[start : start + AT_ONCE]], frozen=True)
            kept = {item.id for item in lent}
            try:
                since = self._spool.new_id()
                aimed = [(item, self._aimed(item.envelope, since)) for item in lent]
                written = [(item, envelope) for item, envelope in aimed if isinstance(envelope, Envelope)]
                reasons |= {item.id: why for item, why in aimed if isinstance(why, str)}
                kept.difference_update(item.id for item, _ in written)
                if written:
                    await self._spool.settle([self._settlement(item, envelope) for item, envelope in written])
            finally:
                self._spool.give_back(list(kept))
            for item, envelope in written:
                before, after = _names(item.envelope), _names(envelope)
                self._announce(ItemRedirected(item.id, item.domain, before, after, self._by))
            redirected += [item.id for item, _ in written]
        return Done(redirected, reasons, (self._domain,) if redirected else ())

    def _settlement(self, item: Item, envelope: Envelope) -> Settlement:
        return Settlement(item.id, envelope, is_attempt=False, domain=self._domain)

    def _aimed(self, envelope: Envelope, since: MessageId) -> Envelope | str:
        """The envelope for the new recipients, or why one of them cannot be."""
        recipients: dict[str, Recipient] = {}
        for recipient in envelope.recipients:
            mailbox = self._mailbox or Mailbox(recipient.mailbox.local, self._domain)
            if (refusal := self._refusal(mailbox)) is not None:
                return f"{mailbox}: {_why(refusal)}"
            recipients.setdefault(mailbox.local, Recipient(mailbox, recipient.notify, _original(recipient)))
        return structs.replace(envelope, recipients=tuple(recipients.values()), since=since)


def parse_target(where: str) -> tuple[Mailbox | None, DomainName]:
    """Where mail is sent: one address, or None for the same local parts; and its domain. Raises AddressError."""
    mailbox = Mailbox.parse(where) if "@" in where[1:] else None
    return mailbox, mailbox.domain if mailbox is not None else parse_domain(where.removeprefix("@"))


def _original(recipient: Recipient) -> str | None:
    """Whom it was for, so that a report names who the sender has written to (RFC 3461 §4.2)."""
    if recipient.orcpt is not None or not recipient.mailbox.is_ascii:
        return recipient.orcpt
    return f"rfc822;{encode_xtext(str(recipient.mailbox))}"


def _names(envelope: Envelope) -> tuple[str, ...]:
    return tuple(str(recipient.mailbox) for recipient in envelope.recipients)


def _why(refusal: Refusal) -> str:
    match refusal:
        case UnknownUser():
            return "no such user here"
        case RelayDenied():
            return "this host has no way to that domain"
        case DomainRejected():
            return "this host refuses mail for that domain"
