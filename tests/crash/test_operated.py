"""The ledger with notices counts what it should: a message has one end, and of each there is one notice."""

from __future__ import annotations

import uuid

import pytest
from bench.ledger import Texts, Totals
from tests.crash.operated import LARGEST, Ends

TRACE = b"Received: by office.example\r\n"
SMALL, LARGE = (str(uuid.UUID(int=number)) for number in (1, 2))
MESSAGES = {
    SMALL: Texts(7, ((1, 100, 2_000),)).next(SMALL),
    LARGE: Texts(7, ((1, LARGEST + 1000, LARGEST + 2000),)).next(LARGE),
}


def notice(name: str, number: int, subject: str = "Not delivered") -> bytes:
    """A notice about a message."""
    return (
        f"From: Mail Delivery System <MAILER-DAEMON@office.example>\r\nSubject: {subject}\r\n"
        f"Message-ID: <{number}@office.example>\r\n\r\nX-Ledger: {name}\r\n"
    ).encode()


def announced(number: int) -> bytes:
    """What the recipient of the large message is told."""
    return notice(LARGE, number, "A message for you is too large for the link")


@pytest.fixture
def ends() -> Ends:
    """Both are acknowledged, of the large one it was told, and none has come out."""
    made = Ends()
    for name, content in MESSAGES.items():
        made.attempted(name, content)
        made.acknowledged(name)
    made.came_out(announced(1))
    return made


def test_what_went_back_is_not_lost(ends: Ends) -> None:
    """The same notice may come twice."""
    assert (ends.totals.lost, ends.ok) == (2, False)
    for name in MESSAGES:
        ends.came_out(notice(name, 7))
        ends.came_out(notice(name, 7))
    ends.came_out(announced(1))
    assert ends.totals == Totals(attempted=2, acknowledged=2)
    assert ends.ok


def test_what_came_out_and_went_back_is_a_duplicate(ends: Ends) -> None:
    """It may be so where a process died."""
    for content in MESSAGES.values():
        ends.came_out(TRACE + content)
    ends.came_out(notice(SMALL, 7))
    assert ends.totals == Totals(attempted=2, acknowledged=2, duplicated=1)
    assert ends.ok


@pytest.mark.parametrize(
    "more", [[notice(SMALL, 7), notice(SMALL, 8)], [announced(2)], [notice(str(uuid.UUID(int=9)), 7)]]
)
def test_a_second_notice_or_one_of_nothing_is_wrong(ends: Ends, more: list[bytes]) -> None:
    """Each end has one."""
    for content in (*(TRACE + content for content in MESSAGES.values()), *more):
        ends.came_out(content)
    assert not ends.ok


def test_a_large_one_of_which_nobody_was_told_is_wrong() -> None:
    """Both are there, or neither."""
    made = Ends()
    made.attempted(LARGE, MESSAGES[LARGE])
    assert made.wrong == []
    made.came_out(TRACE + MESSAGES[LARGE])
    (wrong,) = made.wrong
    assert wrong.endswith("told 0 times")
    assert not made.ok
