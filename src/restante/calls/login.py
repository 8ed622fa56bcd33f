"""Who a site is to its office: a login with its password from a file, or a certificate, or both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from restante.net.tls import Pair
from restante.smtp.sasl import Credentials
from restante.transport.login import first_line


@dataclass(frozen=True, slots=True)
class Login:
    """How we log in at an office; nothing of it: not at all."""

    user: str | None = None
    password_file: Path | None = None
    """Its first line is the password."""
    own: Pair | None = None
    """The certificate that we show where the office asks for one, and its key."""

    def credentials(self, *, for_turn: bool) -> Credentials | None:
        """What can be shown, read now; None: nothing. Raises PasswordUnreadable.

        `for_turn`: ATRN takes a login in any case, so a certificate alone is shown as one.
        """
        if self.user is None:
            return Credentials("", has_certificate=True) if for_turn and self.own is not None else None
        password = first_line(self.password_file) if self.password_file is not None else None
        return Credentials(self.user, password, has_certificate=self.own is not None)
