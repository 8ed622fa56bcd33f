"""A server's certificate that is renewed on disk: the new one is in force at the next handshake, without a restart.

Whoever renews it writes two or three files, one after the other. What does not fit together yet, or is half written,
changes nothing: the pair in force stays, once it is said why, and the next handshake looks again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from restante.net.tls import CertificateError, ServerContext, server_context

_Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Where a server's certificate and key lie, and the authorities of its clients; see server_context()."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    asks: bool = True

    def load(self) -> ServerContext:
        """The context that they make now. Raises CertificateError."""
        return server_context(self.certificate, self.key, asks=self.asks, client_ca=self.client_ca)

    def stamp(self) -> _Stamp:
        """What changes when one of the files does, and costs little to see."""
        return tuple(_stamp(file) for file in (self.certificate, self.key, self.client_ca) if file is not None)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - at each handshake, and Path.stat() takes twice as long
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


class Renewed:
    """The context of some files, as they are now. `note` is told, in a sentence, of what was renewed or cannot be."""

    def __init__(self, files: ServerFiles, note: Callable[[str], None]) -> None:
        """Raises CertificateError."""
        self._files = files
        self._note = note
        self._stamp = files.stamp()  # before they are read: what changes meanwhile is seen the next time
        self._context = files.load()

    def context(self) -> ServerContext:
        """What is in force; the files are looked at."""
        stamp = self._files.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self._renew()
        return self._context

    def _renew(self) -> None:
        try:
            self._context = self._files.load()
        except CertificateError as error:
            self._note(f"the certificate has changed and cannot be used; the one before stays in force: {error}")
        else:
            self._note(f"the certificate has changed: {self._files.certificate} is in force now")
