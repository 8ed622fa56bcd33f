"""Frames between the server and its writer."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.engines import A

from restante.model import ItemId, MessageId
from restante.store.frames import Incoming, write_frame
from restante.store.jobs import Accept, Change, Job, Outcome, Settle, Verb, Written

ROOM = 4096
WRITTEN = Written(MessageId(1), 3, b"digest", 1.5, -2, b"abc", [(A, b"{}")])
JOBS: list[Job] = [
    Accept(1, WRITTEN),
    Settle(2, [Outcome(ItemId(3), None, "", 0.0), Outcome(ItemId(4), b"{}", "later", 2.5)], [WRITTEN]),
    Change(3, Verb.QUARANTINE, [1]),
]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A pair: what is written to the first is read from the second."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def _written(*contents: object) -> bytes:
    encoder = msgspec.msgpack.Encoder()
    return b"".join(write_frame(encoder, content) for content in contents)


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 64))
def test_frames_come_out_as_they_went_in_however_they_are_cut(contents: list[bytes], step: int) -> None:
    """Octets come as the kernel gives them."""
    octets = _written(*contents)
    incoming = Incoming(msgspec.msgpack.Decoder(bytes), ROOM)
    found: list[bytes] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for start in range(0, len(octets), step):
            ours.sendall(octets[start : start + step])
            found += incoming.receive(theirs)
    assert found == contents


def test_a_frame_larger_than_the_room_comes_out_whole(ends: tuple[socket.socket, socket.socket]) -> None:
    """One that holds many messages, between two small ones; afterwards the room is as it was."""
    contents = [b"before", b"x" * (2 * ROOM + 1), b"after"]
    octets = _written(*contents)
    incoming = Incoming(msgspec.msgpack.Decoder(bytes), ROOM)
    found: list[bytes] = []
    for start in range(0, len(octets), 500):
        ends[0].sendall(octets[start : start + 500])
        found += incoming.receive(ends[1])
    found += incoming.receive(ends[1])  # the room ended with the large one
    assert found == contents
    assert len(incoming._buffer) == ROOM


def test_jobs_cross_as_they_are(ends: tuple[socket.socket, socket.socket]) -> None:
    """Each kind, with each of its fields."""
    ends[0].sendall(_written(JOBS))
    assert Incoming(msgspec.msgpack.Decoder(list[Job]), ROOM).receive(ends[1]) == [JOBS]


def test_the_end_and_nonsense_and_silence_are_told_apart(ends: tuple[socket.socket, socket.socket]) -> None:
    """Who reads has to do something else for each."""
    incoming = Incoming(msgspec.msgpack.Decoder(list[Job]), ROOM)
    with pytest.raises(BlockingIOError):
        incoming.receive(ends[1], socket.MSG_DONTWAIT)
    ends[0].sendall(_written("nonsense"))
    with pytest.raises(msgspec.ValidationError):
        incoming.receive(ends[1])
    ends[0].close()
    with pytest.raises(EOFError):
        incoming.receive(ends[1])
