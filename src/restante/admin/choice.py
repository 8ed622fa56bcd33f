"""Which items an operator means: those named by their ids, or all that are as he says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from restante.admin import protocol as p
from restante.errors import RestanteError
from restante.model import DomainName, Item, ItemState, Mailbox
from restante.smtp.address import parse_domain
from restante.spool.spool import Filter

OPTIONS = "--domain, --from, --to, --older, --larger, --state, --all"


class NotChosen(RestanteError):
    """Neither ids nor anything else that says which items are meant, or both. Trying again does not help."""


@dataclass(frozen=True, slots=True)
class Party:
    """Who a sender or a recipient is to be: one mailbox, any of a domain (`local` None), or nobody: `<>`."""

    domain: DomainName | None
    local: str | None = None
    """Without case."""

    @staticmethod
    def parse(text: str) -> Party:
        """`ADDRESS`, `@DOMAIN` or `<>`. Raises AddressError."""
        if text == "<>":
            return Party(None)
        if text.startswith("@"):
            return Party(parse_domain(text[1:]))
        mailbox = Mailbox.parse(text.removeprefix("<").removesuffix(">"))
        return Party(mailbox.domain, mailbox.key)

    def is_one(self, mailbox: Mailbox | None) -> bool:
        """Whether it is that mailbox; None is the null reverse-path."""
        if mailbox is None or self.domain is None:
            return mailbox is None and self.domain is None
        return mailbox.domain == self.domain and self.local in (None, mailbox.key)


@dataclass(frozen=True, slots=True)
class Choice:
    """What items must be, all of it; None and () are whatever. Seconds since they arrived, octets of their content."""

    domains: tuple[DomainName, ...] = ()
    state: ItemState | None = None
    sender: Party | None = None
    recipient: Party | None = None
    older: float | None = None
    larger: int | None = None

    @staticmethod
    def of(request: p.Chosen, domains: Sequence[str], state: ItemState | None) -> Choice:
        """What a request says. Raises AddressError."""
        return Choice(
            tuple(map(parse_domain, domains)),
            state,
            None if request.sender is None else Party.parse(request.sender),
            None if request.recipient is None else Party.parse(request.recipient),
            request.older,
            request.larger,
        )

    @property
    def filter(self) -> Filter:
        """What of it the spool looks for by itself; the rest is asked of each item, by wants()."""
        return Filter(domains=self.domains, state=self.state, limit=p.PAGE)

    @property
    def is_all_by_filter(self) -> bool:
        """Whether that leaves nothing to be asked."""
        return all(one is None for one in (self.sender, self.recipient, self.older, self.larger))

    def wants(self, item: Item, now: float) -> bool:
        """Whether an item that the filter has let through is meant, at that wall time."""
        if self.older is not None and now - item.arrived <= self.older:
            return False
        if self.larger is not None and item.size <= self.larger:
            return False
        if self.sender is None and self.recipient is None:
            return True
        return item.is_known and self._is_between(item)

    def _is_between(self, item: Item) -> bool:
        envelope = item.envelope
        if self.sender is not None and not self.sender.is_one(envelope.reverse_path):
            return False
        return self.recipient is None or any(self.recipient.is_one(r.mailbox) for r in envelope.recipients)


def choice_of(request: p.Change, verb: str) -> Choice | None:
    """What a change is for; None: for the ids that it names. Raises NotChosen, AddressError."""
    said = (request.domain, request.sender, request.recipient, request.older, request.larger, request.state)
    is_said = request.all or any(each is not None for each in said)
    if bool(request.ids) == is_said:
        raise NotChosen(f"{verb} takes ids, or options that choose items: {OPTIONS}")
    domains = () if request.domain is None else (request.domain,)
    return None if request.ids else Choice.of(request, domains, request.state)
