"""Frames over a socket between the server and its writer: four octets of length, then msgpack."""

from __future__ import annotations

import socket
from typing import Generic, TypeVar

import msgspec

LENGTH = 4

_T = TypeVar("_T")


def write_frame(encoder: msgspec.msgpack.Encoder, content: object) -> bytearray:
    """A frame that holds `content`."""
    frame = bytearray(LENGTH)
    encoder.encode_into(content, frame, LENGTH)
    frame[:LENGTH] = (len(frame) - LENGTH).to_bytes(LENGTH, "big")
    return frame


class Incoming(Generic[_T]):
    """What comes from the other end, cut into frames and decoded.

    At most `room` octets are read at once, into a buffer that stays: a fresh one for each read is mapped and unmapped
    by the kernel each time, which costs more than all else here. A frame that is larger makes it larger for its time.
    """

    def __init__(self, decoder: msgspec.msgpack.Decoder[_T], room: int) -> None:
        self._decode = decoder.decode
        self._room = room
        self._buffer = bytearray(room)
        self._filled = 0

    def receive(self, connection: socket.socket, flags: int = 0) -> list[_T]:
        """Reads once; the contents of the frames that are whole now.

        Raises EOFError at the end, BlockingIOError when nothing is there, other OSErrors, MsgspecError for nonsense.
        """
        told: list[_T] = []
        at = needed = 0
        with memoryview(self._buffer) as buffer:
            count = connection.recv_into(buffer[self._filled :], 0, flags)
            if not count:
                raise EOFError
            filled = self._filled + count
            while filled - at >= LENGTH:
                start = at + LENGTH
                end = start + int.from_bytes(buffer[at:start], "big")
                if end > filled:
                    needed = end - at
                    break
                told.append(self._decode(buffer[start:end]))
                at = end
        self._keep(at, filled, needed)
        return told

    def _keep(self, start: int, end: int, needed: int) -> None:
        """Of the buffer only what lies there is kept, with room for so many octets at least."""
        self._filled = end - start
        if start and self._filled:
            self._buffer[: self._filled] = self._buffer[start:end]
        if needed > len(self._buffer):
            self._buffer.extend(bytes(needed - len(self._buffer)))
        elif not self._filled and len(self._buffer) > self._room:
            self._buffer = bytearray(self._room)
