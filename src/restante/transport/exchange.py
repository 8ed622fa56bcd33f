"""Carries items to one mail host by whichever of its addresses lets us in (RFC 5321 §5.1, RFC 8305).

The first connection finds the address: one that does not answer, hangs up or says 421 at its greeting is passed over
for the next. Further connections go to the same. What happened is remembered for others who have that host to try.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from restante.errors import RestanteError
from restante.model import HostPort, IPAddress
from restante.mx.exchanges import Exchange
from restante.net.race import interleaved, race
from restante.net.stream import Stream, StreamClosed, StreamTimeout, TlsSeen
from restante.net.tls import TlsPolicy
from restante.smtp.reply import MalformedReply
from restante.transport.conversation import Conversation
from restante.transport.hosts import HostMemory
from restante.transport.smtp import DIAL_SECONDS, SmtpCarrier, SmtpMeans


def in_order(addresses: tuple[IPAddress, ...], is_down: Callable[[IPAddress], bool], random: Random) -> list[IPAddress]:
    """A host's addresses as they are tried: spread by chance, the families by turns, those that are down last."""
    return sorted(interleaved(random.sample(addresses, len(addresses))), key=is_down)


class ExchangeCarrier(SmtpCarrier):
    """One way to one mail host."""

    def __init__(
        self,
        exchange: Exchange,
        port: int,
        means: SmtpMeans,
        tls: TlsPolicy,
        *,
        hosts: HostMemory,
        random: Random,
        refuses: bool = False,
        tls_seen: TlsSeen | None = None,
    ) -> None:
        is_literal = exchange.host.startswith("[")
        name = str(exchange.addresses[0]) if is_literal else exchange.host
        super().__init__(HostPort(name, port), means, tls, refuses=refuses, tls_seen=tls_seen)
        self._hosts = hosts
        self._is_literal = is_literal
        self._name = name
        self._port = port
        self._left = in_order(exchange.addresses, lambda address: hosts.is_down(address, means.now()), random)
        self._at = self._left[0]
        """The address that was tried last."""
        self._is_in = False

    @property
    def target(self) -> str:
        """`mx1.test.example[192.0.2.7]:25`, with the address at which mail is taken."""
        return self._named(self._at)

    def _named(self, address: IPAddress) -> str:
        if self._is_literal:
            return str(HostPort(str(address), self._port))
        return f"{self._name}[{address}]:{self._port}"

    async def _connect(self) -> Conversation:
        """See SmtpCarrier; the first connection tries every address."""
        while True:
            try:
                talk = await super()._connect()
            except (RestanteError, MalformedReply):
                self._hosts.failed(self._at, self._means.now())
                if self._is_in or len(self._left) < 2:
                    raise
                self._left.remove(self._at)
            else:
                self._is_in = True
                self._left = [self._at]
                self._hosts.answered(self._at)
                return talk

    async def _dial(self) -> Stream:
        try:
            stream = await race(self._left, self._dial_one)
        except RestanteError:
            if not self._is_in:
                self._left.clear()
            raise
        self._at = stream.peer[0]
        return stream

    async def _dial_one(self, address: IPAddress) -> Stream:
        host = HostPort(str(address), self._port)
        try:
            return await self._means.dial(host, timeout=DIAL_SECONDS)
        except (StreamClosed, StreamTimeout) as error:
            self._at = address
            self._hosts.failed(address, self._means.now())
            raise type(error)(f"{self._named(address)}{str(error).removeprefix(str(host))}") from None
