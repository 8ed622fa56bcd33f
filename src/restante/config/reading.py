"""Tables on their way to a model of theirs: every value by itself, and all that is wrong with them, in plain words.

What is wrong is noted and left out, so that whoever checks what keys must be true of each other still sees the rest.
Domains and users are named as the settings have them, however the tables spell them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from restante.config.forms import MISFIT
from restante.config.problems import HIDDEN, NOTHING, Problem, kind_of, shown, write_key
from restante.config.proofs import parse_login_name
from restante.config.settings import ACTIONS, SECTIONS, Section, Settings
from restante.config.words import parse_entry_name

Path_ = tuple[str | int, ...]
"""Keys from the file's top, as the file has them."""

Model = TypeVar("Model", bound=Section)

NAMES: Mapping[str, Callable[[str], str]] = {"domains": parse_entry_name, "users": parse_login_name}
"""The tables whose names have several spellings."""
_TABLES = {"listen": "a table that begins with [[listen]]"}


class Reading(Generic[Model]):
    """Tables on their way to a model: what is wrong with them so far, and where.

    `file` is what problems name, `folder` what paths are relative to; `stand_ins` are for keys at the top that a model
    cannot be without.
    """

    def __init__(
        self,
        model: type[Model],
        tables: dict[str, Any],
        *,
        file: Path,
        folder: Path,
        stand_ins: Mapping[str, Any] | None = None,
    ) -> None:
        self._model = model
        self._tables = tables
        self._file = file
        self._context = {"folder": folder}
        self._stand_ins = dict(stand_ins or {})
        self._unsound: set[Path_] = set()
        self.noted: list[tuple[Path_, Problem]] = []
        """Each with its path as the model has it; the problem may be one of another file that is named there."""

    def read(self) -> Model:
        """What could be read; the first round notes what could not, further ones only leave out what lacks it."""
        rest = self._tables
        is_first = True
        while True:
            try:
                model = self._model.model_validate(rest, context=self._context)
            except ValidationError as error:
                details = error.errors(include_url=False)
            else:
                break
            if is_first:
                for detail in details:
                    self._note(detail)
            is_first = False
            rest = self._stand_ins | _without(rest, details)
        self._spellings()
        return model

    def _note(self, detail: ErrorDetails) -> None:
        path = _path(self._tables, detail)
        self._unsound.add(plain(path))
        context = detail.get("ctx", {})
        if detail["type"] == MISFIT and "problems" in context:
            self.noted += ((plain(path), problem) for problem in context["problems"])
            return
        if detail["type"] == MISFIT:
            found, allowed = context["found"], context["allowed"]
        else:
            found, allowed = _in_plain_words(detail, path)
        self.add(path, found, allowed)

    def add(self, path: Path_, found: str, allowed: str) -> None:
        """Notes a problem."""
        self.noted.append((plain(path), Problem(self._file, write_key(path), found, allowed)))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All that was noted, in its order."""
        return tuple(problem for _, problem in self.noted)

    def _spellings(self) -> None:
        """One domain or user that is written in two ways: which of the tables is meant?"""
        for kind in NAMES:
            tables = self._tables.get(kind)
            first: dict[str, str] = {}
            for written in tables if isinstance(tables, dict) else ():
                name = plain((kind, written))[1]
                if (other := first.setdefault(str(name), written)) != written:
                    self.add((kind, written), f"another spelling of {shown(other)}", f"each {kind[:-1]} once")

    def is_sound(self, *path: str | int) -> bool:
        """Whether all was well at a path of keys, as the model has them, and below it."""
        return not any(wrong[: len(path)] == path or path[: len(wrong)] == wrong for wrong in self._unsound)


def plain(path: Path_) -> Path_:
    """A path with the name of a domain or a user as the settings have it."""
    if len(path) < 2 or path[0] not in NAMES:
        return path
    try:
        return (path[0], NAMES[str(path[0])](str(path[1])), *path[2:])
    except ValueError:
        return path


def _path(tables: Mapping[str, Any], detail: ErrorDetails) -> Path_:
    """Where an error is, as the file has it: without pydantic's marks for a union's arm and for a name."""
    parts = list(detail["loc"])
    if detail["type"] == MISFIT and parts[-1] == "[key]":
        parts.pop()
    if parts[0] == "domains" and len(parts) > 2:
        del parts[2]
    if detail["type"].startswith("union_tag"):
        parts.append("action")
    path: list[str | int] = []
    value: Any = tables
    for part in parts:
        if isinstance(part, int) and not isinstance(value, list):
            break  # a single value where there may be a list
        path.append(part)
        value = value[part] if isinstance(part, int) else value.get(part, {}) if isinstance(value, dict) else {}
    return tuple(path)


def _without(tables: dict[str, Any], details: list[ErrorDetails]) -> dict[str, Any]:
    """A copy that lacks what is wrong, and the tables that cannot be without it."""
    rest: dict[str, Any] = _copy(tables)
    wrong = {_path(tables, detail)[: -1 if _takes_table_along(detail) else None] for detail in details}
    for path in sorted(wrong, key=lambda path: [str(part).zfill(9) for part in path], reverse=True):
        *above, last = path or (None,)
        holder: Any = rest
        for part in above:
            holder = holder[part]
        if last is not None:
            del holder[last]
    return rest


def _takes_table_along(detail: ErrorDetails) -> bool:
    return detail["type"] == "missing" or detail["type"].startswith("union_tag")


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(one) for name, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list) else value


def _in_plain_words(detail: ErrorDetails, path: Path_) -> tuple[str, str]:
    """What was found and what is allowed, for the errors that no form gives."""
    value = detail["input"]
    match detail["type"]:
        case "missing":
            form = _section(detail["loc"]).form_of(str(path[-1]))
            assert form is not None, path
            return NOTHING, form.allowed
        case "extra_forbidden":
            return _unknown(detail, str(path[-1]))
        case "union_tag_not_found" | "union_tag_invalid":
            tag = value.get("action")
            found = f"{NOTHING}{_meant(path[:-1], value)}" if tag is None else _shown_tag(tag)
            return found, _listed(ACTIONS)
        case _:  # model_type, dict_type, tuple_type: not the kind of table that it must be
            found = f"{HIDDEN} ({kind_of(value)})" if path[0] == "users" else shown(value, with_kind=True)
            return found, _TABLES.get(str(path[0]), f"a table that begins with [{write_key(path)}]")


def _shown_tag(tag: object) -> str:
    return shown(tag, with_kind=not isinstance(tag, str))


def _meant(path: Path_, value: dict[str, Any]) -> str:
    """A domain's name without quotes is a table for each label."""
    labels = [str(path[-1])]
    while "action" not in value:
        inside = next(((name, one) for name, one in value.items() if isinstance(one, dict)), None)
        if inside is None:
            return ""
        labels.append(inside[0])
        value = inside[1]
    return f" (did you mean [{write_key(('domains', '.'.join(labels)))}]?)"


def _unknown(detail: ErrorDetails, key: str) -> tuple[str, str]:
    section = _section(detail["loc"])
    known = section.by_key()
    others = [action for action, other in ACTIONS.items() if key in other.by_key()]
    if section in ACTIONS.values() and others:
        found = (
            f"a key that only {' and '.join(others)} has" if len(others) == 1 else f"a key of {' and '.join(others)}"
        )
    else:
        close = difflib.get_close_matches(key, known, n=1)
        found = f"an unknown key (did you mean {close[0]}?)" if close else "an unknown key"
    return found, ", ".join(known)


def _section(loc: Path_) -> type[Section]:
    """The model of the table that an error is in."""
    if len(loc) == 1:
        return Settings
    return ACTIONS[str(loc[2])] if loc[0] == "domains" else SECTIONS[str(loc[0])]


def _listed(words: Mapping[str, object]) -> str:
    *most, last = [f'"{word}"' for word in words]
    return f"{', '.join(most)} or {last}"
