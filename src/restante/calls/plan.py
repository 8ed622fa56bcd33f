"""What a call needs to know: its plan, made from the configuration, and its means, handed in by app.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from restante.calls.hooks import DEFAULT_LIMIT_SECONDS, Hook
from restante.calls.login import Login
from restante.calls.office import Dial
from restante.calls.telling import NOBODY, OfficeApi, WhoExists
from restante.calls.turn import Serve
from restante.calls.window import Schedule
from restante.clock import Clock
from restante.facts import Announce, Fact
from restante.model import DomainName, HostPort, ReleaseView
from restante.net.tls import OPPORTUNISTIC, TlsPolicy
from restante.smtp.client import Ahead
from restante.transport.lent import LentLine

DEFAULT_WINDOW_SECONDS = 600.0
DEFAULT_IDLE_SECONDS = 30.0

NO_SCHEDULE = Schedule(())
NO_LOGIN = Login()

Unsubscribe = Callable[[], None]
Subscribe = Callable[[Callable[[Fact], None]], Unsubscribe]
"""Has a function called with every fact, until what this returned is called."""


class Releaser(Protocol):
    """What a call asks of release/: our own held mail, while the link is up."""

    async def release(
        self, entries: Sequence[str], until: float | None, requester: str = "call", line: LentLine | None = None
    ) -> list[ReleaseView]:
        """Releases entries of ours and waits for their ends; nothing is begun after the monotonic time `until`.

        What goes to the host of `line` goes over it, where it is lent and takes mail.
        """
        ...

    def waiting_items(self, entry: str) -> int:
        """How many items wait for an entry."""
        ...


@dataclass(frozen=True, slots=True)
class CallPlan:
    """One `[calls.NAME]`: which office, for which domains, when, for how long. Durations are seconds."""

    name: str
    office: HostPort
    domains: tuple[DomainName, ...] = ()
    schedule: Schedule = NO_SCHEDULE
    on_link_up: bool = False
    window: float = DEFAULT_WINDOW_SECONDS
    idle: float = DEFAULT_IDLE_SECONDS
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    hook_limit: float = DEFAULT_LIMIT_SECONDS
    flush: tuple[str, ...] = ()
    """Entries of ours, held here, whose mail goes out while the link is up."""
    tls: TlsPolicy = OPPORTUNISTIC
    login: Login = NO_LOGIN
    turns: bool = False
    """Whether our mail comes over the connection that we have made (ATRN, RFC 2645), not over others (ETRN)."""
    api: OfficeApi | None = None
    """Where the office is told who exists in our domains."""

    def hook(self, when: str) -> Hook | None:
        """The hook that is run `before` or `after`, where one is set."""
        argv = self.before if when == "before" else self.after
        return Hook(when, argv, self.hook_limit) if argv else None


@dataclass(frozen=True, slots=True)
class CallMeans:
    """What every call needs, whichever it is.

    `octets_in` counts what has come in over the listeners since start: it is how a call sees that a long message is
    still on its way. `ahead` gives how far to run ahead of an office's replies; `who_exists` gives the recipients of
    domains of ours.
    """

    dial: Dial
    releaser: Releaser
    subscribe: Subscribe
    announce: Announce
    clock: Clock
    hostname: str
    serve: Serve
    octets_in: Callable[[], int] = lambda: 0
    ahead: Callable[[], Ahead] = Ahead
    who_exists: WhoExists = NOBODY
