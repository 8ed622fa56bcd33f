"""Users, networks, files and lists of recipients, as the configuration writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.config.forms import Unfit, UnfitFile
from restante.config.words import existing, parse_network, parse_user, read_recipients
from restante.directory.entries import Recipients
from restante.smtp.address import DomainName, Mailbox


@pytest.mark.parametrize("name", ["anna", "a.b", "o'brien", "a+tag", "ä", "x" * 64, "#1", "2"])
def test_a_user_is_a_plain_local_part(name: str) -> None:
    """In lower case, as it will be compared."""
    assert parse_user(name.upper()) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".anna", "anna.", "a..b", "a/b", "../x", "a b", " a", "a\n", "a\0b", '"a"', 'a"b', "a\\b", "<a>",
     "a,b", "(a)", "a:b", "[a]", "x" * 65, "ä" * 33, "a\N{RIGHT-TO-LEFT OVERRIDE}b", "\x80", "a@b"],
)  # fmt: skip
def test_a_silly_user_is_refused(name: str) -> None:
    """What means something to a file system, cannot be written to without quotes, or cannot be seen."""
    with pytest.raises(ValueError):
        parse_user(name)


@given(st.text(max_size=12))
def test_a_user_can_be_written_to_by_its_name(name: str) -> None:
    """Whatever is taken is what a recipient's local part is compared with, and no path."""
    try:
        user = parse_user(name)
    except ValueError:
        return
    assert Mailbox.parse(f"{user}@user.example").key == user
    assert str(Mailbox(user, DomainName("user.example"))) == f"{user}@user.example"
    assert user not in (".", "..")
    assert os.sep not in user


def test_a_network_with_bits_of_a_host_is_told_what_was_meant() -> None:
    """What is no network at all is simply none."""
    with pytest.raises(Unfit, match=r"did you mean '2001:db8::/64'\?"):
        parse_network("2001:db8::25/64")
    with pytest.raises(ValueError) as caught:
        parse_network("192.0.2")
    assert not isinstance(caught.value, Unfit)


def test_a_list_has_addresses_domains_and_remarks(tmp_path: Path) -> None:
    """A `#` inside an address is part of it; local parts are compared without case, domains as A-labels."""
    file = tmp_path / "list.txt"
    file.write_text(
        "\N{ZERO WIDTH NO-BREAK SPACE}# the branch\r\n"
        "Anna@TEST.example\r\n"
        "\n"
        "  a#b@test.example   # Albert\n"
        "@Sub.test.example\t# all of them\n"
        "  # nothing\n"
        "c@b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example",
        "utf-8",
    )
    assert read_recipients(file) == Recipients(
        frozenset({"anna@test.example", "a#b@test.example", "c@xn--bcher-kva.example"}),
        frozenset({DomainName("sub.test.example")}),
    )


def test_an_empty_list_is_a_list_of_nobody(tmp_path: Path) -> None:
    """Not the same as none."""
    (tmp_path / "list.txt").touch()
    assert read_recipients(tmp_path / "list.txt") == Recipients()


def test_each_bad_line_is_a_problem_with_its_number(tmp_path: Path) -> None:
    """The others are not in its way."""
    file = tmp_path / "list.txt"
    file.write_text("anna\nanna@test.example\n\n@\nanna@test.example, bert@test.example\n@[192.0.2.1]\n")
    with pytest.raises(UnfitFile) as caught:
        read_recipients(file)
    assert [str(problem) for problem in caught.value.problems] == [
        f"{file}: line {number}: found {found}, allowed: an address or @domain"
        for number, found in (
            (1, "'anna'"),
            (4, "'@'"),
            (5, "'anna@test.example, bert@test.example'"),
            (6, "'@[192.0.2.1]'"),
        )
    ]


def test_a_file_that_is_no_list_does_not_fill_the_screen(tmp_path: Path) -> None:
    """Fifty lines, and how many more there are."""
    file = tmp_path / "list.txt"
    file.write_text("no\n" * 1234)
    with pytest.raises(UnfitFile) as caught:
        read_recipients(file)
    assert len(caught.value.problems) == 51
    assert str(caught.value.problems[-1]) == (
        f"{file}: line 1234: found 1184 more such lines up to here, allowed: an address or @domain"
    )


def test_a_list_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    """A pipe among them, that would keep the reader waiting for ever."""
    (tmp_path / "latin1.txt").write_bytes(b"caf\xe9@test.example\n")
    os.mkfifo(tmp_path / "pipe")
    for name, why in (
        ("none.txt", "no file "),
        (".", "a folder"),
        ("latin1.txt", "not UTF-8"),
        ("pipe", "not a regular file"),
        ("x" * 300, "cannot be read: File name too long"),
    ):
        with pytest.raises(Unfit, match=why):
            read_recipients(tmp_path / name)


def test_a_file_below_a_file_is_not_there(tmp_path: Path) -> None:
    """As if it had never been made."""
    (tmp_path / "a").touch()
    with pytest.raises(Unfit, match="no file "):
        existing(tmp_path / "a/b")
    assert existing(tmp_path / "a") == tmp_path / "a"
