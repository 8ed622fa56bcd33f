"""What is kept for a short while: for one session, once, and not for long."""

from __future__ import annotations

import asyncio

import pytest
from tests.waiting import until

from restante.web.pages import once
from restante.web.pages.once import Once


async def test_it_is_taken_once_by_whose_it_is() -> None:
    """Another session has nothing of it; looking leaves it."""
    kept: Once[str] = Once()
    kept.put("one", "test.example", "secret")
    assert kept.take("another", "test.example") is None
    assert kept.look("one", "test.example") == "secret"
    assert kept.take("one", "test.example") == "secret"
    assert kept.take("one", "test.example") is None


async def test_it_goes_by_itself() -> None:
    """When its time is over; what took its place meanwhile stays for its own."""
    kept: Once[str] = Once(0.01)
    kept.put("one", "test.example", "secret")
    await until(lambda: kept.look("one", "test.example") is None)
    longer: Once[str] = Once(0.01)
    longer.put("one", "test.example", "first")
    longer._seconds = 1000
    longer.put("one", "test.example", "second")
    await asyncio.sleep(0.05)
    assert longer.look("one", "test.example") == "second"


async def test_there_are_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest gives way."""
    monkeypatch.setattr(once, "MOST", 2)
    kept: Once[str] = Once()
    for name in "abc":
        kept.put("one", name, name)
    assert [kept.look("one", name) for name in "abc"] == [None, "b", "c"]
