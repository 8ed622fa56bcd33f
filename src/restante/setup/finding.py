"""What a look at a host finds: a mark, what it is about, what is so, and what to do about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from restante.admin.protocol import StatusAnswer
from restante.config.settings import Settings
from restante.directory.entries import Directory
from restante.model import DomainName
from restante.mx.lookup import Resolver


class Mark(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, or may, but probably not as it is meant."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing. `remedy` is empty where nothing is to be done."""

    mark: Mark
    subject: str
    text: str
    remedy: str = ""


def ok(subject: str, text: str) -> Finding:
    """Nothing is to be done."""
    return Finding(Mark.OK, subject, text)


def warning(subject: str, text: str, remedy: str) -> Finding:
    """It should be looked at."""
    return Finding(Mark.WARNING, subject, text, remedy)


def wrong(subject: str, text: str, remedy: str) -> Finding:
    """Something does not work."""
    return Finding(Mark.WRONG, subject, text, remedy)


def certificate_of(settings: Settings) -> tuple[Path, Path]:
    """Where a host's certificate and its key are, or will be made."""
    certificate, key = settings.tls.certificate, settings.tls.key
    if certificate is None or key is None:
        return settings.data / "self-signed.pem", settings.data / "self-signed.key"
    return certificate, key


@dataclass(frozen=True, slots=True)
class Host:
    """A host that is looked at, and what is known of it before anything was."""

    file: Path
    settings: Settings
    directory: Directory
    status: StatusAnswer | None
    """What the server that runs, or else the store, says of itself; None: neither does."""
    trouble: str
    """Why that could not be asked, or "": it was, or there is no store yet."""
    names: Resolver
    wall: float
    """The time, as this host's clock has it: seconds since 1970."""
    also_to: tuple[DomainName, ...] = ()
    """Domains elsewhere whose mail hosts shall be tried, too."""

    @property
    def listening(self) -> frozenset[str]:
        """Where the server that runs listens."""
        return frozenset(self.status.listening) if self.status is not None else frozenset()

    @property
    def is_running(self) -> bool:
        """Whether the server runs."""
        return self.status is not None and self.status.running

    @property
    def certificate(self) -> tuple[Path, Path]:
        """Where our certificate and its key are, or will be made."""
        return certificate_of(self.settings)


Check = Callable[[Host], AsyncIterator[Finding]]
"""Looks at one side of a host. Ends by itself when it has seen it, and does nothing to it."""
