"""One transaction on its way into the spool: its recipients sorted by domain, its content gathered or streamed.

Our Received field goes first, so that what is stored is final. Content up to INLINE_LIMIT stays in memory until it is
accepted; what grows beyond goes to the spool's writer piece by piece, and is never whole in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Protocol

from restante.message.trace import HopCounter, opening, received
from restante.model import DeliverBy, DomainName, Envelope, Mailbox, MailParameters, MessageId, Principal, Recipient
from restante.smtp.reply import Reply
from restante.spool.spool import INLINE_LIMIT, Arrival, ContentWriter, Inbox

BEGINNING = 16 * 1024
MOST_TRACE = 4096
"""More octets than our Received field has."""


class Limiter(Protocol):
    """What one of the recipients' domains sets a limit to; server/admission.py is it."""

    def content(self, intake: Intake) -> Reply | None:
        """Why a message that has come whole is not taken; None: it is."""
        ...

    def hold_back(self, arrival: Arrival, beginning: bytes) -> Arrival:
        """The arrival with what is to be frozen; `beginning`: its header section, or the first BEGINNING octets."""
        ...

    def accepted(self, arrival: Arrival) -> None:
        """It is safe."""
        ...


class Origin:
    """Where a session's messages come from, as their Received fields tell it. `protocol` is ESMTP, ESMTPS, SMTP."""

    __slots__ = ("_hostname", "_opening", "_protocol", "name", "principal")

    def __init__(self, principal: Principal, name: str, protocol: str, hostname: str) -> None:
        self.principal = principal
        self.name = name
        self._protocol = protocol
        self._hostname = hostname
        self._opening = opening(name=name, principal=principal, hostname=hostname, protocol=protocol)

    def received(
        self,
        message: MessageId,
        recipient: Mailbox | None,
        wall: float,
        *,
        smtputf8: bool = False,
        priority: int | None = None,
    ) -> bytes:
        """The Received field of one message, with its line end."""
        return received(self._utf8() if smtputf8 else self._opening, message, recipient, wall, priority)

    def _utf8(self) -> str:
        """The opening for what is sent with SMTPUTF8, which few sessions need."""
        protocol = self._protocol.replace("ESMTP", "UTF8SMTP").replace("LMTP", "UTF8LMTP")  # RFC 6531 §4.3
        return opening(name=self.name, principal=self.principal, hostname=self._hostname, protocol=protocol)


