"""Certificates that others can use, and those that they cannot."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from tests.net.authority import CLIENT, SERVER, Authority, Wish, self_made

from restante.setup.certificates import of_chain
from restante.setup.finding import Mark

NAME = "office.example"
NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that this system trusts."""
    made = Authority()
    file = tmp_path / "authorities.pem"
    file.write_bytes(made.own.certificate.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return made


def told(wish: Wish, authority: Authority, at: dt.datetime = NOW) -> list[tuple[Mark, str]]:
    return [(found.mark, found.text) for found in of_chain([authority.issue(wish).certificate], NAME, at)]


def test_one_that_is_in_order(authority: Authority) -> None:
    """Trusted, in time, for us; its pin is told."""
    [(mark, text)] = told(Wish((NAME,), use=SERVER), authority)
    assert mark is Mark.OK
    assert text.startswith("trusted, valid until")
    assert "sha256:" in text


@pytest.mark.parametrize(
    ("wish", "mark", "words"),
    [
        (Wish((NAME,), begins=-10, ends=-1), Mark.WRONG, "it has expired on"),
        (Wish((NAME,), begins=1), Mark.WRONG, "it is not valid before"),
        (Wish((NAME,), ends=3.5), Mark.WARNING, "it expires in 3 days"),
        (Wish(("mail.example",)), Mark.WRONG, f"it is not for {NAME}"),
        (Wish((NAME,), use=CLIENT), Mark.WRONG, "it is not for servers"),
    ],
)
def test_what_others_would_refuse(wish: Wish, mark: Mark, words: str, authority: Authority) -> None:
    """Each is named."""
    assert [text for found, text in told(wish, authority) if found is mark and text.startswith(words)]


@pytest.mark.usefixtures("authority")
def test_a_chain_that_leads_nowhere_is_found() -> None:
    """To nobody whom the system trusts; and what leads to itself is told as such."""
    [(mark, text)] = told(Wish((NAME,)), Authority("somebody else"))
    assert mark is Mark.WARNING
    assert "does not lead to an authority that this system trusts" in text
    [own] = of_chain([self_made(Wish((NAME,))).certificate], NAME, NOW)
    assert own.mark is Mark.OK
    assert own.text.startswith("self-signed; others must know it: its key's pin is sha256:")
