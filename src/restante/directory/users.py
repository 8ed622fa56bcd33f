"""Who may log in: a user's credentials, certificates and own domains. The credentials are for logins/check.py alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from restante.model import DomainName, Principal
from restante.smtp.scram import ScramKeys


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a secret that a program shows instead of a password (logins/tokens.py)."""

    digest: str
    """Its SHA-256, in lower-case hex."""
    expires: float | None = None
    """A wall time; None: it is good until it is revoked."""


@dataclass(frozen=True, slots=True)
class User:
    """One `[users.NAME]`. None: that kind of login is not this user's."""

    name: str
    """In lower case."""
    password: str | None = field(default=None, repr=False)
    """`$argon2id$...`, as logins/passwords.py has checked it."""
    scram: ScramKeys | None = field(default=None, repr=False)
    secret: bytes | None = field(default=None, repr=False)
    """For CRAM-MD5: the first line of its secret_file."""
    certificates: frozenset[str] = frozenset()
    """Fingerprints (SHA-256, lower-case hex) and DNS names (A-labels, lower case)."""
    domains: frozenset[DomainName] = frozenset()
    admin: bool = False
    """Whether it sees and does all over the API; others see and do what concerns their own domains."""
    tokens: tuple[Token, ...] = field(default=(), repr=False)

    @property
    def proofs(self) -> tuple[str, ...]:
        """The kinds of what it logs in with, for people."""
        kinds = {
            "password": self.password,
            "scram": self.scram,
            "cram-md5": self.secret,
            "certificate": self.certificates,
        }
        return tuple(kind for kind, proof in kinds.items() if proof)

    def is_shown_by(self, principal: Principal) -> bool:
        """Whether the principal's certificate is one of this user's."""
        return principal.certificate in self.certificates or not self.certificates.isdisjoint(
            principal.certificate_names
        )


@dataclass(frozen=True, slots=True)
class UsersHave:
    """Which kinds of credentials at least one user has."""

    password: bool = False
    scram: bool = False
    secret: bool = False

    @staticmethod
    def of(users: Collection[User]) -> UsersHave:
        """Looks at each of them: once for a directory, not for each session."""
        return UsersHave(
            password=any(user.password is not None for user in users),
            scram=any(user.scram is not None for user in users),
            secret=any(user.secret is not None for user in users),
        )
