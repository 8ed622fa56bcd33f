"""The conversation with an office: greeting, EHLO, STARTTLS where it is offered, one ETRN a node, QUIT (RFC 1985).

Lock-step: ETRN may only be the last of a pipelined group (RFC 2920 §3.1), and each answer decides whether to go on.
ask() talks on a stream that stands; Office dials too, and gives up encryption where that is only opportunistic and
fails. Neither raises for what an office may do: refuse, hang, hang up, or talk nonsense; each is a Contact.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from restante.calls.answer import Refused, understand
from restante.errors import RestanteError
from restante.model import HostPort
from restante.net.stream import InjectedBytes, NotTrusted, Stream, StreamClosed, StreamTimeout
from restante.net.tls import IN_CLEAR, OPPORTUNISTIC, CertificateError, Pair, TlsLevel, TlsPolicy, client_context
from restante.smtp.reply import MalformedReply, Reply, ReplyReader

REPLY_SECONDS = 120.0
"""How long an office may take for one reply. RFC 5321 §4.5.3.2 gives 5 minutes; a window may have no more than that."""
DIAL_SECONDS = 30.0
QUIT_SECONDS = 5.0


class Dial(Protocol):
    """Opens a connection; net/dial.py has it."""

    async def __call__(self, host: HostPort, *, timeout: float) -> Stream:
        """Raises StreamClosed or StreamTimeout."""
        ...


Heard = Callable[[str, Reply], None]
"""Told of each node's reply as it comes."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How to speak: our EHLO name, the encryption, the seconds that one reply may take, and what we show as proof."""

    hostname: str
    tls: TlsPolicy = OPPORTUNISTIC
    patience: float = REPLY_SECONDS
    own: Pair | None = None
    """The certificate that we show where the office asks for one."""


@dataclass(frozen=True, slots=True)
class Contact:
    """How a conversation ended: `problem` is empty when every node was asked and answered.

    `is_final` tells that trying again soon will not help.
    """

    problem: str = ""
    is_final: bool = False


@dataclass(eq=False)
class ConversationEnded(RestanteError):
    """The office does not go on."""

    problem: str
    is_final: bool = False

    def __str__(self) -> str:
        return self.problem


class TlsFailed(ConversationEnded):
    """The handshake did not succeed; the connection is gone, another in clear may do."""


class Office:
    """An office that may be contacted more than once. `connected` is told of each connection that stands."""

    def __init__(
        self, host: HostPort, dial: Dial, manners: Manners, *, heard: Heard, connected: Callable[[], None]
    ) -> None:
        self._host = host
        self._dial = dial
        self._manners = manners
        self._heard = heard
        self._connected = connected

    async def contact(self, nodes: Sequence[str]) -> Contact:
        """Connects and asks for each node. Cancelling it closes the connection."""
        try:
            try:
                return await self._once(nodes)
            except TlsFailed:
                if not self._manners.tls.may_be_clear:
                    raise
                self._manners = replace(self._manners, tls=IN_CLEAR)
                return await self._once(nodes)
        except ConversationEnded as error:
            return Contact(f"{self._host}: {error.problem}", error.is_final)

    async def _once(self, nodes: Sequence[str]) -> Contact:
        try:
            stream = await self._dial(self._host, timeout=min(DIAL_SECONDS, self._manners.patience))
        except (StreamClosed, StreamTimeout) as error:
            return Contact(str(error))
        self._connected()
        try:
            await ask(stream, nodes, self._manners, heard=self._heard, server_name=self._host.host)
        finally:
            stream.end()
        return Contact()


