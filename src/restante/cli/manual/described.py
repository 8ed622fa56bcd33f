"""Every command as values: what `--help` says, taken from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from restante.cli.verb import arguments_of, options_of
from restante.cli.verbs import app

_OF_EVERY_COMMAND = "--help"


@dataclass(frozen=True, slots=True)
class Described:
    """One command. Arguments and options are pairs: how they are written, and what they mean."""

    name: str
    """All of its words: `restante user add`."""
    usage: str
    """What follows the name."""
    text: tuple[str, ...]
    """Paragraphs; the first sentence is what the list of commands has."""
    arguments: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]
    is_group: bool
    """Whether it does nothing itself: its commands follow."""


def described() -> tuple[Described, ...]:
    """The program itself, then its commands in the order of its help; a group's follow the group."""
    return tuple(_walk(get_command(app), None, "restante"))


def _walk(command: Any, parent: typer.Context | None, name: str) -> Iterator[Described]:
    context = typer.Context(command, info_name=name, parent=parent)
    options = [(option, text) for option, text in options_of(command, context) if option != _OF_EVERY_COMMAND]
    is_group = isinstance(command, TyperGroup)
    yield Described(
        name=context.command_path,
        usage=" ".join(command.collect_usage_pieces(context)),
        text=tuple(" ".join(part.split()) for part in (command.help or "").split("\n\n")),
        arguments=tuple(arguments_of(command, context)),
        options=tuple((option, " ".join(text.split())) for option, text in options),
        is_group=is_group,
    )
    if is_group:
        for word, below in command.commands.items():
            yield from _walk(below, context, word)
