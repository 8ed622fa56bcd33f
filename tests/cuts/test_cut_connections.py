"""A release whose connection is cut after every octet, both ways: 0 lost, 0 bounced, 0 altered, 2 copies at most."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cuts import runs
from tests.cuts.office import letter, numbers
from tests.cuts.proxy import Cut, Direction
from tests.cuts.runs import Tally


async def test_every_octet_to_restante(tmp_path: Path) -> None:
    """Three messages, streamed; whatever was not confirmed goes with the next release."""
    tally = await runs.to_own_site(tmp_path, runs.every())
    assert len(tally.cuts) > 700
    assert {cut.direction for cut in tally.cuts} == set(Direction)
    assert tally.in_doubt.total() > 100, "nothing was ever in doubt: what has this shown?"


async def test_messages_in_many_chunks_to_restante(tmp_path: Path) -> None:
    """1.3 MB by chunks, asked for first, and what is read from a file."""
    tally = await runs.to_own_site_with_large_ones(tmp_path, runs.somewhere(30))
    assert len(tally.cuts) == 30


async def test_under_tls_to_restante(tmp_path: Path) -> None:
    """A cut inside a record makes nothing delivered; one inside the handshake is tried again in clear."""
    tally = await runs.to_own_site_by_tls(tmp_path, runs.every(97))
    assert len(tally.cuts) > 20


@pytest.mark.peer
@pytest.mark.parametrize("with_chunking", [True, False], ids=["CHUNKING", "DATA"])
async def test_every_25th_octet_to_postfix(tmp_path: Path, *, with_chunking: bool) -> None:
    """The same with a foreign server at the other end, streamed and in groups of commands."""
    tally = await runs.to_postfix(tmp_path, runs.every(25), with_chunking=with_chunking)
    assert len(tally.cuts) > 30
    assert tally.in_doubt.total() > 0


CUT = Cut(Direction.TO_SERVER, 1)


@pytest.mark.parametrize(
    ("copies", "in_doubt", "complaint"),
    [(0, 0, "0 copies"), (0, 1, "0 copies"), (2, 0, "2 copies"), (3, 1, "3 copies"), (1, 0, ""), (2, 1, "")],
)
def test_a_tally_sees_what_is_lost_and_what_came_too_often(copies: int, in_doubt: int, complaint: str) -> None:
    """No copy is too few, and one more than the cuts that left it in doubt too many."""
    tally = Tally(sent=[letter(0)], cut_of=[CUT])
    tally.in_doubt[0] = in_doubt
    if complaint:
        with pytest.raises(AssertionError, match=complaint):
            tally.compare([0] * copies)
    else:
        tally.compare([0] * copies)


def test_an_altered_message_is_seen() -> None:
    """A line that is gone, though the last one is there."""
    sent = [letter(0)]
    trace = b"Received: from x\r\n"
    assert list(numbers(sent, trace + sent[0])) == [0]
    with pytest.raises(AssertionError, match="altered"):
        list(numbers(sent, trace + sent[0].replace(b".two\r\n", b"")))
