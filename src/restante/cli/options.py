"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_CONFIG_HELP = "The configuration; else $RESTANTE_CONFIG, ./restante.toml, /etc/restante/restante.toml."
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help=_CONFIG_HELP)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def chosen(context: typer.Context, config: Path | None) -> Path | None:
    """The configuration that stands after the verb, else before it."""
    before: Path | None = context.obj
    return config if config is not None else before
