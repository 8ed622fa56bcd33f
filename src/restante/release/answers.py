"""What is answered to those who ask for a release, by ETRN, by ATRN, or as operators: values, and two errors."""

from __future__ import annotations

from dataclasses import dataclass

from restante.errors import RestanteError
from restante.release.turn import Turn


@dataclass(frozen=True, slots=True)
class Started:
    """A release was started or joined; so many items wait, or the count is not to be told (None)."""

    waiting: int | None


@dataclass(frozen=True, slots=True)
class Queued:
    """A release waits behind one that runs."""


@dataclass(frozen=True, slots=True)
class NothingWaiting:
    """There is nothing to release. `code` is the reply code that the entry wants for it: 251, or 250 for fetchmail."""

    code: int = 251


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """No such node here, or not for this principal: nobody is told which."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A passing fault."""


@dataclass(frozen=True, slots=True)
class Busy:
    """A release of the same mail is under way."""


Answer = Started | Queued | NothingWaiting | NotAllowed | Unavailable
TurnAnswer = Turn | NothingWaiting | Busy | Unavailable


@dataclass(eq=False)
class NoSuchEntry(RestanteError):
    """The directory has no such entry, or it has nowhere to release to. Trying again does not help."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class Stopping(RestanteError):
    """No release is begun any more: this host is stopping. Trying again helps when it has started again."""

    def __str__(self) -> str:
        return "restante is stopping"
