"""What happened, as values: rooms announce them, observe/ listens (one fact, many readers, the same words).

Each is a frozen Struct, made in a tenth of a dataclass's time; its fields are what a log line shows. Times are wall
seconds, durations seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from restante.model import DomainName, IPAddress, ItemId, MessageId, Principal


class MessageAccepted(Struct, frozen=True, gc=False):
    """A message is safe on disk and was answered 250."""

    message: MessageId
    principal: Principal
    reverse_path: str
    domains: tuple[DomainName, ...]
    recipients: int
    octets: int


class ConnectionRefused(Struct, frozen=True, gc=False):
    """A connection was turned away at the door; so many were since this was last told."""

    address: IPAddress
    reason: str
    times: int


class CommandRefused(Struct, frozen=True, gc=False):
    """A peer was told 4yz or 5yz."""

    principal: Principal
    command: str
    reply: str


class LoggedIn(Struct, frozen=True, gc=False):
    """A peer has proven who it is (RFC 4954)."""

    principal: Principal
    mechanism: str


class LoginRefused(Struct, frozen=True, gc=False):
    """A login failed. `login` is who was claimed, as far as known; `why` is more than the peer was told."""

    principal: Principal
    login: str
    why: str
    reply: str


class ReleaseDecided(Struct, frozen=True, gc=False):
    """Somebody asked for a release; `granted` are the domains (entries) that it covers, empty when not allowed."""

    principal: Principal
    node: str
    granted: tuple[str, ...]
    reply: str


class ReleaseStarted(Struct, frozen=True, gc=False):
    """A release began to carry items."""

    release: int
    domain: str
    requester: str
    target: str
    items: int
    octets: int


class ItemDelivered(Struct, frozen=True, gc=False):
    """The next hop took responsibility for some recipients of an item, or they are in their mailboxes."""

    item: ItemId
    domain: DomainName
    release: int
    target: str
    recipients: int
    octets: int
    reply: str


class ItemDeferred(Struct, frozen=True, gc=False):
    """Some recipients of an item were not taken now; they wait."""

    item: ItemId
    domain: DomainName
    release: int
    target: str
    recipients: int
    reason: str


class ItemFailed(Struct, frozen=True, gc=False):
    """Some recipients of an item were refused for good; a DSN was spooled, unless none may be sent."""

    item: ItemId
    domain: DomainName
    release: int
    target: str
    recipients: int
    reason: str
    dsn: MessageId | None


class ItemExpired(Struct, frozen=True, gc=False):
    """An item has waited too long and is gone; `dsn` went to its sender, unless none may be sent."""

    item: ItemId
    domain: DomainName
    reverse_path: str
    recipients: int
    octets: int
    attempts: int
    reason: str
    dsn: MessageId | None


class ItemLate(Struct, frozen=True, gc=False):
    """The sender of an item was told, for some recipients, that it still waits."""

    item: ItemId
    domain: DomainName
    reverse_path: str
    recipients: int
    reason: str
    dsn: MessageId


class NoticeWithheld(Struct, frozen=True, gc=False):
    """Mail was taken for some recipients, and its sender, who wanted to know, gets no more notices this hour."""

    item: ItemId
    domain: DomainName
    reverse_path: str
    recipients: int


class ReleaseEnded(Struct, frozen=True, gc=False):
    """A release is over. `left` still wait; `error` is empty when all were offered."""

    release: int
    domain: str
    requester: str
    target: str
    delivered: int
    deferred: int
    failed: int
    left: int
    octets: int
    seconds: float
    error: str


class CallStarted(Struct, frozen=True, gc=False):
    """A site's contact with an office began."""

    call: str
    office: str
    reason: str


class CallEnded(Struct, frozen=True, gc=False):
    """A contact is over; `sent` and `received` are messages, octets beside them."""

    call: str
    office: str
    seconds: float
    sent: int
    sent_octets: int
    received: int
    received_octets: int
    left: int
    ended_by: str
    error: str


class HookEnded(Struct, frozen=True, gc=False):
    """A before or after hook ran; `error` is empty when its exit status was 0."""

    call: str
    hook: str
    argv: tuple[str, ...]
    seconds: float
    error: str


class ConfigurationReloaded(Struct, frozen=True, gc=False):
    """The configuration was read again; `problems` is empty when it is in force."""

    file: str
    problems: tuple[str, ...]


