"""What is wrong with a configuration: one line for each thing, in words that an operator can act upon.

A problem names the file, the key as TOML writes it, what was found there and what is allowed. What may be a secret is
never in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from restante.errors import RestanteError

MAX_SHOWN = 60
HIDDEN = "a value that is not shown"
NOTHING = "nothing"

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_CREDENTIALS = re.compile(r"://.*@", re.DOTALL)
_KINDS: dict[type, str] = {
    int: "an integer",
    float: "a float",
    bool: "a boolean",
    str: "a text",
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that must be changed. `key` is a path such as `domains."test.example".next_hop`, or a line."""

    file: Path
    key: str
    found: str
    allowed: str

    def __str__(self) -> str:
        where = [shown_path(self.file), *filter(None, [self.key])]
        return f"{': '.join(where)}: found {self.found}, allowed: {self.allowed}"


@dataclass(eq=False)
class ConfigError(RestanteError):
    """The configuration cannot be used; `problems` are all that was found. Trying again helps once it was mended."""

    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def kind_of(value: object) -> str:
    """What TOML calls a value's type, with an article."""
    return _KINDS.get(type(value), "a date or time")


def shown(value: object, *, with_kind: bool = False) -> str:
    """A value on one line: quoted, cut where it is long; of a list or table only that it is one."""
    if isinstance(value, list | dict):
        return kind_of(value)
    if isinstance(value, str):
        value = _CREDENTIALS.sub("://…@", value)
        text = repr(value) if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]!r}…"
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)[:MAX_SHOWN]
    return f"{text} ({kind_of(value)})" if with_kind else text


def shown_path(path: Path) -> str:
    """A path as it is, or quoted where something in it cannot be seen."""
    return str(path) if str(path).isprintable() else repr(str(path))


def write_key(path: Sequence[str | int]) -> str:
    """A key as TOML writes it, quoted where it must be; a list's elements are counted from 0, in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE.fullmatch(part) else _quoted(part)
            text += f".{name}" if text else name
    return text


def write_value(value: object) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(write_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{write_key((name,))} = {write_value(one)}' for name, one in value.items())} }}"
    if isinstance(value, str):
        return _quoted(value)
    return str(value).lower()


def _quoted(text: str) -> str:
    """A basic string of TOML; what cannot be seen is escaped."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
