"""An AUTH exchange on the wire: lines of base64 (RFC 4954 §4), and the client's side of one.

What the mechanisms say is in smtp/sasl.py; here it becomes lines.
"""

from __future__ import annotations

import base64
import binascii

from restante.smtp.reply import Reply
from restante.smtp.sasl import Aborted, ClientExchange

MAX_EXCHANGE_LINE = 12288  # RFC 4954 §4, with the CR LF
MAX_INITIAL_LINE = 512  # RFC 4954 §4: AUTH itself is a command line as ever (RFC 5321 §4.5.3.1.4)


def decode(text: str | bytes) -> bytes:
    """The octets that a line of base64 stands for. Raises ValueError for anything but strict base64 (RFC 4648 §4)."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    if len(text) != (len(data) + 2) // 3 * 4:  # Python takes padding where there is nothing to pad
        raise ValueError("not base64: too much padding")
    return data


def encode(data: bytes) -> str:
    """Octets as a line of base64."""
    return base64.b64encode(data).decode("ascii")


class Login:
    """The client's side of one exchange, as lines. `problem` tells why we cancelled it, where we did."""

    def __init__(self, mechanism: str, exchange: ClientExchange) -> None:
        self._mechanism = mechanism
        self._exchange = exchange
        self._kept: bytes | None = None  # an initial response that is too long to go with the command
        self.problem = ""

    @property
    def may_succeed(self) -> bool:
        """Whether a 235 can be believed now."""
        return self._exchange.may_succeed and self._kept is None and not self.problem

    def command(self) -> bytes:
        """AUTH, with the initial response where there is one and it fits."""
        initial = self._exchange.initial
        if initial is not None:
            whole = _line(f"AUTH {self._mechanism} {encode(initial) or '='}")
            if len(whole) <= MAX_INITIAL_LINE:
                return whole
            self._kept = initial
        return _line(f"AUTH {self._mechanism}")

    def respond(self, challenge: Reply) -> bytes:
        """What to say to a 334: a response, or `*`."""
        try:
            data = decode(" ".join(challenge.lines))
        except ValueError:
            return self._cancel("the challenge is not base64")
        if self._kept is not None and not data:
            response: bytes | Aborted = self._kept
            self._kept = None
        else:
            response = self._exchange.respond(data)
        return self._cancel(response.why) if isinstance(response, Aborted) else _line(encode(response))

    def _cancel(self, problem: str) -> bytes:
        self.problem = problem
        return b"*\r\n"


def _line(text: str) -> bytes:
    return f"{text}\r\n".encode("ascii")