class Intake:
    """One transaction. Made at MAIL, dropped or finished once."""

    __slots__ = (
        "_beginning",
        "_chunks",
        "_hops",
        "_origin",
        "_parameters",
        "_size",
        "_spool",
        "_started",
        "_wall",
        "_writer",
        "arrival",
        "by_domain",
        "id",
        "limiter",
        "priority",
        "recipients",
        "reverse_path",
    )

    def __init__(
        self, spool: Inbox, origin: Origin, reverse_path: Mailbox | None, parameters: MailParameters, wall: float
    ) -> None:
        self._spool = spool
        self._origin = origin
        self.reverse_path = reverse_path
        self._parameters = parameters
        self.priority = parameters.priority
        """May be lowered before content comes; None where none was asked for (RFC 6710)."""
        self._wall = wall
        self.id: MessageId = spool.new_id()
        self.by_domain: dict[DomainName, dict[str, Recipient]] = {}
        self.recipients = 0
        self._chunks: list[bytes] = []
        self._size = 0
        self._hops = HopCounter()
        self._writer: ContentWriter | None = None
        self._started = False
        self._beginning = b""
        self.limiter: Limiter | None = None
        """Set where a recipient's domain has limits for what it takes."""
        self.arrival: Arrival | None = None
        """What was handed in, where there is a limiter."""

    @property
    def hops(self) -> int:
        """How many Received fields the content came with."""
        return self._hops.hops

    @property
    def header_octets(self) -> int:
        """How long the header section that came is, as far as it has come."""
        return self._hops.header_octets

    @property
    def size(self) -> int:
        """Octets so far, our own field among them."""
        return self._size

    @property
    def expected(self) -> int:
        """Octets that MAIL has said; 0 where it has not (RFC 1870)."""
        return self._parameters.size or 0

    @property
    def waits_alone(self) -> bool:
        """Whether nothing more should be read of this peer before this one is accepted: so what waits stays small."""
        return self._size > INLINE_LIMIT

    def add(self, domain: DomainName, recipient: Recipient) -> None:
        """One more recipient; a second RCPT for the same mailbox is one recipient."""
        present = self.by_domain.setdefault(domain, {})
        if present.setdefault(recipient.mailbox.local, recipient) is recipient:
            self.recipients += 1

    @property
    def is_in_file(self) -> bool:
        """Whether there is something to be removed where it is dropped."""
        return self._writer is not None

    def fits(self, octets: int) -> bool:
        """Whether so many more octets of content stay in memory: then keep() them, else take() them."""
        return self._writer is None and self._size + octets + MOST_TRACE <= INLINE_LIMIT

    def keep(self, data: bytes) -> None:
        """The next octets of content, which fit."""
        self._chunks.append(self._counted(data))

    def _counted(self, data: bytes) -> bytes:
        self._hops.feed(data)
        if not self._started:
            self._started = True
            data = self._trace() + data
        self._size += len(data)
        return data

    async def take(self, data: bytes) -> None:
        """The next octets of content. Raises SpoolFull, SpoolBroken; then drop() is all that is left to do."""
        data = self._counted(data)
        if self._writer is None:
            self._chunks.append(data)
            if self._size <= INLINE_LIMIT:
                return
            self._writer = await self._open_writer()
            data = b"".join(self._chunks)
            self._beginning = data[:BEGINNING]
            self._chunks.clear()
        await self._writer.write(data)

    def _open_writer(self) -> Awaitable[ContentWriter]:
        """Where content goes that is too long for memory. Raises SpoolFull, SpoolBroken."""
        return self._spool.writer(self.id, self._parameters.size)

    def accept(self) -> Awaitable[None]:
        """Hands all to the spool; entered into the next commit at once. The result raises SpoolFull, SpoolBroken."""
        return self._hand_in(self._whole())

    def _whole(self) -> bytes | ContentWriter:
        """All of the content, which has ended."""
        if not self._started:  # an empty message is a message too
            self._started = True
            self._chunks.append(self._trace())
            self._size += len(self._chunks[0])
        if self._writer is not None:
            return self._writer
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def _hand_in(self, content: bytes | ContentWriter) -> Awaitable[None]:
        arrival = Arrival(
            self.id,
            content,
            self._size,
            [(domain, self._envelope(present.values())) for domain, present in self.by_domain.items()],
            self._wall,
            self.priority or 0,
        )
        if self.limiter is not None:
            beginning = content[:BEGINNING] if isinstance(content, bytes) else self._beginning
            arrival = self.arrival = self.limiter.hold_back(arrival, beginning)
        return self._spool.accept(arrival)

    async def drop(self) -> None:
        """Forgets all of it."""
        self._chunks.clear()
        if self._writer is not None:
            await self._writer.discard()

    def _envelope(self, recipients: Iterable[Recipient]) -> Envelope:
        given = self._parameters
        by = None if given.by is None else DeliverBy(self._wall + given.by.seconds, given.by.mode, given.by.trace)
        return Envelope(
            self.reverse_path,
            tuple(recipients),
            given.body,
            given.smtputf8,
            given.ret,
            given.envid,
            given.requiretls,
            by,
        )

    def _trace(self) -> bytes:
        only = None
        if self.recipients == 1:
            [present] = self.by_domain.values()
            [recipient] = present.values()
            only = recipient.mailbox
        smtputf8 = self._parameters.smtputf8
        return self._origin.received(self.id, only, self._wall, smtputf8=smtputf8, priority=self.priority)
