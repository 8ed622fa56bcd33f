"""TLS between a connection and a stream: asyncio's own forgets whether the peer has said that it ends.

Below is the loop's transport, above an AsyncioStream, which is told the same things as without TLS. A connection that
ends without close_notify is lost, not ended (RFC 8446 §6.1): who cuts it must not be able to end what is being said.
What comes behind a close_notify is not read, in clear least of all.
"""

from __future__ import annotations

import asyncio
from typing import Any

from restante.net.stream import StreamClosed, TlsBroken, TlsLayer, TlsSession


class TlsTransport(asyncio.Protocol):
    """One TLS session over `below`; `above` hears what comes out of it. handshake() comes first, and once."""

    def __init__(self, below: asyncio.Transport, layer: TlsLayer, above: asyncio.Protocol) -> None:
        self._below = below
        self._layer = layer
        self._above = above
        self._shaken: asyncio.Future[TlsSession] | None = asyncio.get_running_loop().create_future()
        self._is_ended = False
        self._is_closing = False
        self._error: StreamClosed | None = None

    async def handshake(self, begun: bytes = b"") -> TlsSession:
        """Takes the connection over, and gives what was agreed; `begun` is what has come of the handshake already.

        Raises StreamClosed; the connection is closed then.
        """
        assert self._shaken is not None, "the handshake is over"
        self._below.set_protocol(self)
        if begun:
            self._layer.receive(begun)
        shaken = self._shaken
        self._shake()
        return await shaken

    def _shake(self) -> None:
        assert self._shaken is not None, "the handshake is over"
        try:
            session = self._layer.session() if self._layer.handshake() else None
        except StreamClosed as error:
            self._fail(error)
            return
        self._send()
        if session is not None:
            shaken, self._shaken = self._shaken, None
            if not shaken.done():  # else nobody waits for it any more
                shaken.set_result(session)
            self._decrypt()

    def _decrypt(self) -> None:
        try:
            data = self._layer.read()
        except StreamClosed as error:
            self._fail(error)
            return
        self._send()  # answers of TLS itself: that it does not renegotiate, that it takes a new key
        if data:
            self._above.data_received(data)
        if self._layer.is_ended and not self._is_ended:
            self._is_ended = True
            self._above.eof_received()

    def _send(self) -> None:
        if data := self._layer.data_to_send():
            self._below.write(data)

    def _fail(self, error: StreamClosed) -> None:
        """Tells the peer, where there is something to tell, and closes; `above` hears it when that is done."""
        self._error = error
        self._is_closing = True
        self._send()
        self._below.close()
        if self._shaken is not None and not self._shaken.done():
            self._shaken.set_exception(error)

    # what the loop calls

    def data_received(self, data: bytes) -> None:
        """Bytes of the connection."""
        if self._is_closing or self._is_ended:
            return
        self._layer.receive(data)
        if self._shaken is not None:
            self._shake()
        else:
            self._decrypt()

    def eof_received(self) -> None:
        """The connection ends, which closes it: nobody is there to hear more."""
        if self._is_closing:
            return
        if self._shaken is not None:
            self._fail(TlsBroken("the connection was closed in the TLS handshake"))
        elif self._is_ended:
            self.close()
        else:
            self._fail(TlsBroken("the TLS session was cut off without close_notify"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._is_closing = True
        if self._shaken is not None and not self._shaken.done():
            self._shaken.set_exception(TlsBroken(f"the connection was lost in the TLS handshake: {exc or 'closed'}"))
        self._above.connection_lost(self._error or exc)

    def pause_writing(self) -> None:
        """Too much is queued."""
        self._above.pause_writing()

    def resume_writing(self) -> None:
        """Little enough is queued again."""
        self._above.resume_writing()

    # what a stream calls

    def write(self, data: bytes) -> None:
        """Sends bytes through TLS; of no effect once it is closing."""
        if self._is_closing:
            return
        assert self._shaken is None, "nothing is said before the handshake is over"
        try:
            self._layer.write(data)
        except StreamClosed as error:
            self._fail(error)
            return
        self._send()

    def close(self) -> None:
        """Says that it ends, and closes when what is queued has been sent."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._shaken is None:
            self._layer.end()
            self._send()
        self._below.close()

    def abort(self) -> None:
        """Closes at once."""
        self._is_closing = True
        self._below.abort()

    def pause_reading(self) -> None:
        """Takes nothing more from the connection."""
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Takes from the connection again."""
        self._below.resume_reading()

    def get_extra_info(self, name: str) -> Any:
        """What the connection's transport knows."""
        return self._below.get_extra_info(name)
