"""Tables of users and domains from plain texts: `key=value` of a command line, CSV, JSON lines.

CSV has a heading with `name` and keys; an empty cell is a key that is not set, and a list has its values with spaces
between them. A JSON line is one object with `name` and keys as TOML has them. What the values mean is left to
config/kept.py.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from restante.config.forms import Form, Many, Table, Value
from restante.config.problems import ConfigError, Problem, shown
from restante.config.settings import ACTIONS, User

NAME = "name"
MOST_PROBLEMS = 50
_A_LINE = "a JSON object on each line"


def form_of(kind: str, key: str) -> Form | None:
    """How the values of a key are written; None where there is no such key, or it has no form."""
    sections = [User] if kind == "users" else list(ACTIONS.values())
    return next((section.form_of(key) for section in sections if key in section.by_key()), None)


def from_text(form: Form | None, text: str) -> Any:
    """A value as TOML would have it, of a text without quotes; what makes no sense stays a text, to be refused."""
    if isinstance(form, Many):
        return text if form.has_star and text == "*" else [from_text(form.item, part) for part in text.split()]
    if isinstance(form, Table):
        try:
            return json.loads(text)
        except ValueError:
            return text
    if isinstance(form, Value) and bool in form.takes:
        return {"true": True, "false": False}.get(text, text)
    if isinstance(form, Value) and str not in form.takes and text.isascii() and text.isdigit():
        return int(text)
    return text


def read_tables(kind: str, file: Path) -> dict[str, dict[str, Any]]:
    """The tables in a file, by name. Raises ConfigError with every problem, and OSError."""
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError((Problem(file, "", "an octet that is not UTF-8", "text in UTF-8"),)) from None
    reader = _json_lines if text.lstrip().startswith("{") else _csv
    tables: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for number, table in reader(kind, text):
        where = f"line {number}"
        if isinstance(table, str):
            problems.append(Problem(file, where, table, _A_LINE if reader is _json_lines else "as many as keys"))
        elif not isinstance(name := table.pop(NAME, None), str) or not name:
            problems.append(
                Problem(file, f"{where}: {NAME}", "nothing" if name in (None, "") else shown(name), "a name")
            )
        elif name in tables:
            problems.append(Problem(file, f"{where}: {NAME}", f"{shown(name)} again", "each name once"))
        else:
            tables[name] = table
    if problems:
        raise ConfigError(tuple(problems))
    return tables


def _json_lines(kind: str, text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Each line's number and its object, or what it is instead."""
    del kind
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            yield number, "what is not JSON"
        else:
            yield number, value if isinstance(value, dict) else shown(value, with_kind=True)


def _csv(kind: str, text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Each row's line and its table, or what it is instead."""
    rows = csv.reader(text.splitlines())
    try:
        keys = [key.strip() for key in next(rows, [])]
        forms = {key: form_of(kind, key) for key in keys}
        for cells in rows:
            if not any(cells):
                continue
            if len(cells) != len(keys):
                yield rows.line_num, f"{len(cells)} cells"
                continue
            pairs = ((key, cell.strip()) for key, cell in zip(keys, cells, strict=True))
            yield (
                rows.line_num,
                {key: cell if key == NAME else from_text(forms[key], cell) for key, cell in pairs if cell},
            )
    except csv.Error as error:
        yield rows.line_num, f"what is not CSV ({error})"
