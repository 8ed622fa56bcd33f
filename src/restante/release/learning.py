"""What the outcomes of a release show of a domain's recipients: one that strangers write to, and that has no list.

Only what answers a recipient's own RCPT speaks of the recipient: some hosts refuse a whole message with 550 5.1.1 for
one of its recipients, and others say so of a sender.
"""

from __future__ import annotations

from collections.abc import Callable

from restante.clock import Clock
from restante.directory.entries import Directory, asks_who_exists
from restante.directory.learned import BAD_MAILBOX, Learned
from restante.release.settling import Sorted

Learn = Callable[[Sorted], None]
"""Told of each item's outcomes once they are recorded."""


def learn_nothing(results: Sorted) -> None:
    """For a release to some other host than the domain's own."""
    del results


def learns(learned: Learned, directory: Callable[[], Directory], clock: Clock) -> Learn:
    """Remembers whom a site does not know, and whom it has taken mail for."""

    def learn(results: Sorted) -> None:
        entry = directory().entry_for(results.item.domain)
        if not asks_who_exists(entry) or entry.recipients is not None:
            return
        now = clock.wall()
        for recipient, _ in results.delivered:
            learned.taken(recipient.mailbox, now)
        for recipient, refused in results.refused:
            if refused.is_by_name and refused.status in BAD_MAILBOX:
                learned.refused(recipient.mailbox, now)

    return learn
