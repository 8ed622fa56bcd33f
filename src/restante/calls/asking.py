"""The part of a call in which the office is asked for what it holds, until it has said yes or no; by ETRN or by ATRN.

It is asked again and again while it cannot be reached, says "not now", or leaves while it sends over a connection that
was turned round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from restante.calls.answer import Answer, NotNow, Refused, understand, understand_turn
from restante.calls.ledger import Ledger
from restante.calls.notes import Notes
from restante.calls.office import REPLY_SECONDS, Contact, Office, etrn
from restante.calls.plan import CallMeans, CallPlan
from restante.calls.turn import Turn
from restante.facts import Fact, MessageAccepted
from restante.model import DomainName
from restante.smtp.reply import Reply
from restante.transport.greeting import Manners
from restante.transport.lent import LentLine
from restante.transport.login import PasswordUnreadable

BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Waits before the office, or a release of ours, is tried again; the last one for all that follow."""
ATRN = DomainName("ATRN")
"""What a call that turns the connection round asks for, in place of domains; no domain is written like this."""


def back_off() -> Iterator[float]:
    """The waits between tries, without end."""
    yield from BACK_OFF_SECONDS
    while True:
        yield BACK_OFF_SECONDS[-1]


class Asking:
    """Asks for one call. `connected` is told of each connection to the office that stands."""

    def __init__(
        self, plan: CallPlan, means: CallMeans, ledger: Ledger, notes: Notes, *, connected: Callable[[], None]
    ) -> None:
        self._plan = plan
        self._means = means
        self._ledger = ledger
        self._notes = notes
        self._connected = connected
        self._turn: Turn | None = None
        self._may_lend = plan.turns
        self.line: LentLine | None = None
        """The connection over which ours may go before it is turned round."""

    async def run(self) -> None:
        """Asks, and serves what comes over a connection that is turned round; the notes tell how it went."""
        try:
            office = self._office()
        except PasswordUnreadable as error:
            self._notes.problem("connect", str(error))
            return
        for wait in back_off():
            self._notes.step = "connect"
            contact = await self._contact(office)
            self._notes.problem("connect", contact.problem)
            self._notes.step = "waiting"
            if contact.is_final or not self._ledger.unanswered:
                return
            await self._means.clock.sleep(wait)

    @property
    def received(self) -> int:
        """Octets that have come over a connection that is turned round."""
        return self._turn.received if self._turn is not None else 0

    @property
    def is_carrying(self) -> bool:
        """Whether mail moves over the connection, ours or theirs."""
        return self._turn is not None and self._turn.is_carrying

    def let_go(self) -> bool:
        """Ends what goes over the connection, ours or theirs, not inside a message; whether anything does."""
        if self._turn is None or not self._turn.is_carrying:
            return False
        self._turn.stop()
        return True

    def _office(self) -> Office:
        plan, login = self._plan, self._plan.login
        manners = Manners(
            self._means.hostname,
            plan.office.host,
            plan.tls,
            own=login.own,
            login=login.credentials(for_turn=plan.turns),
            patience=REPLY_SECONDS,
            ahead=self._means.ahead(),
        )
        return Office(plan.office, self._means.dial, manners, connected=self._stands)

    def _stands(self) -> None:
        self._notes.step = "atrn" if self._plan.turns else "etrn"
        self._connected()

    async def _contact(self, office: Office) -> Contact:
        if not self._plan.turns:
            return await office.contact(etrn(tuple(self._ledger.unanswered), self._heard))
        plan = self._plan
        line = self.line = LentLine(plan.office.host, plan.tls) if self._may_lend else None
        self._turn = Turn(
            plan.domains, self._means.serve, heard=self._heard_of_turn, announce=self._announce, line=line
        )
        is_complete = False
        try:
            contact = await office.contact(self._turn.errand)
            is_complete = not contact.problem
        finally:
            if line is not None:
                line.withdraw()
                self._may_lend = not line.error  # else an office that hangs up on MAIL would never hear ATRN
            self._ledger.turn_ended(self._means.clock.monotonic(), is_complete=is_complete)
            self._turn = None
        return contact

    def _heard(self, node: str, reply: Reply) -> None:
        self._answered(DomainName(node), reply, understand(reply))

    def _heard_of_turn(self, reply: Reply) -> None:
        if not reply.is_positive:
            self._answered(ATRN, reply, understand_turn(reply))
            return
        self._notes.replies[ATRN] = str(reply)
        self._notes.problem(ATRN, "")
        self._notes.step = "turned"
        self._ledger.turned(self._means.clock.monotonic())
        self._notes.changed.set()

    def _answered(self, node: DomainName, reply: Reply, answer: Answer) -> None:
        self._notes.replies[node] = str(reply)
        self._notes.problem(node, f"{node}: {reply}" if isinstance(answer, Refused | NotNow) else "")
        self._ledger.answered(node, answer, self._means.clock.monotonic())
        self._notes.changed.set()

    def _announce(self, fact: Fact) -> None:
        """What the session takes is everybody's news, and counts for this call."""
        self._means.announce(fact)
        if isinstance(fact, MessageAccepted):
            self._ledger.arrived(fact.octets, self._means.clock.monotonic())
            self._notes.changed.set()
