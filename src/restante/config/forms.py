"""How a value is written in the configuration: one Form for each kind of key.

A Form stands in a field's annotation. It hands what TOML has to the parser of the room that owns the value, says in
plain words what is allowed where that parser refuses, and writes a true value back: so the settings, the problems,
the manual and the sample have one source. pydantic's own words for a wrong type are never heard.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, ValidationInfo, ValidatorFunctionWrapHandler
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import (
    CoreSchema,
    dict_schema,
    no_info_wrap_validator_function,
    tuple_variable_schema,
    with_info_plain_validator_function,
)

from restante.config.problems import HIDDEN, Problem, shown, write_value
from restante.config.units import parse_duration, parse_size, write_duration, write_size

MISFIT = "restante"
"""The type of every error of a Form: its context has `found` and `allowed`, or `problems` in another file."""
MAX_LIST = 10_000


class Unfit(ValueError):
    """A value that is refused, with a remark for people: why, or what was probably meant."""


class UnfitFile(ValueError):
    """A file whose contents are refused, with a problem for each line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def misfit(found: str, allowed: str) -> PydanticCustomError:
    """The error of a Form."""
    return PydanticCustomError(MISFIT, "not allowed", {"found": found, "allowed": allowed})


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(ABC):
    """What is common to all: `kind` is for the manual, `allowed` for problems, `example` is as TOML has it."""

    kind: str
    allowed: str
    example: Any

    def like(self, example: Any) -> Self:
        """The same form with another example."""
        return replace(self, example=example)

    @abstractmethod
    def write(self, value: Any) -> Any:
        """A true value as TOML has it."""

    @abstractmethod
    def schema(self) -> CoreSchema:
        """What pydantic runs; the validation's context has the `folder` that paths are relative to."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return self.schema()


@dataclass(frozen=True, slots=True, kw_only=True)
class Value(Form):
    """One value. `parse` gets one of the types `takes`, and raises ValueError for what is not allowed."""

    parse: Callable[[Any], Any]
    written: Callable[[Any], Any] = str
    takes: tuple[type, ...] = (str,)
    is_secret: bool = False
    is_file: bool = False
    """Whether it is a path, which `parse` then gets whole."""

    def write(self, value: Any) -> Any:
        """A true value as TOML has it."""
        return self.written(value)

    def schema(self) -> CoreSchema:
        """A validator that raises nothing but misfits."""
        return with_info_plain_validator_function(self._validate)

    def _validate(self, value: Any, info: ValidationInfo) -> Any:
        if type(value) not in self.takes:  # not isinstance(): true is no integer
            raise misfit(self._found(value, with_kind=True), self.allowed)
        try:
            return self.parse(_whole_path(value, info) if self.is_file else value)
        except UnfitFile as error:
            raise PydanticCustomError(MISFIT, "not allowed", {"problems": error.problems}) from None
        except Unfit as error:
            raise misfit(f"{self._found(value)} ({error})", self.allowed) from None
        except ValueError:
            raise misfit(self._found(value), self.allowed) from None

    def _found(self, value: Any, *, with_kind: bool = False) -> str:
        return HIDDEN if self.is_secret else shown(value, with_kind=with_kind)


def _whole_path(text: str, info: ValidationInfo) -> Path:
    if not text or "\0" in text:
        raise ValueError(text)
    assert info.context is not None, "validate with a context"
    folder: Path = info.context["folder"]
    return folder / text


@dataclass(frozen=True, slots=True, kw_only=True)
class Many(Form):
    """A list of values, each kept once, in order."""

    item: Form
    least: int = 0
    most: int = MAX_LIST
    is_set: bool = True
    may_be_one: bool = False
    """Whether a single value may stand without brackets."""
    has_star: bool = False
    """Whether `"*"` may stand for the list; it is read as None."""

    def write(self, value: Any) -> Any:
        """A true value as TOML has it."""
        return "*" if value is None else [self.item.write(one) for one in value]

    def schema(self) -> CoreSchema:
        """The items' schema, behind a look at the list itself."""
        return no_info_wrap_validator_function(self._validate, tuple_variable_schema(self.item.schema()))

    def _validate(self, value: Any, handler: ValidatorFunctionWrapHandler) -> tuple[Any, ...] | None:
        if self.has_star and value == "*":
            return None
        if self.may_be_one and isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            raise misfit(shown(value, with_kind=True), self.allowed)
        if not self.least <= len(value) <= self.most:
            raise misfit(f"a list of {len(value)}" if value else "an empty list", self.allowed)
        items: tuple[Any, ...] = handler(value)
        return tuple(dict.fromkeys(items)) if self.is_set else items


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Form):
    """A table of names that the operator chooses, each with a value."""

    name: Form
    item: Form

    def write(self, value: Mapping[Any, Any]) -> Any:
        """A true value as TOML has it."""
        return {self.name.write(name): self.item.write(one) for name, one in value.items()}

    def schema(self) -> CoreSchema:
        """The schema of names and values, behind a look at the table itself."""
        return no_info_wrap_validator_function(self._validate, dict_schema(self.name.schema(), self.item.schema()))

    def _validate(self, value: Any, handler: ValidatorFunctionWrapHandler) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise misfit(shown(value, with_kind=True), self.allowed)
        table: dict[Any, Any] = handler(value)
        if len(table) < len(value):
            raise misfit("one name in two spellings", "each name once")
        return table


