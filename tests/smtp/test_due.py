"""Replies in order, and promises among them."""

from __future__ import annotations

import pytest

from restante.smtp.due import Due, Promise
from restante.smtp.reply import OK


def test_what_stands_behind_a_promise_waits_for_it() -> None:
    """What stands before does not."""
    due, promise = Due(), Promise()
    assert due.take() == b""
    due.extend([b"one\r\n", promise, b"three\r\n"])
    assert due.take() == b"one\r\n"
    assert (due.take(), len(due)) == (b"", 2)
    promise.settle(OK)
    assert due.take() == bytes(OK) + b"three\r\n"
    assert (due.take(), len(due)) == (b"", 0)


def test_a_promise_is_kept_once() -> None:
    """A second reply would answer the next command."""
    promise = Promise()
    promise.settle(OK)
    with pytest.raises(AssertionError):
        promise.settle(OK)
