"""How a command's help looks: arguments by their names, without types of Python, and whole sentences in the list.

Verbs is a Typer whose commands are all like that; what is read here of a command is what the manual has, too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.main import get_command_name
from typer.models import CommandFunctionType, CommandInfo

_REQUIRED = "[required]"


class Verb(TyperCommand):
    """A command. Its context and formatter are the library's own, whose types it does not show."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`[OPTIONS] HOST [DOMAIN...]`: what is not in brackets is needed."""
        del ctx
        return ["[OPTIONS]", *(_in_usage(param) for param in self.params if isinstance(param, TyperArgument))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, then options, each with what it means."""
        for title, rows in (("Arguments", arguments_of(self, ctx)), ("Options", options_of(self, ctx))):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence, however long: the list of commands breaks lines."""
        del limit
        return first_sentence(self.help or "")


class Group(TyperGroup):
    """Commands below one word."""

    def get_short_help_str(self, limit: int = 45) -> str:
        """As a Verb's."""
        del limit
        return first_sentence(self.help or "")


class Verbs(typer.Typer):
    """Commands of this kind."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"cls": Group, **settings})

    def command(self, name: str | None = None, **settings: Any) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """As typer.Typer's."""
        return super().command(name, **{"cls": Verb, **settings})

    def only(self, word: str) -> Verbs:
        """The same with no other command than the one of that name, where there is one: to make all of them takes tens
        of milliseconds.
        """
        commands = [info for info in self.registered_commands if _name_of(info) == word]
        groups = [info for info in self.registered_groups if info.name == word]
        if not (commands or groups):
            return self
        one = copy.copy(self)
        one.registered_commands, one.registered_groups = commands, groups
        return one


def _name_of(command: CommandInfo) -> str:
    assert command.callback is not None, "Typer makes none without"
    return command.name or get_command_name(command.callback.__name__)


def first_sentence(text: str) -> str:
    """Up to the first full stop that a space or the end follows."""
    return " ".join(text.split()).partition(". ")[0].removesuffix(".") + "."


def arguments_of(command: Any, ctx: Any) -> list[tuple[str, str]]:
    """Each argument's name, and what it means, with its default."""
    arguments = [param for param in command.params if isinstance(param, TyperArgument)]
    return [
        (_name(param), text.removesuffix(_REQUIRED).rstrip()) for param in arguments for _, text in _help(param, ctx)
    ]


def options_of(command: Any, ctx: Any) -> list[tuple[str, str]]:
    """Each option with its value, and what it means, with its default."""
    options = [param for param in command.get_params(ctx) if not isinstance(param, TyperArgument)]
    return [record for param in options for record in _help(param, ctx)]


def _help(param: Any, ctx: Any) -> Iterator[tuple[str, str]]:
    """The library's own entry for a parameter; none where it is hidden."""
    record = param.get_help_record(ctx)
    if record is not None:
        yield record


def _name(argument: TyperArgument) -> str:
    return argument.metavar or (argument.name or "").upper()


def _in_usage(argument: TyperArgument) -> str:
    return _name(argument) if argument.required else f"[{_name(argument)}]"
