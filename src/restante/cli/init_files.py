"""The files that `restante init` makes: the configuration, secrets for their owner alone, hooks. Nothing is overwritten
unless that is asked for. Where root makes them, they are given to the user that the server runs as.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from restante.admin.protocol import USAGE
from restante.cli.doors import CommandFailed
from restante.files import replace_safely

CONFIG = "restante.toml"
SERVICE_USER = "restante"


@dataclass
class Files:
    """What was written into a folder."""

    folder: Path
    owner: str | None
    """Whose they shall be; None: whoever makes them."""
    written: list[Path] = field(default_factory=list)

    def refuse_existing(self, names: Iterable[str], *, force: bool) -> None:
        """Raises CommandFailed where one of them is there, unless it may be replaced."""
        there = [str(self.folder / name) for name in names if (self.folder / name).exists()]
        if there and not force:
            raise CommandFailed(tuple(f"{name} is there already: --force replaces it" for name in there), USAGE)

    def make_folder(self) -> None:
        """Where all may look, for the server has to. Raises CommandFailed."""
        if not self.folder.is_dir():
            try:
                self.folder.mkdir(parents=True)
                self.give(self.folder)
            except OSError as error:
                raise CommandFailed((f"{self.folder}: {error.strerror}",)) from None

    def write(self, name: str, text: str, mode: int) -> Path:
        """A file, whole or not at all. Raises CommandFailed."""
        file = self.folder / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_safely(file, text.encode())
            self.give(file)
            file.chmod(mode)
        except OSError as error:
            raise CommandFailed((f"{file}: {error.strerror}",)) from None
        self.written.append(file)
        return file

    def give(self, *files: Path) -> None:
        """To the user that the server runs as. Raises OSError."""
        if self.owner is not None:
            for file in files:
                shutil.chown(file, self.owner, pwd.getpwnam(self.owner).pw_gid)


def owner_of(wanted: str | None) -> str | None:
    """Whose the files shall be. Raises CommandFailed."""
    name = wanted or SERVICE_USER
    try:
        pwd.getpwnam(name)
    except KeyError:
        if wanted is not None:
            raise CommandFailed((f"--owner {wanted}: there is no such user",), USAGE) from None
        return None
    return name if wanted is not None or os.geteuid() == 0 else None


def program() -> list[str]:
    """How this very restante is run, from anywhere."""
    beside = Path(sys.executable).with_name("restante")
    if beside.exists():
        return [str(beside)]
    return [shutil.which("restante") or "restante"]
