"""Mail over a connection that was made for something else, before it serves that: for send-then-turn (RFC 2645).

Whoever makes the connection lends it, greeted and logged in, and has it back when nobody needs it any more. The far end
may take no mail there: where all but AUTH and ATRN may be answered 502, MAIL too may. Then nothing is reported, and
each item goes, in the same release, by the carrier by which it would have gone anyway. So nothing is ever sent twice
but what a cut connection leaves in doubt.
"""

from __future__ import annotations

import asyncio

from restante.errors import RestanteError
from restante.model import HostPort
from restante.net.tls import TlsPolicy
from restante.smtp.reply import MalformedReply
from restante.transport.conversation import Conversation
from restante.transport.greeting import Dialogue, Unwelcome
from restante.transport.outcome import Carrier, CarryEnd, Deferred, Feed, ItemOutcome, Parcel, Report
from restante.transport.terms import Footing, proves

CUT = "cut while mail was sent"


class LentLine:
    """One connection, from before it stands: make carriers of it, then lend() or withdraw() it, once.

    `host` and `tls`: where it goes, and what its far end has to be.
    """

    def __init__(self, host: str, tls: TlsPolicy) -> None:
        self._host = host
        self._tls = tls
        self._talk: asyncio.Future[Conversation | None] = asyncio.get_running_loop().create_future()
        self._borrowers: set[LentCarrier] = set()
        self._is_free = asyncio.Event()
        self._is_free.set()
        self._one_at_a_time = asyncio.Lock()
        self._takes_mail = False  # as far as known
        self._is_over = False
        self.error = ""
        """What has cost the connection while it was lent."""

    def suits(self, next_hop: HostPort, tls: TlsPolicy) -> bool:
        """Whether mail for that next hop may go over it, and it is still to come."""
        is_safe = tls.may_be_clear or tls == self._tls
        return is_safe and next_hop.host == self._host and not self._talk.done()

    def carrier(self, otherwise: Carrier) -> LentCarrier:
        """For one release, which lets it go; `otherwise` carries what this connection does not."""
        carrier = LentCarrier(self, otherwise)
        self._borrowers.add(carrier)
        self._is_free.clear()
        return carrier

    async def lend(self, dialogue: Dialogue) -> None:
        """Lends a connection on which mail may follow, until nobody needs it. Raises Unwelcome where that cost it."""
        if self._talk.done():
            return
        self._talk.set_result(Conversation(dialogue, Footing(is_proven=proves(self._tls))))
        await self._is_free.wait()
        if self.error:
            raise Unwelcome(self.error)

    def withdraw(self) -> None:
        """There is no such connection, or none any more."""
        self._is_over = True
        if not self._talk.done():
            self._talk.set_result(None)

    def let_go(self, carrier: LentCarrier) -> None:
        """That carrier needs it no more."""
        self._borrowers.discard(carrier)
        if not self._borrowers:
            self._is_free.set()

    async def carry(self, feed: Feed, report: Report) -> CarryEnd | None:
        """Carries one release's items once it is lent; None where nothing was told of any, and all were put back."""
        talk = await asyncio.shield(self._talk)
        async with self._one_at_a_time:
            if talk is None or self._is_over:
                return None
            trial = _Trial(feed, report, talk, is_passed=self._takes_mail)
            try:
                await talk.carry(trial, trial.report)
            except (RestanteError, MalformedReply) as error:
                self._fail(str(error))
                return CarryEnd(f"{self._host}: {error}")
            except BaseException:
                self._fail(CUT)
                raise
            self._takes_mail = trial.is_passed
            self._is_over = self._is_over or trial.is_failed
            return None if trial.put_all_back() else CarryEnd()

    def _fail(self, error: str) -> None:
        self._is_over = True
        self.error = error


class LentCarrier:
    """What goes over a lent connection where that takes mail, and else by another carrier."""

    def __init__(self, line: LentLine, otherwise: Carrier) -> None:
        self._line = line
        self._otherwise = otherwise

    @property
    def target(self) -> str:
        """The next hop: both ways lead to the same host."""
        return self._otherwise.target

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """Carries until the feed ends or neither way takes more."""
        try:
            end = await self._line.carry(feed, report)
        finally:
            self.let_go()
        return await self._otherwise.carry(feed, report) if end is None else end

    def let_go(self) -> None:
        """The connection is needed no more; call it when the release is over, for it may never have begun."""
        self._line.let_go(self)


class _Trial:
    """A feed whose first item goes alone, until its answer shows whether mail is taken here at all.

    What could not even be tried, for what is offered here, is told only when that is known.
    """

    def __init__(self, feed: Feed, report: Report, talk: Conversation, *, is_passed: bool) -> None:
        self._feed = feed
        self._report = report
        self._talk = talk
        self._drawn: list[Parcel] = []
        self._untried: list[ItemOutcome] = []
        self._answered = asyncio.Event()
        self.is_passed = is_passed
        self.is_failed = False
        """Whether mail is not taken here."""

    async def next(self) -> Parcel | None:
        """The next, once the one before is answered."""
        if not self.is_passed and len(self._drawn) > len(self._untried):
            await self._answered.wait()
        if self.is_failed:
            return None
        parcel = await self._feed.next()
        if parcel is not None and not self.is_passed:
            self._drawn.append(parcel)
        return parcel

    def put_back(self, parcel: Parcel) -> None:
        """It is the next again."""
        self._feed.put_back(parcel)

    def report(self, outcome: ItemOutcome) -> None:
        """Hands on what was said of an item, unless it was said of the conversation before any was taken."""
        if self.is_passed:
            self._report(outcome)
        elif not self._talk.finished:
            self._untried.append(outcome)
        else:
            self._first_answered(outcome)

    def _first_answered(self, outcome: ItemOutcome) -> None:
        self._answered.set()
        if all(isinstance(said, Deferred) and said.is_of_conversation for _, said in outcome.outcomes):
            self.is_failed = True
            return
        self.is_passed = True
        self._drawn.clear()
        for each in (*self._untried, outcome):
            self._report(each)

    def put_all_back(self) -> bool:
        """Puts back what was drawn and not told of; whether there was any."""
        for parcel in reversed(self._drawn):
            self._feed.put_back(parcel)
        return bool(self._drawn)
