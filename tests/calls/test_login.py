"""Who we are at an office, read from files at the moment of the call."""

from __future__ import annotations

from pathlib import Path

import pytest

from restante.calls.login import Login
from restante.net.tls import Pair
from restante.smtp.sasl import Credentials
from restante.transport.login import PasswordUnreadable

OWN = Pair(Path("site.pem"), Path("site.key"))


@pytest.mark.parametrize("text", ["pass word ü\n", "pass word ü", "pass word ü\r\nsecond line\n"])
def test_the_password_is_the_first_line(tmp_path: Path, text: str) -> None:
    """Without its line end, and with all that stands before."""
    file = tmp_path / "password"
    file.write_bytes(text.encode())
    assert Login("test", file, OWN).credentials(for_turn=False) == Credentials("test", "pass word ü", True)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [(None, "No such file"), (b"", "is empty"), (b"\nsecond\n", "is empty"), (b"\xff\xfe\n", "not text in UTF-8")],
)
def test_a_file_without_a_password(tmp_path: Path, octets: bytes | None, reason: str) -> None:
    """The reason names the file, and nothing that stands in it."""
    file = tmp_path / "password"
    if octets is not None:
        file.write_bytes(octets)
    with pytest.raises(PasswordUnreadable, match=reason) as unreadable:
        Login("test", file).credentials(for_turn=True)
    assert str(unreadable.value).startswith(str(file))


def test_a_certificate_alone_logs_in_only_where_that_is_needed() -> None:
    """An ETRN may be granted to the certificate itself; ATRN takes a login."""
    assert Login(own=OWN).credentials(for_turn=False) is None
    assert Login(own=OWN).credentials(for_turn=True) == Credentials("", None, True)
    assert Login("test", own=OWN).credentials(for_turn=False) == Credentials("test", None, True)
    assert Login().credentials(for_turn=True) is None