def many(item: Form, example: list[Any] | None = None, **how: Any) -> Many:
    """A list of `item`; `how` are the fields of Many."""
    example = [item.example] if example is None else example
    kind, allowed = f"list of {item.kind}", f"a list such as {write_value(example)}"
    if how.get("may_be_one"):
        kind, allowed = f"{item.kind}, or a list", f"{item.allowed}, or a list of such"
    if how.get("has_star"):
        kind, allowed = f'{kind}, or "*"', f'{allowed}, or "*"'
    return Many(kind=kind, allowed=allowed, example=example, item=item, **how)


def duration(least: str, most: str, example: str = "10m") -> Value:
    """Seconds, from `least` to `most`."""
    bounds = (parse_duration(least), parse_duration(most))
    return Value(
        kind=f"duration, {least} to {most}",
        allowed=f'a text such as "{example}", from {least} to {most} (units: s, m, h, d, w)',
        example=example,
        parse=lambda text: float(_within(parse_duration(text), bounds)),
        written=write_duration,
    )


def size(least: str, most: str, example: str = "50MB") -> Value:
    """Octets, from `least` to `most`."""
    bounds = (parse_size(least), parse_size(most))
    return Value(
        kind=f"size, {least} to {most}",
        allowed=f'a text such as "{example}", from {least} to {most} (units: KB, MB, GB; without one: octets)',
        example=example,
        parse=lambda given: _within(parse_size(str(given)), bounds),
        written=write_size,
        takes=(str, int),
    )


def whole(least: int, most: int, example: int) -> Value:
    """A whole number, from `least` to `most`."""
    return Value(
        kind=f"integer, {least} to {most}",
        allowed=f"an integer from {least} to {most}",
        example=example,
        parse=lambda number: _within(number, (least, most)),
        written=int,
        takes=(int,),
    )


def _within(number: int, bounds: tuple[int, int]) -> int:
    if not bounds[0] <= number <= bounds[1]:
        raise ValueError(number)
    return number


def choice(
    *now: str | int, later: tuple[str, ...] = (), into: Callable[[Any], Any] | None = None, example: str | None = None
) -> Value:
    """One of a few words, or numbers, as `into` makes it; words that begin like one of `later` are refused as such."""
    plain = type(now[0])
    plain = str if issubclass(plain, str) else int

    def parse(given: str | int) -> Any:
        if given in now:
            return given if into is None else into(given)
        raise Unfit("not available yet") if later and str(given).startswith(later) else ValueError(given)

    written = [str(word) if plain is int else f'"{word}"' for word in now]
    allowed = " or ".join(filter(None, (", ".join(written[:-1]), written[-1])))
    return Value(
        kind=allowed, allowed=allowed, example=example or plain(now[0]), parse=parse, written=plain, takes=(plain,)
    )


BOOLEAN = Value(kind="true or false", allowed="true or false", example=True, parse=bool, written=bool, takes=(bool,))
