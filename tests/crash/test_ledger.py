"""The ledger counts as Jepsen's queue checker does, and its load and its sink understand each other."""

from __future__ import annotations

import uuid

import pytest
from bench.ledger import FIELD, Ledger, Load, Texts, Totals
from bench.ledger_sink import Sink
from bench.machine import free_port
from tests.waiting import until

TRACE = b"Received: from sender.example by office.example\r\n"


@pytest.fixture
def ledger() -> Ledger:
    """Three messages: one acknowledged, one not, one acknowledged late."""
    made = Ledger()
    for name, content in MESSAGES.items():
        made.attempted(name, content)
    made.acknowledged(FIRST)
    return made


FIRST, SECOND, THIRD = (str(uuid.UUID(int=number)) for number in (1, 2, 3))
MESSAGES = {name: Texts(7).next(name) for name in (FIRST, SECOND, THIRD)}


def test_an_acknowledged_message_that_does_not_come_out_is_lost(ledger: Ledger) -> None:
    """And one that was not acknowledged is not."""
    assert ledger.totals == Totals(attempted=3, acknowledged=1, lost=1)
    assert not ledger.ok
    assert FIRST in ledger.report()


def test_what_comes_out_whole_is_there_and_what_comes_twice_is_counted(ledger: Ledger) -> None:
    """Nobody is to blame for a duplicate, or for one that comes though its 250 did not."""
    for name in (FIRST, FIRST, SECOND):
        ledger.came_out(TRACE + MESSAGES[name])
    assert ledger.totals == Totals(attempted=3, acknowledged=1, duplicated=1, recovered=1)
    assert ledger.ok


@pytest.mark.parametrize(
    "altered",
    [
        MESSAGES[FIRST][:-3] + b"?\r\n",
        MESSAGES[FIRST][:-2],
        MESSAGES[FIRST] + b"more\r\n",
        MESSAGES[FIRST].replace(FIELD, b"X-Other: "),
        MESSAGES[FIRST].replace(FIRST.encode(), THIRD[:-1].encode() + b"9"),
    ],
)
def test_an_altered_message_is_lost_and_something_unexpected_is_there(ledger: Ledger, altered: bytes) -> None:
    """It was never tried like that."""
    ledger.came_out(TRACE + altered)
    assert ledger.totals == Totals(attempted=3, acknowledged=1, lost=1, unexpected=1)
    assert not ledger.ok


def test_a_message_without_a_trace_was_not_sent_by_the_server(ledger: Ledger) -> None:
    """What comes out begins with its Received field."""
    ledger.came_out(MESSAGES[FIRST])
    assert ledger.totals.unexpected == 1


def test_as_of_a_moment_only_what_was_acknowledged_then_is_owed(ledger: Ledger) -> None:
    """What was acknowledged later may be there, or not."""
    moment = ledger.entries[FIRST].acknowledged
    assert moment is not None
    ledger.acknowledged(THIRD)
    past = ledger.as_of(moment)
    past.came_out(TRACE + MESSAGES[FIRST])
    past.came_out(TRACE + MESSAGES[THIRD])
    assert past.totals == Totals(attempted=3, acknowledged=1, recovered=1)


async def test_a_load_into_the_sink_itself_comes_out_as_it_went_in() -> None:
    """By DATA with its dots, by BDAT many at once; all sizes; only the trace is missing here."""
    sent, came = Ledger(), _Untraced()
    async with Sink(came, free_port()) as sink, Load(sent, sink.port, connections=4):
        came.sent = sent
        await until(lambda: sent.totals.acknowledged > 20 and max(e.size for e in sent.entries.values()) > 20_000, 0.05)
    assert sent.totals.acknowledged == sent.totals.attempted > 20
    assert sent.ok, sent.report()
    assert max(entry.size for entry in sent.entries.values()) > 20_000


class _Untraced(Ledger):
    """Hands on what came out, with a trace before it."""

    sent: Ledger

    def came_out(self, content: bytes) -> None:
        self.sent.came_out(TRACE + content)
