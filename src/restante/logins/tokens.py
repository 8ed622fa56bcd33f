"""Tokens: what a program shows to the API instead of a password. 256 bits of chance, and the name of their user.

Of a token its digest is kept and nothing else. A digest without salt is enough for what nobody can guess, and costs no
tenth of a second at each request. It is compared in a time that says nothing, and wrong ones are bounded as passwords
are, apart from them: a job with an old token must not lock its user out.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from restante.directory.users import Token
from restante.logins.check import Admitted, Logins, NotAdmitted, NotTried
from restante.model import Principal

MECHANISM = "TOKEN"
PREFIX = "rst_"
"""Tells people, and programs that look for secrets in the wrong places, what it is."""
SECRET_OCTETS = 32
MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """What a token says."""

    name: str
    secret: bytes


def new_token(
    name: str, expires: float | None, chance: Callable[[int], bytes] = secrets.token_bytes
) -> tuple[str, Token]:
    """A fresh token of a user as text, and what is kept of it. `expires`: a wall time, None is never."""
    secret = chance(SECRET_OCTETS)
    text = base64.urlsafe_b64encode(secret + name.encode()).decode().rstrip("=")
    return PREFIX + text, Token(_digest(secret), expires)


def parse_token(text: str) -> Shown | None:
    """What a token says; None for what is none."""
    if len(text) > MOST_CHARACTERS or not text.startswith(PREFIX):
        return None
    coded = text.removeprefix(PREFIX)
    try:
        octets = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
        shown = Shown(octets[SECRET_OCTETS:].decode(), octets[:SECRET_OCTETS])
    except (binascii.Error, ValueError):
        return None
    return shown if shown.name else None


def is_one_of(kept: Iterable[Token], secret: bytes, now: float) -> bool:
    """Whether a secret is that of a token which is still good at that wall time. Each is compared, whatever comes."""
    shown, is_right = _digest(secret), False
    for token in kept:
        is_good = token.expires is None or now < token.expires
        is_right |= hmac.compare_digest(token.digest.encode(), shown.encode()) and is_good
    return is_right


async def check_token(logins: Logins, shown: Shown, principal: Principal) -> Admitted | NotAdmitted | NotTried:
    """Whom a token admits. A wrong one is answered later and later, and after too many none is looked at."""
    user, clock, guesses = logins.directory().user(shown.name), logins.clock, logins.guesses
    account = f"token:{shown.name}"  # no user has that name
    if not guesses.take(account, principal.address, clock.monotonic()):
        return NotTried(shown.name, "too many failures lately")
    if is_one_of(user.tokens if user is not None else (), shown.secret, clock.wall()) and user is not None:
        guesses.right(account, principal.address)
        return Admitted(user.name, MECHANISM)
    await clock.sleep(guesses.delay(account, principal.address, clock.monotonic()))
    return NotAdmitted(shown.name, "no such token, or it has expired")


def _digest(secret: bytes) -> str:
    return sha256(secret).hexdigest()
