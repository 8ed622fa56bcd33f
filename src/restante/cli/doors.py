"""Whom a command asks: the server that runs, by its control socket, or the store, where none does.

ask() gives answers and never a Failed: that is raised as CommandFailed, whose reasons are what the user is told and
whose status is what the process exits with. The store is opened only when nobody answers, and never made here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from restante.admin import protocol as p
from restante.admin.control import ControlClient, NoServer
from restante.errors import RestanteError

if TYPE_CHECKING:
    from restante.config.build import Kept
    from restante.config.settings import Settings
    from restante.directory.entries import Directory


@dataclass(eq=False)
class CommandFailed(RestanteError):
    """A command could not do what it was to do: why, line by line, and the exit status."""

    reasons: tuple[str, ...]
    status: int = p.COULD_NOT

    def __str__(self) -> str:
        return "\n".join(self.reasons)


def find_file(explicit: Path | None) -> Path:
    """The configuration file: as the user says, or where it is looked for. Raises CommandFailed."""
    import os  # noqa: PLC0415 - `--help` reads no configuration

    from restante.config.load import ConfigError, find_config  # noqa: PLC0415

    try:
        return find_config(explicit, os.environ)
    except ConfigError as error:
        raise CommandFailed(tuple(map(str, error.problems)), p.USAGE) from None


@dataclass(frozen=True, slots=True)
class Configured:
    """A configuration, and what the store has beside it. Its methods read the store, and raise BookUnusable."""

    file: Path
    settings: Settings

    @property
    def folder(self) -> Path:
        """What paths are relative to, in the store's rows too."""
        from restante.config.load import folder_of  # noqa: PLC0415

        return folder_of(self.file)

    def kept(self) -> Kept:
        """Users and domains in the store, without making one."""
        from restante.config.build import NOTHING_KEPT  # noqa: PLC0415
        from restante.config.kept import KeptReader  # noqa: PLC0415
        from restante.store.book import has_book, open_book  # noqa: PLC0415

        if not has_book(self.settings.data):
            return NOTHING_KEPT
        with contextlib.closing(open_book(self.settings.data)) as book:
            return KeptReader(book, self.folder).read()

    def directory(self, kept: Kept | None = None) -> Directory:
        """The directory of both."""
        from restante.config.build import directory_of  # noqa: PLC0415

        return directory_of(self.settings, self.kept() if kept is None else kept)

    def notes(self) -> tuple[str, ...]:
        """What is not in force, or probably not meant so; and what of the store is skipped."""
        from restante.config.notes import notes_of  # noqa: PLC0415

        kept = self.kept()
        return (*notes_of(self.settings, self.directory(kept)), *(f"skipped: {problem}" for problem in kept.problems))


def load(explicit: Path | None) -> Configured:
    """The configuration. Raises CommandFailed with every problem."""
    from restante.config import load as loading  # noqa: PLC0415 - `--help` reads no configuration

    file = find_file(explicit)
    try:
        return Configured(file, loading.load(file))
    except loading.ConfigError as error:
        raise CommandFailed(tuple(map(str, error.problems)), p.USAGE) from None


def ask(configured: Configured, request: p.AnyRequest) -> Iterator[p.AnyAnswer]:
    """The answers to a request, as they come. Raises CommandFailed, or what the store has to say."""
    try:
        for answer in ControlClient(configured.settings.data / p.SOCKET).ask(request):
            yield _checked(answer)
    except NoServer:
        if isinstance(request, p.Release | p.Call | p.Reload):
            raise CommandFailed((p.NO_SERVER,)) from None
    else:
        return
    for answer in asyncio.run(_ask_store(configured, request)):
        yield _checked(answer)


def _checked(answer: p.AnyAnswer) -> p.AnyAnswer:
    if isinstance(answer, p.Failed):
        raise CommandFailed(answer.reasons, answer.status)
    return answer


def _folder_of(settings: Settings) -> Path:
    return settings.data / "spool"


def has_spool(settings: Settings) -> bool:
    """Whether `restante serve` has ever made one."""
    return _folder_of(settings).exists()


def spool_folder(settings: Settings) -> Path:
    """Where the store is: made by `restante serve` alone, as the user that it runs as. Raises CommandFailed."""
    folder = _folder_of(settings)
    if not folder.exists():
        raise CommandFailed((f"{folder}: no mail was ever stored there",))
    return folder


async def _ask_store(configured: Configured, request: p.AnyRequest) -> list[p.AnyAnswer]:
    from restante.admin.steering import Steering  # noqa: PLC0415 - only where no server runs
    from restante.clock import SystemClock  # noqa: PLC0415
    from restante.store.sqlite import open_spool  # noqa: PLC0415

    if isinstance(request, p.Queue) and not has_spool(configured.settings):
        return [p.QueueAnswer((), time.time())]
    folder = spool_folder(configured.settings)
    directory = configured.directory()
    spool = await open_spool(folder)
    try:
        steering = Steering(
            spool=spool,
            directory=lambda: directory,
            releases=None,
            caller=None,
            reload=None,
            clock=SystemClock(),
            announce=lambda fact: None,  # noqa: ARG005 - who asks is told by the answer
            process=None,
        )
        async with contextlib.aclosing(steering.answers(request)) as answers:
            return list(p.joined([answer async for answer in answers]))
    finally:
        await spool.close()
