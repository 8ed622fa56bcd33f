"""Problems on one line each, fit for a terminal and for a log."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.config.problems import ConfigError, Problem, shown, write_key, write_value


def test_a_problem_is_a_line_and_an_error_is_all_of_them() -> None:
    """File, key, found, allowed; a file as a whole has no key."""
    problems = (Problem(Path("a.toml"), "x.y", "5", "6"), Problem(Path("a.toml"), "", "nothing", "something"))
    assert str(ConfigError(problems)) == "a.toml: x.y: found 5, allowed: 6\na.toml: found nothing, allowed: something"


def test_a_path_cannot_move_the_cursor_either() -> None:
    """It is quoted where something in it cannot be seen."""
    assert str(Problem(Path("a\nb.toml"), "x", "5", "6")) == "'a\\nb.toml': x: found 5, allowed: 6"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("a", "'a'"),
        ("a\r\nb\x1b[2J", "'a\\r\\nb\\x1b[2J'"),
        ("x" * 100, f"'{'x' * 60}'…"),
        (5, "5"),
        (True, "true"),
        (["secret"], "a list"),
        ({"a": "secret"}, "a table"),
        ("postgresql://me:p@ss/word@db.example/x", "'postgresql://…@db.example/x'"),
    ],
)
def test_a_value_is_shown_on_one_line(value: object, line: str) -> None:
    """Nothing in it can move the cursor, and a password in a URL is left out."""
    assert shown(value) == line


def test_a_value_of_another_kind_is_shown_with_its_kind() -> None:
    """In the words of TOML."""
    values: tuple[object, ...] = ("5", 5, 5.5, False, [])
    assert [shown(value, with_kind=True) for value in values] == [
        "'5' (a text)",
        "5 (an integer)",
        "5.5 (a float)",
        "false (a boolean)",
        "a list",
    ]


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_a_key_and_a_text_are_written_as_toml_reads_them(text: str) -> None:
    """Whatever is in them."""
    assert tomllib.loads(f"{write_key((text,))} = {write_value([text, {text: 5}])}") == {text: [text, {text: 5}]}


def test_a_path_of_keys_is_quoted_where_it_must_be() -> None:
    """And a list's elements are counted from 0."""
    assert write_key(("domains", "test.example", "release_from", 0)) == 'domains."test.example".release_from[0]'
