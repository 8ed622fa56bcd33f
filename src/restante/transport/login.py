"""Passwords that we show to others: each is the first line of a file, read whenever it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from restante.directory.entries import OwnLogin
from restante.errors import RestanteError
from restante.smtp.sasl import Credentials


@dataclass(eq=False)
class PasswordUnreadable(RestanteError):
    """A password's file cannot be used. Trying again helps after it was mended."""

    file: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


def credentials_of(login: OwnLogin | None) -> Credentials | None:
    """What a login shows at a next hop, as its file has it now. Raises PasswordUnreadable."""
    return None if login is None else Credentials(login.user, first_line(login.password_file))


def first_line(file: Path) -> str:
    """A file's password. Raises PasswordUnreadable."""
    try:
        with file.open(encoding="utf-8") as opened:
            line = opened.readline(4096).rstrip("\r\n")
    except OSError as error:
        raise PasswordUnreadable(file, error.strerror or str(error)) from None
    except ValueError:
        raise PasswordUnreadable(file, "not text in UTF-8") from None
    if not line:
        raise PasswordUnreadable(file, "its first line, where the password should be, is empty")
    return line
