"""What a held domain takes besides what routing says: known recipients, its quota, what its link is for.

A recipient whom the site has refused a while ago is refused at RCPT; so it is where mail is relayed for anyone. A quota
counts all that a domain has in the spool, of whatever state; what is on its way in other transactions is not in it yet,
so that it may be overrun by as much as comes at once. Where MAIL did not say how large a message is, it may turn out
too large for the quota at its end: it is refused then if that is so for all of its domains, else taken for all, for one
answer is given for the whole message.

A message that is too large for a domain's link is taken, but frozen, with a notice to the same recipients in the same
commit: a crash leaves both or neither, and there is exactly one notice for each message and domain.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from restante.clock import Clock
from restante.directory.entries import NO_QUOTA, Directory, Held, Quota, Relayed, asks_who_exists
from restante.directory.learned import Learned
from restante.directory.routing import Destination, UnknownUser
from restante.facts import Announce, ItemHeldBack
from restante.message.too_large import too_large_notice
from restante.model import DomainName, Envelope, ItemId, Mailbox, Recipient, numbered
from restante.server import answers
from restante.server.intake import Intake
from restante.server.usage import Usage
from restante.smtp.reply import Reply
from restante.spool.spool import Arrival, Spool


class Admission:
    """For all sessions of a server."""

    def __init__(
        self,
        *,
        directory: Callable[[], Directory],
        spool: Spool,
        learned: Learned,
        clock: Clock,
        hostname: str,
        announce: Announce,
    ) -> None:
        self._directory = directory
        self._new_id = spool.new_id
        self._learned = learned
        self._usage = Usage(spool, clock)
        self._clock = clock
        self._hostname = hostname
        self._announce = announce

    def recipient(self, found: Destination, intake: Intake) -> Reply | None:
        """Why a recipient that could be routed is not taken all the same; None: it is."""
        entry = found.entry
        if asks_who_exists(entry) and self._was_refused(entry, found.mailbox):
            return answers.not_routed(UnknownUser())
        if isinstance(entry, Held) and (entry.quota is not NO_QUOTA or entry.largest is not None):
            intake.limiter = self
            if self._is_full(entry, found.domain, intake.expected or 1):
                return answers.full(found.domain)
        return None

    def _was_refused(self, entry: Held | Relayed, mailbox: Mailbox) -> bool:
        """A list, where there is one, has had its word already."""
        return entry.recipients is None and self._learned.is_unknown(mailbox, entry.unknown_for, self._clock.wall())

    def content(self, intake: Intake) -> Reply | None:
        """Why a message that has come whole is not taken; None: it is."""
        entry_for = self._directory().entry_for
        for domain in intake.by_domain:
            entry = entry_for(domain)
            if not isinstance(entry, Held) or not self._is_full(entry, domain, intake.size):
                return None
        return answers.full(next(iter(intake.by_domain)))

    def _is_full(self, entry: Held, domain: DomainName, octets: int) -> bool:
        """Whether one more item of so many octets is too much."""
        quota = entry.quota
        if quota.octets is None and quota.items is None:
            return False
        used = self._usage.of(domain)
        return _exceeds(quota, items=used.items + 1, octets=used.octets + octets)

    # what is too large for the link

    def hold_back(self, arrival: Arrival, beginning: bytes) -> Arrival:
        """The arrival, with those of its items frozen that are too large, and their notices. `beginning`: its header
        section.
        """
        entry_for = self._directory().entry_for
        frozen: dict[DomainName, str] = {}
        notices: list[Arrival] = []
        for (domain, envelope), item in zip(arrival.envelopes, numbered(arrival.id), strict=False):
            entry = entry_for(domain)
            if isinstance(entry, Held) and entry.largest is not None and arrival.size > entry.largest:
                frozen[domain] = f"too large for the link: {arrival.size} octets"
                notices.append(self._notice(arrival, domain, envelope, item, beginning, entry.largest))
        return structs.replace(arrival, frozen=frozen, notices=tuple(notices)) if frozen else arrival

    def _notice(  # noqa: PLR0917 - one call
        self, arrival: Arrival, domain: DomainName, envelope: Envelope, item: ItemId, beginning: bytes, largest: int
    ) -> Arrival:
        message = self._new_id()
        content = too_large_notice(
            hostname=self._hostname,
            message=message,
            item=item,
            sender=envelope.reverse_path,
            beginning=beginning,
            size=arrival.size,
            largest=largest,
            now=arrival.arrived,
        )
        recipients = tuple([Recipient(recipient.mailbox) for recipient in envelope.recipients])
        is_ascii = all(recipient.mailbox.is_ascii for recipient in recipients)
        told = Envelope(None, recipients, smtputf8=not is_ascii)
        return Arrival(message, content, len(content), [(domain, told)], arrival.arrived)

    def accepted(self, arrival: Arrival) -> None:
        """It is safe: what was frozen is told, and counts."""
        notices = {notice.envelopes[0][0]: notice.id for notice in arrival.notices}
        for (domain, _), item in zip(arrival.envelopes, numbered(arrival.id), strict=False):
            if domain in arrival.frozen:
                self._usage.froze(domain, arrival.size)
                self._announce(ItemHeldBack(item, domain, arrival.size, notices[domain]))


def _exceeds(quota: Quota, *, items: int, octets: int) -> bool:
    too_many = quota.items is not None and items > quota.items
    return too_many or (quota.octets is not None and octets > quota.octets)