class ItemChanged(Struct, frozen=True, gc=False):
    """An operator froze, thawed or removed an item; or a user over the API: `by` says who."""

    item: ItemId
    verb: str
    domain: DomainName = DomainName("")
    by: str = ""


class ItemReturned(Struct, frozen=True, gc=False):
    """An operator sent an item back, or a user (`by`); a DSN was spooled, unless none may be sent."""

    item: ItemId
    domain: DomainName
    reverse_path: str
    recipients: int
    reason: str
    dsn: MessageId | None
    by: str = ""


class ItemRedirected(Struct, frozen=True, gc=False):
    """An operator, or a user (`by`), sent an item elsewhere: it waits for these recipients now, not for `before`."""

    item: ItemId
    domain: DomainName
    before: tuple[str, ...]
    recipients: tuple[str, ...]
    by: str = ""


class ItemHeldBack(Struct, frozen=True, gc=False):
    """An item is too large for its domain's link: it was frozen as it came, and its recipients get a notice."""

    item: ItemId
    domain: DomainName
    octets: int
    notice: MessageId


class ContentDamaged(Struct, frozen=True, gc=False):
    """Stored content does not have the hash it had; its items are quarantined."""

    message: MessageId
    items: tuple[ItemId, ...]


class ItemDamaged(Struct, frozen=True, gc=False):
    """An item's row is not as it was written; it is quarantined, and nothing is known of it but its id."""

    item: ItemId


class SpoolMended(Struct, frozen=True, gc=False):
    """At start indexes or counters did not match the items; they were made anew, and so many items quarantined."""

    damaged: int


class FilterJudged(Struct, frozen=True, gc=False):
    """The mail filter gave its verdict on a message; `remark` is what it says of it."""

    message: MessageId
    accepted: bool
    remark: str
    seconds: float


class FilterPassedOver(Struct, frozen=True, gc=False):
    """A message is longer than what the mail filter is shown, and was taken unseen."""

    message: MessageId
    octets: int


class FilterFailed(Struct, frozen=True, gc=False):
    """The mail filter gave no verdict; so many messages were answered 451 since this was last told."""

    reason: str
    times: int


class RecipientsSent(Struct, frozen=True, gc=False):
    """A site has sent the list of a domain's recipients, over the API."""

    principal: Principal
    domain: DomainName
    recipients: int


class RecipientsTold(Struct, frozen=True, gc=False):
    """A call has told its office who exists in a domain here; `error` is empty when that was taken."""

    call: str
    office: str
    domain: DomainName
    recipients: int
    error: str


class AlarmKind(StrEnum):
    """What an operator wants to be told of."""

    CONTACT = "contact-missed"
    """The site of a held domain was expected, and has not asked for its mail."""
    BROKEN = "spool-broken"
    DISK = "disk-nearly-full"
    QUARANTINED = "items-quarantined"
    CERTIFICATE = "certificate-expires"


class AlarmRaised(Struct, frozen=True, gc=False):
    """Something is not as it should be; told once, until it is over. `subject` is what it is about, `text` says it."""

    alarm: AlarmKind
    subject: str
    text: str


class AlarmCleared(Struct, frozen=True, gc=False):
    """It is as it should be again."""

    alarm: AlarmKind
    subject: str
    text: str


class AlarmsTold(Struct, frozen=True, gc=False):
    """Alarms, or that they are over, went out by `webhook` or `mail`; `error` is empty when they were taken."""

    way: str
    alarms: int
    message: MessageId | None
    error: str


Fact = (
    MessageAccepted
    | ConnectionRefused
    | CommandRefused
    | LoggedIn
    | LoginRefused
    | ReleaseDecided
    | ReleaseStarted
    | ItemDelivered
    | ItemDeferred
    | ItemFailed
    | ItemExpired
    | ItemLate
    | NoticeWithheld
    | ReleaseEnded
    | CallStarted
    | CallEnded
    | HookEnded
    | ConfigurationReloaded
    | ItemChanged
    | ItemReturned
    | ItemRedirected
    | ItemHeldBack
    | ContentDamaged
    | ItemDamaged
    | SpoolMended
    | FilterJudged
    | FilterPassedOver
    | FilterFailed
    | RecipientsSent
    | RecipientsTold
    | AlarmRaised
    | AlarmCleared
    | AlarmsTold
)

Announce = Callable[[Fact], None]
