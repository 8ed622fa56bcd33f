"""Tokens in the store: a row for each user, of the configuration too; and what goes with a user that is removed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.web.office import settings_of

from restante.config.build import directory_of
from restante.config.keeping import NotKept, remove_row
from restante.config.kept import KeptReader
from restante.config.problems import ConfigError
from restante.config.tokens import KIND, MOST_TOKENS, add_token, revoke_tokens, tokens_of_row
from restante.directory.users import Token
from restante.store.book import Book, open_book


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """An empty one."""
    with contextlib.closing(open_book(tmp_path)) as opened:
        yield opened


def kept(book: Book, user: str) -> list[str]:
    """The digests of a user's tokens."""
    row = book.row(KIND, user)
    return [] if row is None else [token.digest for token in tokens_of_row(row)]


def test_tokens_are_kept_until_they_expire_or_are_revoked(book: Book) -> None:
    """Not more than so many."""
    add_token(book, "test", Token("a", 10.0), now=0.0)
    add_token(book, "test", Token("b"), now=9.0)
    assert kept(book, "test") == ["a", "b"]
    add_token(book, "test", Token("c"), now=10.0)
    assert kept(book, "test") == ["b", "c"]
    for number in range(MOST_TOKENS):
        add_token(book, "test", Token(str(number)), now=10.0)
    assert kept(book, "test") == [str(number) for number in range(MOST_TOKENS)]
    revoke_tokens(book, "test")
    assert kept(book, "test") == []


def test_a_row_that_is_damaged_is_told_and_admits_nobody(book: Book, tmp_path: Path) -> None:
    """And can be revoked."""
    book.put(KIND, [("test", '["x"]')])
    with pytest.raises(ConfigError, match=r"tokens\.test: found no tokens"):
        add_token(book, "test", Token("a"), now=0.0)
    read = KeptReader(book, tmp_path).read()
    assert (dict(read.tokens), [problem.key for problem in read.problems]) == ({}, ["tokens.test"])
    revoke_tokens(book, "test")
    assert KeptReader(book, tmp_path).read().problems == ()


def test_a_users_tokens_are_in_the_directory(book: Book, tmp_path: Path) -> None:
    """Of the file as of the store; those of nobody are not, and what was revoked is gone at the next look."""
    settings = settings_of(tmp_path)
    reader = KeptReader(book, tmp_path)
    for user in ("test", "nobody"):
        add_token(book, user, Token("a"), now=0.0)
    users = directory_of(settings, reader.read()).users
    assert {name: len(user.tokens) for name, user in users.items()} == {"test": 1, "stranger": 0, "root": 0}
    revoke_tokens(book, "test")
    assert directory_of(settings, reader.read()).users["test"].tokens == ()


def test_a_removed_user_takes_its_tokens_along(book: Book, tmp_path: Path) -> None:
    """A later one of that name has none of them; unless the file has one, whose they are."""
    settings = settings_of(tmp_path)
    for user in ("kept", "test"):
        book.put("users", [(user, "{}")])
        add_token(book, user, Token("a"), now=0.0)
        remove_row(book, "users", user, settings)
        assert book.row("users", user) is None
    assert (kept(book, "kept"), kept(book, "test")) == ([], ["a"])
    with pytest.raises(NotKept):
        remove_row(book, "users", "kept", settings)
