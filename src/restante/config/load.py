"""From a file to Settings, or to every problem in it: one line each, in words that an operator can act upon.

A file is read in two steps: each value by itself (config/reading.py), and then what keys must be true of each other
(config/checks.py). Nothing is kept of a file with a problem. What the store keeps beside it is asked for its names
only, and only where the file names a user or a domain that it does not have.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from restante.config import checks
from restante.config.build import directory_of, plans_of
from restante.config.problems import ConfigError, Problem
from restante.config.reading import Reading
from restante.config.settings import Settings

__all__ = ["ConfigError", "Problem", "directory_of", "find_config", "load", "plans_of"]

VARIABLE = "RESTANTE_CONFIG"
LOCAL = Path("restante.toml")
SYSTEM = Path("/etc/restante/restante.toml")

_STAND_INS = {"hostname": "localhost", "data": "data"}
_TOML_PLACE = re.compile(r"(.*) \(at (line \d+, column \d+|end of document)\)", re.DOTALL)


def find_config(explicit: Path | None, environ: Mapping[str, str], system: Path = SYSTEM) -> Path:
    """The file to load: what was named, `$RESTANTE_CONFIG`, `./restante.toml`, the system's.

    Raises ConfigError where none was named and none of the others is there.
    """
    if explicit is not None:
        return explicit
    if named := environ.get(VARIABLE):
        return Path(named)
    for file in (LOCAL, system):
        try:
            file.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            pass  # it is there, and load() will say what is the matter with it
        return file
    tried = f"no configuration: neither --config nor ${VARIABLE} names one, and there is no ./{LOCAL} and no {system}"
    raise ConfigError((Problem(LOCAL, "", tried, "one of these"),))


def load(file: Path) -> Settings:
    """The settings in a file. Raises ConfigError with every problem in it."""
    reading = Reading(Settings, _read(file), file=file, folder=folder_of(file), stand_ins=_STAND_INS)
    settings = reading.read()
    in_store = _InStore(settings.data)
    for finding in checks.findings(settings, reading.is_sound, in_store):
        reading.add(finding.path, finding.found, finding.allowed)
    if problems := (*reading.problems, *in_store.problems):
        raise ConfigError(problems)
    return settings


def folder_of(file: Path) -> Path:
    """What the paths in a configuration, and in what the store keeps beside it, are relative to."""
    return file.absolute().parent


class _InStore:
    """The names that are kept in the store, looked up when first asked for."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.problems: list[Problem] = []

    @cached_property
    def users(self) -> frozenset[str]:
        """Of users."""
        return self._names("users")

    @cached_property
    def domains(self) -> frozenset[str]:
        """Of domains."""
        return self._names("domains")

    def _names(self, kind: str) -> frozenset[str]:
        from restante.store.book import BookUnusable, names_in  # noqa: PLC0415 - SQLite, which few files need

        try:
            return names_in(self._data, kind)
        except BookUnusable as error:
            self.problems.append(Problem(error.file, "", f"{kind} that cannot be read ({error.reason})", "a database"))
            return frozenset()


def _read(file: Path) -> dict[str, Any]:
    """The file's tables. Raises ConfigError."""
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise _unreadable(file, "", f"a file that cannot be read ({error.strerror})", "a file in TOML") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _unreadable(file, f"line {line}", "an octet that is not UTF-8", "text in UTF-8") from None
    except RecursionError:
        raise _unreadable(file, "", "lists or tables that are nested too deep", "TOML") from None
    except ValueError as error:
        place = _TOML_PLACE.fullmatch(str(error))
        what, where = place.groups() if place else (str(error), "")
        raise _unreadable(file, where, f"what is not TOML ({what[:1].lower()}{what[1:]})", "TOML") from None


def _unreadable(file: Path, key: str, found: str, allowed: str) -> ConfigError:
    return ConfigError((Problem(file, key, found, allowed),))
