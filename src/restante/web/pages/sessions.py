"""Who is logged in with a browser: sessions in memory, known by a secret in a cookie. A restart ends all of them.

Of the secret only a hash is kept. A session ends IDLE_SECONDS after it was last used, MOST_SECONDS after it began, and
when its user is not any more as he was when he logged in: removed, with another password, with other domains.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from restante.clock import Clock
from restante.directory.users import User

IDLE_SECONDS = 2 * 3600.0
MOST_SECONDS = 12 * 3600.0
MOST_SESSIONS = 1000
"""Those that were used least lately give way."""
MOST_OF_ONE = 20
"""Of one user, the same."""
_OCTETS = 32

UserNow = Callable[[str], User | None]


@dataclass(frozen=True, slots=True)
class Note:
    """What was done, to be said on the next page; `more` are lines of a list below it."""

    text: str
    more: tuple[str, ...] = ()
    warns: bool = False


@dataclass(slots=True)
class Session:
    """A user's. `form_secret` is in each form that he is given, and no other site can know it."""

    user: User
    began: float
    used: float
    form_secret: str = field(default_factory=lambda: secrets.token_urlsafe(_OCTETS))
    note: Note | None = None

    def take_note(self) -> Note | None:
        """What is to be said, once."""
        note, self.note = self.note, None
        return note

    def gave(self, shown: str) -> bool:
        """Whether what a form shows is of this session."""
        return hmac.compare_digest(shown.encode(), self.form_secret.encode())


class Sessions:
    """All of them. Used in the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, user: User) -> str:
        """A new one; gives its secret."""
        secret, now = secrets.token_urlsafe(_OCTETS), self._clock.monotonic()
        of_user = [key for key, session in self._sessions.items() if session.user.name == user.name]
        for key in of_user[: max(0, len(of_user) - MOST_OF_ONE + 1)]:
            del self._sessions[key]
        while len(self._sessions) >= MOST_SESSIONS:
            self._sessions.popitem(last=False)
        self._sessions[_key(secret)] = Session(user, now, now)
        return secret

    def find(self, secret: str, user_now: UserNow) -> Session | None:
        """The session of a secret, while it is one; `user_now` gives a user as the directory has him."""
        key, now = _key(secret), self._clock.monotonic()
        session = self._sessions.get(key)
        if session is None:
            return None
        is_over = now >= min(session.used + IDLE_SECONDS, session.began + MOST_SECONDS)
        if is_over or user_now(session.user.name) != session.user:
            del self._sessions[key]
            return None
        session.used = now
        self._sessions.move_to_end(key)
        return session

    def end(self, secret: str) -> None:
        """Ends one, if it is one."""
        self._sessions.pop(_key(secret), None)


def _key(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
