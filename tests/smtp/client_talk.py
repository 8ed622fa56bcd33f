"""Plays a script against a ClientEngine: `S:` is what the peer says, `C:` what the engine must have said by then."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import dedent

from restante.smtp.address import DomainName, Mailbox
from restante.smtp.client import Ahead, ClientEngine
from restante.smtp.client_events import ContentWanted, Ended, Event, Finished, Ready
from restante.smtp.command import PLAIN_MAIL, PLAIN_RCPT, MailParameters
from restante.smtp.offer import Outgoing

ANN = Mailbox("ann", DomainName("far.example"))
GREETING = """
    S: 220 site.example ESMTP
    C: EHLO office.example
    S: 250-site.example
"""
STREAM = (
    GREETING
    + """
    S: 250-PIPELINING
    S: 250 CHUNKING
"""
)
GROUP = (
    GREETING
    + """
    S: 250 PIPELINING
"""
)
LOCKSTEP = (
    GREETING
    + """
    S: 250 8BITMIME
"""
)


def message(
    *to: str, content: bytes | None = b"Hi\r\n", size: int | None = None, parameters: MailParameters = PLAIN_MAIL
) -> Outgoing:
    """A transaction from ann@far.example to these users of test.example."""
    recipients = [(Mailbox(user, DomainName("test.example")), PLAIN_RCPT) for user in to or ("bert",)]
    return Outgoing(ANN, parameters, recipients, len(content or b"") if size is None else size, content)


class Player:
    """One engine, the transactions that it is given as soon as it can begin them, and what came out."""

    def __init__(self, outgoing: Sequence[Outgoing], ahead: Ahead | None = None, pieces: Sequence[bytes] = ()) -> None:
        self.engine = ClientEngine("office.example", ahead)
        self.waiting = list(enumerate(outgoing))
        self.pieces = pieces
        self.events: list[Event] = []
        self.sent = b""

    def play(self, script: str, step: int | None = None) -> None:
        """Plays it whole, or in pieces of so many octets; what was said must be right at every turn."""
        expected = b""
        said = b""
        for line in [*filter(None, map(str.strip, dedent(script).splitlines())), "S: "]:
            who, _, text = line.partition(": ") if ": " in line else line.partition(":")
            octets = text.encode() + b"\r\n"
            if who == "C":
                if said:
                    self.hear(said, step)
                    said = b""
                expected += octets
            else:
                if not said:
                    self.go_on()
                    assert self.sent == expected, f"said {self.sent!r}, and not {expected!r}"
                if line != "S: ":
                    said += octets
        if said:
            self.hear(said, step)
            assert self.sent == expected, f"said {self.sent!r}, and not {expected!r}"

    def hear(self, data: bytes, step: int | None) -> None:
        """The peer's octets."""
        size = step or len(data)
        for start in range(0, len(data), size):
            self.engine.receive(data[start : start + size])
            while (event := self.engine.next_event()) is not None:
                self.take(event)
            self.go_on()

    def take(self, event: Event) -> None:
        """Keeps it, and gives content that is asked for."""
        self.events.append(event)
        if isinstance(event, ContentWanted):
            for number, piece in enumerate(self.pieces, start=1):
                if self.engine.wants_content(event.key):
                    self.engine.content(event.key, piece, last=number == len(self.pieces))

    def go_on(self) -> None:
        """Begins what may begin, and sends."""
        while self.waiting and self.engine.can_begin:
            self.engine.begin(*self.waiting.pop(0))
        self.sent += self.engine.data_to_send()

    def results(self) -> list[tuple[object, list[str]]]:
        """What became of each transaction, in order."""
        return [(e.key, [str(reply) for reply in e.replies]) for e in self.events if isinstance(e, Finished)]

    def end(self) -> str | None:
        """What the peer said as it left, where it did."""
        ends = [event for event in self.events if isinstance(event, Ended)]
        return str(ends[0].reply) if ends else None

    @property
    def ready(self) -> Ready:
        """What was offered."""
        return next(event for event in self.events if isinstance(event, Ready))


def play(
    script: str, *outgoing: Outgoing, ahead: Ahead | None = None, pieces: Sequence[bytes] = ()
) -> list[tuple[object, list[str]]]:
    """Plays a script in one piece, in sevens and octet by octet; what became of each transaction."""
    results = []
    for step in (None, 7, 1):
        player = Player(outgoing, ahead, pieces)
        player.play(script, step)
        results.append(player.results())
    assert results[0] == results[1] == results[2]
    return results[0]
