"""Whether a file fits into its mailbox: what is written down when, and when all is counted again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.transport.mailbox import Copy
from restante.transport.maildirsize import make_anew, measure, parse
from restante.transport.quotas import FRESH_SECONDS, MailboxFull, Quotas, Reserved

QUOTA = 1000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty mailbox."""
    for part in ("tmp", "new", "cur"):
        (tmp_path / part).mkdir()
    return tmp_path


@pytest.fixture
def quotas() -> Quotas:
    return Quotas(QUOTA, time.time)


def written(home: Path, *sizes: int) -> list[Copy]:
    """Files in tmp, one for each size; none is called as another."""
    copies = []
    for size in sizes:
        copy = Copy(home, home, f"{time.monotonic_ns()}.R", b"x" * size)
        copy.begin()
        copies.append(copy)
    return copies


def deliver(quotas: Quotas, home: Path, *sizes: int) -> list[bool]:
    """From tmp to new; which of them fitted."""
    copies = written(home, *sizes)
    reserved = quotas.reserve(copies)
    for copy in copies:
        copy.attempt(Copy.sync)
        copy.attempt(Copy.publish)
    quotas.settle(reserved)
    return [copy.error is None for copy in copies]


def said(home: Path) -> list[str]:
    """The lines of the file."""
    return (home / "maildirsize").read_text().splitlines()


def test_what_fits_is_taken_in_order(quotas: Quotas, home: Path) -> None:
    """To the last octet; a smaller one that comes after one that was too large still has its place."""
    assert deliver(quotas, home, 600, 500, 400) == [True, False, True]
    assert said(home) == ["1000S", "0 0", "1000 2"]
    assert deliver(quotas, home, 1) == [False]
    assert [path.name for path in (home / "tmp").iterdir()] == []


def test_nothing_is_counted_where_there_is_no_quota(home: Path) -> None:
    """And no file is made."""
    assert deliver(Quotas(None, time.time), home, 5000) == [True]
    assert not (home / "maildirsize").exists()


def test_before_it_refuses_it_counts_again(quotas: Quotas, home: Path) -> None:
    """Somebody has removed a message and not said so: the lines do not tell, and the folders do."""
    assert deliver(quotas, home, 600) == [True]
    assert deliver(quotas, home, 300) == [True]
    next(path for path in (home / "new").iterdir() if path.stat().st_size == 600).unlink()
    assert deliver(quotas, home, 600) == [True]
    assert said(home) == ["1000S", "300 1", "600 1"]


def test_what_was_just_counted_is_believed(quotas: Quotas, home: Path) -> None:
    """A full mailbox is not read through at each attempt, but every quarter of an hour."""
    deliver(quotas, home, 900)
    make_anew(home, QUOTA)
    next((home / "new").iterdir()).unlink()
    assert deliver(quotas, home, 600) == [False]
    old = time.time() - FRESH_SECONDS - 1
    os.utime(home / "maildirsize", (old, old))
    assert deliver(quotas, home, 600) == [True]


def test_a_file_from_the_future_is_not_believed(quotas: Quotas, home: Path) -> None:
    """The clock has been put back: else it would be, for years."""
    deliver(quotas, home, 900)
    make_anew(home, QUOTA)
    os.utime(home / "maildirsize", (time.time() + 10**8,) * 2)
    next((home / "new").iterdir()).unlink()
    assert deliver(quotas, home, 600) == [True]


def test_another_quota_is_another_file(quotas: Quotas, home: Path) -> None:
    """The operator has changed it; what is there is counted, even if it is too much now."""
    deliver(quotas, home, 900)
    assert deliver(Quotas(500, time.time), home, 1) == [False]
    assert said(home) == ["500S", "900 1"]


def test_a_large_one_that_cannot_fit_is_ended_before_it_is_written(quotas: Quotas, home: Path) -> None:
    """And one that might is not."""
    deliver(quotas, home, 600)
    one, other = written(home, 1, 1)
    quotas.expect(one, 401)
    quotas.expect(other, 400)
    assert (type(one.error), other.error) == (MailboxFull, None)


def test_what_did_not_come_is_taken_back(quotas: Quotas, home: Path) -> None:
    """A file that could not be published; what was published although its sync failed is there, and counts."""
    gone, there = copies = written(home, 300, 200)
    reserved = quotas.reserve(copies)
    gone.fail(OSError(5, "broken"))
    there.publish()
    there.error = OSError(5, "broken")
    quotas.settle(reserved)
    assert said(home) == ["1000S", "0 0", "500 2", "-300 -1"]


@pytest.mark.parametrize("counted", ["before it came", "after it came"])
def test_who_counts_meanwhile_is_not_believed(quotas: Quotas, home: Path, counted: str) -> None:
    """What came between may be in no count: the file is removed, and whoever asks next counts all."""
    (copy,) = written(home, 300)
    reserved = quotas.reserve([copy])
    if counted == "before it came":
        make_anew(home, QUOTA)
    copy.publish()
    if counted == "after it came":
        make_anew(home, QUOTA)
    quotas.settle(reserved)
    assert not (home / "maildirsize").exists()
    assert deliver(quotas, home, 701, 700) == [False, True]


def test_a_file_that_did_not_last_is_no_reason_to_wait(quotas: Quotas, home: Path) -> None:
    """It vanished after it was made, as others wrote: what comes is counted next time."""
    (copy,) = written(home, 300)
    (taken,) = quotas.reserve([copy])
    (home / "maildirsize").unlink()
    copy.publish()
    quotas.settle([taken])
    assert not (home / "maildirsize").exists()
    make_anew(home, QUOTA)
    quotas.settle([Reserved(home, [copy], None)])
    assert not (home / "maildirsize").exists()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for very many mailboxes."""
    return tmp_path_factory.mktemp("many")


_STEPS = st.lists(
    st.one_of(st.integers(1, 400), st.sampled_from(["remove", "expunge", "damage", "forget"])), max_size=25
)


@given(_STEPS)
def test_it_never_holds_more_than_the_quota_and_never_refuses_what_fits(many: Path, steps: list[int | str]) -> None:
    """Whatever other programs do in it: remove mail with a word or without one, damage the file, or throw it away."""
    home = many / str(time.monotonic_ns())
    for part in ("tmp", "new", "cur"):
        (home / part).mkdir(parents=True)
    quotas = Quotas(QUOTA, lambda: time.time() + 2 * FRESH_SECONDS)  # never fresh
    for step in steps:
        held = measure(home).octets
        if isinstance(step, int):
            assert deliver(quotas, home, step) == [held + step <= QUOTA]
            continue
        file = home / "maildirsize"
        mail = next((home / "new").iterdir(), None)
        if step == "forget":
            file.unlink(missing_ok=True)
        elif step == "damage":
            file.write_bytes(b"1000S\n17")
        elif mail is not None:
            size = mail.stat().st_size
            mail.unlink()
            if step == "expunge" and file.exists():
                with file.open("a") as opened:
                    opened.write(f"{-size} -1\n")
        usage = parse(file.read_bytes(), QUOTA) if file.exists() else None
        assert usage is None or usage.octets >= measure(home).octets
