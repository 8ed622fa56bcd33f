"""`restante etrn HOST NODE...` and `restante atrn HOST [DOMAIN...]`: one question to one office, with no configuration.

From cron, from ppp's hooks: an office that is not there is not tried again. The exit status of etrn() is 0 when every
node was accepted (250 to 253), 1 when not, 2 when a node cannot be one; an ATRN that went well leaves no error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from restante.calls.answer import Started, check_node, understand, understand_turn
from restante.calls.login import Login
from restante.calls.office import REPLY_SECONDS, Contact, Dial, Errand, Office
from restante.calls.office import etrn as asking
from restante.calls.turn import Serve, Turn
from restante.clock import Clock
from restante.facts import Fact, MessageAccepted
from restante.model import CallView, DomainName, HostPort, Progress
from restante.net.dial import dial as dial_over_tcp
from restante.net.tls import OPPORTUNISTIC, TlsPolicy
from restante.smtp.node import NodeError
from restante.smtp.reply import Reply
from restante.transport.greeting import Manners
from restante.transport.login import PasswordUnreadable

DONE, COULD_NOT, USAGE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and how. `timeout` is seconds for each reply of the office."""

    hostname: str
    tls: TlsPolicy = OPPORTUNISTIC
    login: Login = field(default_factory=Login)
    timeout: float = REPLY_SECONDS
    dial: Dial = dial_over_tcp

    async def contact(
        self, host: HostPort, errand: Errand, *, for_turn: bool = False, connected: Callable[[], None] = lambda: None
    ) -> Contact:
        """Has an errand done, once. `connected` is told when the connection stands."""
        try:
            credentials = self.login.credentials(for_turn=for_turn)
        except PasswordUnreadable as error:
            return Contact(str(error), is_final=True)
        own, patience = self.login.own, self.timeout
        manners = Manners(self.hostname, host.host, self.tls, own=own, login=credentials, patience=patience)
        return await Office(host, self.dial, manners, connected=connected).contact(errand)


@dataclass(frozen=True, slots=True)
class EtrnResult:
    """What the office said to each node that it was asked for, in order, and what else stood in the way."""

    replies: tuple[tuple[str, Reply], ...]
    problem: str
    status: int

    @property
    def messages(self) -> int | None:
        """How many messages wait by the office's own count; None where it did not tell for every node."""
        counts = [answer.count for _, reply in self.replies if isinstance(answer := understand(reply), Started)]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(self.replies) else None


async def etrn(office: HostPort, nodes: Sequence[str], asker: Asker) -> EtrnResult:
    """Asks an office once for each node; takes three times an asker's timeout for all together."""
    try:
        checked = [check_node(node) for node in nodes]
    except NodeError as error:
        return EtrnResult((), str(error), USAGE)
    if not checked:
        return EtrnResult((), "no node is named", USAGE)
    replies: list[tuple[str, Reply]] = []
    errand = asking(checked, lambda node, reply: replies.append((node, reply)))
    try:
        async with asyncio.timeout(3 * asker.timeout + len(checked)):
            contact = await asker.contact(office, errand)
    except TimeoutError:
        return EtrnResult(tuple(replies), f"{office} takes too long", COULD_NOT)
    accepted = len(replies) == len(checked) and all(isinstance(understand(r), Started) for _, r in replies)
    return EtrnResult(tuple(replies), contact.problem, DONE if accepted else COULD_NOT)


class AtrnOnce:
    """One ATRN for these domains, or for all that are ours there. run() once; `view` at any time.

    `failure` tells, when it has ended, why something of what came could not be taken; "" where all was.
    """

    def __init__(
        self,
        office: HostPort,
        domains: Sequence[DomainName],
        asker: Asker,
        serve: Serve,
        *,
        failure: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._office = office
        self._asker = asker
        self._failure = failure
        self._clock = clock
        self._turn = Turn(domains, serve, heard=self._heard, announce=self._take)
        self.view = CallView("atrn", str(office), Progress.RUNNING, step="connect", started=clock.wall())

    async def run(self) -> None:
        """Asks, and serves what comes; the view tells how it went. It is well, too, where nothing waits."""
        errand, connected = self._turn.errand, self._connected
        contact = await self._asker.contact(self._office, errand, for_turn=True, connected=connected)
        error = "; ".join(filter(None, (contact.problem or self.view.error, self._failure())))
        step = "error" if error else "counts"
        self.view = replace(self.view, progress=Progress.ENDED, step=step, error=error, ended=self._clock.wall())

    def _connected(self) -> None:
        self.view = replace(self.view, step="atrn")

    def _heard(self, reply: Reply) -> None:
        is_well = reply.is_positive or isinstance(understand_turn(reply), Started)
        self.view = replace(
            self.view,
            step="turned" if reply.is_positive else "waiting",
            replies=(f"ATRN: {reply}",),
            error="" if is_well else f"{self._office}: {reply}",
        )

    def _take(self, fact: Fact) -> None:
        if isinstance(fact, MessageAccepted):
            view = self.view
            self.view = replace(view, received=view.received + 1, received_octets=view.received_octets + fact.octets)
