"""Configurations as a test writes them: a small sound file, and what is added to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from restante.config.load import ConfigError, directory_of, load
from restante.config.notes import notes_of
from restante.config.settings import Settings

TOP = """
hostname = "office.example"
data = "data"
"""
LISTEN = """
[[listen]]
address = "127.0.0.1:2525"
"""


class Folder:
    """The folder in which a test's restante.toml lies; the working folder too, so that paths are short."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, more: str = "", *, top: str = TOP, listen: str = LISTEN) -> Settings:
        """The settings of a file. Raises ConfigError."""
        (self.path / "restante.toml").write_text(f"{top}\n{listen}\n{more}\n", "utf-8")
        return load(Path("restante.toml"))

    def notes(self, more: str = "", **how: str) -> tuple[str, ...]:
        """The notes on a file that is in order."""
        return notes(self.load(more, **how))

    def problems(self, more: str = "", *, top: str = TOP, listen: str = LISTEN) -> list[str]:
        """What is wrong with a file, a line for each; at least one thing must be."""
        with pytest.raises(ConfigError) as caught:
            self.load(more, top=top, listen=listen)
        return str(caught.value).splitlines()


def notes(settings: Settings) -> tuple[str, ...]:
    """The notes on settings, where the store has nothing."""
    return notes_of(settings, directory_of(settings))


def wrong_files(file: Path) -> dict[str, tuple[str, str]]:
    """By name, what is added to a sound file and the problem that it makes: `# name`, lines, `=> problem`."""
    cases = {}
    for block in file.read_text("utf-8").split("\n\n")[1:]:
        head, rest = block.split("\n", 1)
        more, line = rest.rsplit("=> ", 1)
        cases[head.removeprefix("# ")] = (more, line.strip())
    return cases
