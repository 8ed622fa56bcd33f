"""One transaction as a ClientEngine sends it: what is answered so far, and what that means for each recipient."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import repeat

from restante.smtp.offer import Outgoing
from restante.smtp.reply import Reply
from restante.smtp.stuffer import ContentStuffer

_NOBODY: frozenset[int] = frozenset()


class Sending:
    """One transaction on its way, with the replies so far."""

    __slots__ = (
        "finals",
        "finals_due",
        "key",
        "mail",
        "outgoing",
        "owed",
        "rcpts",
        "refusal",
        "stuffer",
        "taken",
        "written",
    )

    def __init__(self, key: Hashable, outgoing: Outgoing) -> None:
        self.key = key
        self.outgoing = outgoing
        self.mail: Reply | None = None
        self.rcpts: list[Reply] = []
        self.taken = 0  # of those, the positive ones
        self.refusal: Reply | None = None  # of a chunk
        self.finals: list[Reply] = []  # LMTP: one for each recipient that was taken (RFC 2033 §4.2)
        self.finals_due = 0  # how many, as far as replies to RCPT have come in; `taken` counts those looked at
        self.owed = 0  # replies still to come
        self.written = False  # its last octet was handed over
        self.stuffer: ContentStuffer | None = None

    @property
    def is_begun(self) -> bool:
        """Whether the peer may have begun one: where it takes no mail, RSET too may be refused (RFC 2645 §5.3)."""
        return self.mail is None or self.mail.is_positive or self.taken > 0

    @property
    def is_wanted(self) -> bool:
        """Whether anybody takes it, as far as known."""
        return self.mail is not None and self.mail.is_positive and self.taken > 0

    @property
    def refused_by_name(self) -> frozenset[int]:
        """The recipients, from 0, whose RCPT was refused after MAIL was taken."""
        if self.taken == len(self.rcpts) or self.mail is None or not self.mail.is_positive:
            return _NOBODY
        return frozenset(number for number, reply in enumerate(self.rcpts) if not reply.is_positive)

    def results(self, last: Reply) -> tuple[Reply, ...]:
        """A reply for each recipient, where `last` answered the content or what there was of it."""
        if self.mail is None or not self.mail.is_positive:
            refused = self.mail or last
            return (refused,) * len(self.outgoing.recipients)
        if self.taken == len(self.rcpts) and not self.finals:
            return (self.refusal or last,) * self.taken
        final = iter(self.finals) if self.finals and self.refusal is None else repeat(self.refusal or last)
        return tuple(next(final) if reply.is_positive else reply for reply in self.rcpts)
