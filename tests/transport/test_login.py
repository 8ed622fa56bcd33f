"""restante.transport.login: the password of a login at a next hop comes out of its file, each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from restante.directory.entries import OwnLogin
from restante.smtp.sasl import Credentials
from restante.transport.login import PasswordUnreadable, credentials_of


def test_the_file_is_read_each_time(tmp_path: Path) -> None:
    """Its first line; a password that was changed counts for the next connection."""
    file = tmp_path / "password"
    login = OwnLogin("branch", file)
    file.write_text("first\r\nnot this\n")
    assert credentials_of(login) == Credentials("branch", "first")
    file.write_text("second")
    assert credentials_of(login) == Credentials("branch", "second")


def test_no_login() -> None:
    """Then nothing is shown."""
    assert credentials_of(None) is None


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    """Missing, empty, no text: the error names it, and no password is made up."""
    file = tmp_path / "password"
    with pytest.raises(PasswordUnreadable, match="No such file"):
        credentials_of(OwnLogin("branch", file))
    for content, problem in ((b"\nsecret\n", "is empty"), (b"\xff\xfe", "not text in UTF-8")):
        file.write_bytes(content)
        with pytest.raises(PasswordUnreadable, match=problem):
            credentials_of(OwnLogin("branch", file))
