"""The errand of ATRN (RFC 2645): asking the office to turn the connection round, and taking what it then sends.

We are the server of that connection from our 220 on. Who serves is handed in; what was acknowledged is ours, however
the session ends, and what was not waits at the office.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from restante.facts import Announce
from restante.model import DomainName
from restante.net.stream import InjectedBytes, Stream
from restante.smtp.client_events import Answered, Turned
from restante.smtp.reply import Reply
from restante.transport.greeting import Dialogue, Unwelcome
from restante.transport.lent import LentLine


class Served(Protocol):
    """A session in which the office sends us mail; server/ has it."""

    async def run(self) -> None:
        """Serves until the office leaves, or is made to."""
        ...

    def stop(self) -> None:
        """Ends it with 421, not inside a message."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the office has taken its leave: it had no more."""
        ...


Serve = Callable[[Stream, frozenset[DomainName], Announce], Served]
"""Makes such a session, which takes mail for these domains only (none named: for all of ours), and tells its facts."""


class Turn:
    """The errand, once for each contact. `heard` is told the reply to ATRN, `announce` what the session takes.

    Before it asks, the connection is lent as `line`, for mail of ours.
    """

    def __init__(
        self,
        domains: Sequence[DomainName],
        serve: Serve,
        *,
        heard: Callable[[Reply], None],
        announce: Announce,
        line: LentLine | None = None,
    ) -> None:
        self._domains = tuple(domains)
        self._serve = serve
        self._heard = heard
        self._announce = announce
        self._line = line
        self._is_lent = False
        self._session: Served | None = None
        self._stream: Stream | None = None
        self._stopped = False

    @property
    def received(self) -> int:
        """Octets that have come over the connection that was turned round."""
        return self._stream.received if self._stream is not None else 0

    @property
    def is_carrying(self) -> bool:
        """Whether mail moves over the connection: ours, or theirs when it is turned round."""
        return self._is_lent or self._session is not None

    def stop(self) -> None:
        """Ends the session where there is one, or keeps it from being asked for; the message on its way may arrive."""
        self._stopped = True
        if self._session is not None:
            self._session.stop()

    async def errand(self, dialogue: Dialogue) -> None:
        """Asks, and serves. Raises Unwelcome where the office left before it had sent all, and what asking raises."""
        if self._line is not None:
            await self._lend(self._line, dialogue)
        dialogue.patience = float("inf")  # RFC 2645 §5.2.1: 10 minutes at least; the window bounds it
        dialogue.engine.atrn(self._domains)
        event = await dialogue.event()
        if isinstance(event, Answered):
            self._heard(event.reply)
            await dialogue.leave()
            return
        assert isinstance(event, Turned), event
        if dialogue.stream.unread:  # it has to wait for our 220
            raise InjectedBytes("more was sent than the reply to ATRN")
        self._stream = dialogue.stream
        session = self._session = self._serve(dialogue.stream, frozenset(self._domains), self._announce)
        self._heard(event.reply)
        try:
            await session.run()
        finally:
            self._session = None
        if not session.is_complete and not self._stopped:
            raise Unwelcome("left before it had sent all")

    async def _lend(self, line: LentLine, dialogue: Dialogue) -> None:
        self._is_lent = True
        try:
            await line.lend(dialogue)
        finally:
            self._is_lent = False
        if self._stopped:
            await dialogue.leave()
            raise Unwelcome("stopped before ATRN", is_final=True)
