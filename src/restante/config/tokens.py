"""Users' tokens in the store: what is kept of each, a row for each user, of the configuration's users too.

A token itself is known to whom it was given alone (logins/tokens.py). Who may have one is not asked here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from restante.config.problems import ConfigError, Problem, write_key
from restante.directory.users import Token

if TYPE_CHECKING:
    from restante.store.book import Book

KIND = "tokens"
MOST_TOKENS = 100
"""Of one user; the oldest give way."""

_decode = msgspec.json.Decoder(list[Token]).decode
_encode = msgspec.json.Encoder().encode


def add_token(book: Book, user: str, token: Token, now: float) -> None:
    """Keeps one more of a user's tokens, and drops those that have expired. `user`: in lower case; `now`: a wall time.

    Raises ConfigError where the row that is there cannot be read, and BookUnusable.
    """

    def changed(row: str | None) -> str:
        try:
            kept = () if row is None else tokens_of_row(row)
        except ValueError:
            raise ConfigError((no_tokens(book.file, user),)) from None
        good = [one for one in kept if one.expires is None or one.expires > now]
        return _encode([*good, token][-MOST_TOKENS:]).decode()

    book.change(KIND, user, changed)


def revoke_tokens(book: Book, user: str) -> None:
    """None of a user's tokens is good any more. Raises BookUnusable."""
    book.remove(KIND, user)


def tokens_of_row(text: str) -> tuple[Token, ...]:
    """The tokens in a row. Raises ValueError."""
    return tuple(_decode(text))


def no_tokens(file: Path, user: str) -> Problem:
    """What is wrong with a row that tokens_of_row() cannot read."""
    return Problem(file, write_key((KIND, user)), "no tokens", "a list of tokens in JSON")