async def ask(stream: Stream, nodes: Sequence[str], manners: Manners, *, heard: Heard, server_name: str) -> None:
    """Greets, asks for each node, takes leave; closing the stream is left to the caller. Raises ConversationEnded."""
    dialogue = _Dialogue(stream, manners.patience)
    try:
        await _greet(dialogue, manners, server_name)
        for number, node in enumerate(nodes):
            reply = await dialogue.command(f"ETRN {node}")
            heard(node, reply)
            if isinstance(answer := understand(reply), Refused) and answer.ends_asking:
                await dialogue.quit()
                left = ", ".join(nodes[number + 1 :])
                raise ConversationEnded(f"{left}: not asked after {reply.code}" if left else str(reply), is_final=True)
        await dialogue.quit()
    except (StreamClosed, StreamTimeout, InjectedBytes, MalformedReply) as error:
        raise ConversationEnded(str(error)) from None


async def _greet(dialogue: _Dialogue, manners: Manners, server_name: str) -> None:
    """From the greeting to where an ETRN may follow."""
    _expect(await dialogue.reply())
    offered = await _ehlo(dialogue, manners.hostname)
    if manners.tls.level is TlsLevel.OFF:
        return
    if "STARTTLS" not in offered:
        if not manners.tls.may_be_clear:
            raise ConversationEnded("does not offer STARTTLS", is_final=True)
        return
    reply = await dialogue.command("STARTTLS")
    if reply.code == 220:
        await dialogue.start_tls(manners, server_name)
        await _ehlo(dialogue, manners.hostname)
    elif not manners.tls.may_be_clear:
        raise ConversationEnded(f"STARTTLS: {reply}", is_final=reply.is_permanent)


async def _ehlo(dialogue: _Dialogue, hostname: str) -> frozenset[str]:
    """The keywords that are offered; none to one that knows only HELO (RFC 5321 §3.2)."""
    reply = await dialogue.command(f"EHLO {hostname}")
    if reply.is_permanent:
        _expect(await dialogue.command(f"HELO {hostname}"))
        return frozenset()
    _expect(reply)
    return frozenset(line.split(maxsplit=1)[0].upper() for line in reply.lines[1:] if line.strip())


def _expect(reply: Reply) -> None:
    if not reply.is_positive:
        raise ConversationEnded(str(reply), is_final=reply.is_permanent)


class _Dialogue:
    """One command, one reply."""

    def __init__(self, stream: Stream, patience: float) -> None:
        self._stream = stream
        self._patience = patience
        self._reader = ReplyReader()

    async def command(self, line: str) -> Reply:
        """Sends a command and reads its reply. Raises ConversationEnded at a 421, and what reading raises."""
        assert line.isprintable(), line
        if self._reader.has_unread or self._stream.unread:  # it would be taken for the reply to this one
            raise InjectedBytes("more was said than was asked for")
        self._stream.write(f"{line}\r\n".encode())
        return await self.reply()

    async def reply(self) -> Reply:
        """The next reply, within the office's time for it however slowly it talks."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while (reply := self._reader.next_reply()) is None:
            data = await self._stream.read(max(0.0, deadline - loop.time()))
            if not data:
                raise StreamClosed("hung up")
            self._reader.receive(data)
        if reply.code == 421:  # RFC 5321 §3.8: it closes, whatever was asked
            raise ConversationEnded(str(reply))
        return reply

    async def start_tls(self, manners: Manners, server_name: str) -> None:
        """The handshake; what was known of the office is forgotten with it (RFC 3207 §4.2)."""
        if self._reader.has_unread:
            raise InjectedBytes("more was sent than the reply to STARTTLS")
        try:
            context = client_context(manners.tls, manners.own)
        except CertificateError as error:
            raise ConversationEnded(str(error), is_final=True) from None
        try:
            await self._stream.start_tls(context, server_side=False, server_name=server_name)
        except NotTrusted as error:
            raise TlsFailed(str(error), is_final=True) from None
        except (StreamClosed, StreamTimeout) as error:
            raise TlsFailed(str(error)) from None

    async def quit(self) -> None:
        """Takes leave; what an office says to that changes nothing."""
        self._patience = min(self._patience, QUIT_SECONDS)
        with contextlib.suppress(RestanteError, MalformedReply):
            await self.command("QUIT")
