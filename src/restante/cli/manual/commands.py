"""docs/commands.md: every command with its arguments and options, as `--help` has them."""

from __future__ import annotations

from collections.abc import Iterator

from restante.cli.manual.described import Described, described
from restante.cli.verb import first_sentence

_HEAD = """\
# The commands

This page is what `restante --help` and `restante COMMAND --help` say. `restante.toml` is found by `--config FILE`,
before or behind the command; else by `$RESTANTE_CONFIG`; else it is `./restante.toml`, else
`/etc/restante/restante.toml`. Commands that see or change what waits ask the server that runs with that configuration,
and look into its store themselves where none runs.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | could not, or not all of it; the reason is on stderr |
| 2 | wrong usage, or a configuration that is not in order |
| 130 | interrupted |

`--json` prints JSON for programs: one object or list, and with `--wait` only how it ended. Tables fit the width of a
terminal, and are plain elsewhere.
"""
_ITEMS = """\
Items are named by their ids (`0SBAFX49800-1`), or by the id of their message, or chosen by `--domain`, `--from`,
`--to`, `--older`, `--larger`, `--state` or `--all`; several of these mean items that fit all of them.
"""


def manual() -> str:
    """The page."""
    root, *commands = described()
    told = frozenset(root.options)
    parts = [_HEAD, "\n".join(_list(commands)) + "\n", _ITEMS, _section(root, frozenset())]
    return "\n".join([*parts, *(_section(command, told) for command in commands)])


def _list(commands: list[Described]) -> Iterator[str]:
    yield from ("| command | what it does |", "|---|---|")
    for command in commands:
        if not command.is_group:
            anchor = command.name.replace(" ", "-")
            yield f"| [`{command.name}`](#{anchor}) | {first_sentence(command.text[0])} |"


def _section(command: Described, told: frozenset[tuple[str, str]]) -> str:
    """One command; options that were told before are left out."""
    usage = [] if command.is_group else [f"    {command.name} {command.usage}"]
    entries = [*command.arguments, *(option for option in command.options if option not in told)]
    listed = "\n".join(f"- `{name}`: {text}" for name, text in entries)
    return "\n\n".join(filter(None, [f"## `{command.name}`", *usage, *command.text, listed])) + "\n"
