"""What the file `maildirsize` says, what it leaves out, and when it is not believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.transport import maildirsize
from restante.transport.maildirsize import MOST_OCTETS, SizeFile, Usage, make_anew, measure, parse


@pytest.mark.parametrize(
    ("text", "usage"),
    [
        (b"1000S\n0 0\n", Usage(0, 0, 1)),
        (b"1000S\n900 3\n-100 -1\n", Usage(800, 2, 2)),
        (b"1000S,50C\n     900      3\n", Usage(900, 3, 1)),
        (b"50C,1000S\n900 3\n", Usage(900, 3, 1)),
        (b"1000S\n9000 3\n", Usage(9000, 3, 1)),
        (b"1000S\n", None),
        (b"1000S", None),
        (b"", None),
        (b"999S\n900 3\n", None),
        (b"50C\n900 3\n", None),
        (b"1000S\n900 3", None),
        (b"1000S\n900 3\n10", None),
        (b"1000S\n900 3\n\0\0\0\0\0\0\0\n", None),
        (b"1000S\n900\n", None),
        (b"1000S\n900 3\n-901 -1\n", None),
        (b"1000S\n900 3\n-1 -4\n", None),
        (b"1000S\n\n", None),
        (b"1000S\n1e3 3\n", None),
    ],
)
def test_what_a_file_says(text: bytes, usage: Usage | None) -> None:
    """Its lines are added up; a line that was cut, another quota, or less than nothing: it is not believed."""
    assert parse(text, 1000) == usage


@given(st.binary(max_size=80))
def test_no_octets_confuse_it(text: bytes) -> None:
    """Whatever a crash has left there: a sum, or nothing."""
    usage = parse(b"1000S\n" + text, 1000)
    assert usage is None or (usage.octets >= 0 and usage.messages >= 0 and text.endswith(b"\n"))


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**6)), min_size=1, max_size=30))
def test_what_was_added_is_read(lines: list[tuple[int, int]]) -> None:
    """The sum of all lines."""
    text = b"7S\n" + b"".join(b"%d %d\n" % line for line in lines)
    assert parse(text, 7) == Usage(sum(o for o, _ in lines), sum(m for _, m in lines), len(lines))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A mailbox with a folder."""
    for folder in ("", ".lists"):
        for part in ("tmp", "new", "cur"):
            (tmp_path / "anna" / folder / part).mkdir(parents=True)
    return tmp_path / "anna"


def test_all_messages_of_all_folders_count(home: Path) -> None:
    """By the size in their names where it is there, else by the disk's word; not what is in tmp, nor what is hidden."""
    (home / "new" / "1.host,S=500").touch()
    (home / "cur" / "2.host,S=600,W=620:2,S").touch()
    (home / "cur" / "3.host:2,RS").write_bytes(b"x" * 7)
    (home / ".lists" / "cur" / "4.host,S=20:2,ST").touch()
    (home / ".Trash" / "cur").mkdir(parents=True)
    (home / ".Trash" / "cur" / "5.host,S=3:2,").touch()
    (home / "tmp" / "6.host,S=1000000").touch()
    (home / "cur" / ".nfs7,S=1000000").touch()
    (home / ".lists" / "dovecot.index.cache").write_bytes(b"x" * 999)
    (home / ".link").symlink_to(home)
    assert measure(home) == Usage(500 + 600 + 7 + 20 + 3, 5)


def test_made_anew_it_says_what_is_there(home: Path) -> None:
    """For its owner only, in one line, and nothing is left in tmp."""
    (home / "new" / "1.host,S=500").touch()
    assert make_anew(home, 10_000) == Usage(500, 1)
    assert (home / "maildirsize").read_text() == "10000S\n500 1\n"
    assert (home / "maildirsize").stat().st_mode & 0o777 == 0o600
    assert list((home / "tmp").iterdir()) == []


def test_what_came_while_it_was_counted_makes_it_vanish(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether it was counted; the next to ask counts again."""
    counted = maildirsize.measure

    def interrupted(folder: Path) -> Usage:
        usage = counted(folder)
        os.utime(home / ".lists" / "new", (1, 1))  # as a delivery into it would
        return usage

    monkeypatch.setattr(maildirsize, "measure", interrupted)
    assert make_anew(home, 10_000) == Usage(0, 0)
    assert not (home / "maildirsize").exists()


def test_lines_go_to_the_file_that_was_read(home: Path) -> None:
    """Also where somebody has put another in its place meanwhile: that is found out by its identity."""
    make_anew(home, 10_000)
    with SizeFile(home) as file:
        (home / "maildirsize").rename(home / "old")
        make_anew(home, 10_000)
        file.add(300, 1)
        with SizeFile(home) as other:
            assert file.identity != other.identity
            assert other.read(10_000) == Usage(0, 0)
        assert file.read(10_000) == Usage(300, 1, 2)
    assert (home / "old").read_text() == "10000S\n0 0\n300 1\n"


def test_a_long_file_is_made_anew(home: Path) -> None:
    """By the specification, at 5120 octets."""
    line = b"1000000 1\n"
    text = b"9000000000S\n" + line * ((MOST_OCTETS - 12) // len(line))
    (home / "maildirsize").write_bytes(text)
    with SizeFile(home) as file:
        assert file.read(9_000_000_000) is not None
        file.add(1_000_000, 1)
        assert file.read(9_000_000_000) is None


def test_a_link_in_its_place_is_not_followed(home: Path, tmp_path: Path) -> None:
    """What it leads to may be somebody else's."""
    (tmp_path / "theirs").write_text("10000S\n0 0\n")
    (home / "maildirsize").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match="symbolic link"):
        SizeFile(home)
