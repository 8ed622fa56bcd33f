"""What /metrics tells, by name: for each total its labels and what it means. One source for exposition and for docs.

Names follow Prometheus' conventions: base units, `_total` for what only grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "restante_"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its labels, and what it means."""

    help: str
    labels: tuple[str, ...] = ()


TOTALS: Mapping[str, Family] = {
    "messages_accepted": Family("Messages that are safe here and were answered 250."),
    "recipients_accepted": Family("Their recipients."),
    "accepted_bytes": Family("Their octets."),
    "item_outcomes": Family("What became of items, each time that something did.", ("outcome",)),
    "recipient_outcomes": Family("The same, counted in recipients.", ("outcome",)),
    "delivered_bytes": Family("Octets of items that the next hop took, or that are in mailboxes."),
    "notices": Family("Delivery status notifications, and notices of mail too large for a link.", ("kind",)),
    "notices_withheld": Family("Notices of mail that was taken, whose senders get no more this hour."),
    "items_quarantined": Family("Items that were set aside because they are damaged."),
    "commands_refused": Family("Commands that were answered 4yz or 5yz.", ("command", "code", "status")),
    "connections_refused": Family("Connections that were turned away at the door.", ("code", "status")),
    "logins": Family("Logins that went well.", ("mechanism",)),
    "logins_refused": Family("Logins that were refused, over SMTP and HTTP."),
    "release_requests": Family("What was answered to ETRN and ATRN.", ("answer",)),
    "releases_started": Family("Releases that began to carry items."),
    "releases_ended": Family("Releases that ended: all offered, cut on the way, or nothing reached.", ("result",)),
    "calls_started": Family("Calls to offices that began."),
    "calls_ended": Family("Calls to offices that ended, by what ended them.", ("by",)),
    "call_messages": Family("Messages that calls have brought and taken.", ("direction",)),
    "call_bytes": Family("Their octets.", ("direction",)),
    "hooks": Family("Programs that were run before and after calls.", ("hook", "result")),
    "recipient_lists": Family("Lists of recipients that were taken from sites, or told to offices.", ("way", "result")),
    "configuration_reloads": Family("Times that the configuration was read again.", ("result",)),
    "filter_verdicts": Family("What the mail filter said of messages.", ("verdict",)),
    "alarms_raised": Family("Alarms that were raised.", ("alarm",)),
    "alarm_notices": Family("Attempts to tell of alarms.", ("way", "result")),
}
GAUGES: Mapping[str, Family] = {
    "items": Family("Items in the spool. What is claimed is on its way.", ("state",)),
    "bytes": Family("Octets of items in the spool; `waiting` has the claimed ones, `stopped` all others.", ("state",)),
    "domains": Family("Domains for which something waits."),
    "oldest_item_age_seconds": Family("For how long the oldest waiting item has been here; 0 where nothing waits."),
    "domain_items": Family("Items that wait for the held domains with most of them.", ("domain",)),
    "domain_bytes": Family("Octets of these.", ("domain",)),
    "domain_oldest_item_age_seconds": Family("For how long the oldest of these has been here.", ("domain",)),
    "releases": Family("Releases that run, and that wait for their turn.", ("progress",)),
    "connections": Family("Connections that are open, of all services."),
    "sessions": Family("Sessions of SMTP and LMTP."),
    "ready": Family("Whether mail is taken: 1 or 0."),
    "spool_broken": Family("Whether the spool takes nothing until a restart: 1 or 0."),
    "spool_free_bytes": Family("What the spool can still take."),
    "spool_free_inodes": Family("The same in files, where its file system counts them."),
    "certificate_expiry_timestamp_seconds": Family("Until when the certificate that is shown is good."),
    "call_last_end_timestamp_seconds": Family("When the last call ended that went well, or did not.", ("result",)),
    "alarms": Family("Alarms that are on.", ("alarm",)),
    "build_info": Family("Always 1.", ("version",)),
}
HISTOGRAMS: Mapping[str, Family] = {
    "commit_seconds": Family("From the end of a message until it was safe, of some messages."),
    "release_seconds": Family("How long releases took."),
    "release_rate_bytes_per_second": Family("How fast releases were that moved something."),
    "filter_seconds": Family("How long the mail filter took over a message."),
}
