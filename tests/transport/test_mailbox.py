"""Folders that no name escapes, and files that are whole or not there."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.transport.mailbox import STALE_SECONDS, Copy, Folders, LineEnds, folder_for, folder_name


@pytest.mark.parametrize(
    ("name", "folder"),
    [("anna", "anna"), ("anna+lists", "anna+lists"), ("o'neil", "o%27neil"), ("..", "%2E."), (".", "%2E"),
     (".hidden", "%2Ehidden"), ("a/../b", "a%2F..%2Fb"), ("100%", "100%25"), ("grün", "gr%C3%BCn"), ("a\0b", "a%00b"),
     ("xn--bcher-kva.example", "xn--bcher-kva.example"), ("[192.0.2.1]", "%5B192.0.2.1%5D")],
)  # fmt: skip
def test_plain_names_stay_plain_and_all_others_are_encoded(name: str, folder: str) -> None:
    """What could mean something to a file system is written as %HH of its UTF-8 octets."""
    assert folder_name(name) == folder


@given(st.text(max_size=300))
def test_no_name_leaves_its_folder(name: str) -> None:
    """Whatever the name, its folder is one component of a path that every file system takes."""
    folder = folder_name(name)
    assert folder
    assert folder not in {".", ".."}
    assert "/" not in folder
    assert "\0" not in folder
    assert not folder.startswith(".")
    assert folder.isascii()
    assert len(folder) <= 255


@given(st.sets(st.one_of(st.text(max_size=8), st.text("%2E.-a", max_size=8), st.text("/", max_size=300)), max_size=40))
def test_no_two_names_share_a_folder(names: set[str]) -> None:
    """The empty name and the longest ones included."""
    assert len({folder_name(name) for name in names}) == len(names)


def test_a_mailbox_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """Root, domain, user, and the three folders of a Maildir: nobody else may look."""
    root = tmp_path / "mailboxes"
    Folders(root, time.time).prepare(root / "test.example" / "anna")
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    assert [str(path) for path in made] == [
        "mailboxes",
        "mailboxes/test.example",
        "mailboxes/test.example/anna",
        "mailboxes/test.example/anna/cur",
        "mailboxes/test.example/anna/new",
        "mailboxes/test.example/anna/tmp",
    ]
    assert {(tmp_path / path).stat().st_mode & 0o777 for path in made} == {0o700}


def test_the_first_use_syncs_every_directory_up_to_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mailbox that exists need not be on disk yet: it is synced once by each process, and not again."""
    synced: list[str] = []
    fsync = os.fsync

    def watched(file: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{file}").readlink().relative_to(tmp_path)))
        fsync(file)

    root = tmp_path / "mailboxes"
    Folders(root, time.time).prepare(root / "test.example" / "anna")
    monkeypatch.setattr(os, "fsync", watched)
    folders = Folders(root, time.time)
    folders.prepare(root / "test.example" / "anna")
    assert synced == ["mailboxes/test.example/anna", "mailboxes/test.example", "mailboxes", "."]
    folders.prepare(root / "test.example" / "anna")
    assert len(synced) == 4
    folders.forget([root / "test.example" / "anna"])
    folders.prepare(root / "test.example" / "anna")
    assert len(synced) == 8


def test_what_a_crash_left_in_tmp_goes_after_36_hours(tmp_path: Path) -> None:
    """At the first use of a mailbox; a younger file may be on its way from another program."""
    root = tmp_path / "mailboxes"
    folder = root / "test.example" / "anna"
    Folders(root, time.time).prepare(folder)
    for name, age in (("old", STALE_SECONDS + 60), ("young", STALE_SECONDS - 60)):
        (folder / "tmp" / name).write_bytes(b"x")
        os.utime(folder / "tmp" / name, (time.time() - age,) * 2)
        (folder / "new" / name).write_bytes(b"x")
        os.utime(folder / "new" / name, (0, 0))
    (folder / "tmp" / "folder").mkdir()
    Folders(root, time.time).prepare(folder)
    assert sorted(path.name for path in (folder / "tmp").iterdir()) == ["folder", "young"]
    assert sorted(path.name for path in (folder / "new").iterdir()) == ["old", "young"]


def test_a_copy_is_in_new_only_when_it_is_published(tmp_path: Path) -> None:
    """Until then it is in tmp, readable by its owner only; then it is gone from there, and its name tells its size."""
    folder = tmp_path / "mailboxes" / "test.example" / "anna"
    Folders(tmp_path / "mailboxes", time.time).prepare(folder)
    copy = Copy(folder, folder, "1.R1.host", b"head\n")
    copy.begin()
    copy.write(b"content\n")
    assert not list((folder / "new").iterdir())
    assert [path.stat().st_mode & 0o777 for path in (folder / "tmp").iterdir()] == [0o600]
    copy.write_out()
    copy.sync()
    copy.publish()
    copy.discard()
    assert not list((folder / "tmp").iterdir())
    assert (folder / "new" / "1.R1.host,S=13").read_bytes() == b"head\ncontent\n"


def test_a_step_that_fails_removes_the_file(tmp_path: Path) -> None:
    """And no later step is taken."""
    folder = tmp_path / "mailboxes" / "test.example" / "anna"
    Folders(tmp_path / "mailboxes", time.time).prepare(folder)
    copy = Copy(folder, folder, "1.R1.host", b"head\n")
    copy.attempt(Copy.begin)
    (folder / "new").rmdir()
    copy.attempt(Copy.sync)
    copy.attempt(Copy.publish)
    copy.attempt(Copy.begin)
    assert isinstance(copy.error, FileNotFoundError)
    assert not list((folder / "tmp").iterdir())


def made(home: Path, *names: str) -> Path:
    """A mailbox with these folders, as its user's mail program makes them."""
    for name in ("", *names):
        for part in ("tmp", "new", "cur"):
            (home / name / part).mkdir(parents=True)
    return home


@pytest.mark.parametrize(
    ("detail", "folder"),
    [("lists", ".lists"), ("Lists", ".lists"), ("Work", ".Work"), ("WORK", ".work"), ("work", ".work"),
     ("a-b_c9", ".a-b_c9"), ("", ""), ("none", ""), ("a.b", ""), (".", ""), ("..", ""), ("../bob", ""),
     ("lists/../../bob", ""), ("grün", ""), ("gr&APw-n", ""), ("lists\n", ""), ("link", ""), ("file", ""),
     ("half", "")],
)  # fmt: skip
def test_which_folder_a_detail_names(tmp_path: Path, detail: str, folder: str) -> None:
    """One that is there, as it is written or in lower case; no path, no other letters, no link, no half folder."""
    home = made(tmp_path / "anna", ".lists", ".Work", ".work", ".a-b_c9", ".a.b", ".gr&APw-n", "..", "...")
    made(tmp_path / "bob")
    (home / ".link").symlink_to(tmp_path / "bob")
    (home / ".file").touch()
    (home / ".half/new").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    assert folder_for(home, detail) == (home / folder if folder else home)
    assert sorted(tmp_path.rglob("*")) == before


@given(st.one_of(st.text(max_size=8), st.text("./a", max_size=8)))
def test_no_detail_leaves_the_mailbox(detail: str) -> None:
    """Whatever the address says and whatever lies around: the inbox, or a folder right below it, without more dots."""
    with tempfile.TemporaryDirectory() as folder:
        home = made(Path(folder) / "test.example" / "anna", "..", ".a", ".a/.a", "../.a")
        found = folder_for(home, detail)
        assert found in (home, home / ".a")


@given(st.binary(max_size=60).map(lambda raw: raw.replace(b"a", b"\r\n").replace(b"b", b"\r")), st.data())
def test_line_ends_are_converted_whatever_the_pieces(content: bytes, data: st.DataObject) -> None:
    """CRLF becomes LF, also where it is cut in two; a lone CR or LF is content."""
    cut = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    ends = LineEnds(keep=False)
    pieces = [content[a:b] for a, b in zip([0, *cut], [*cut, len(content)], strict=True)]
    assert b"".join(map(ends.feed, pieces)) + ends.end() == content.replace(b"\r\n", b"\n")


@given(st.lists(st.binary(max_size=9)))
def test_kept_line_ends_are_kept(pieces: list[bytes]) -> None:
    """Every octet as it came."""
    ends = LineEnds(keep=True)
    assert b"".join(map(ends.feed, pieces)) + ends.end() == b"".join(pieces)
