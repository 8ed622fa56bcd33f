"""How passwords are kept: argon2id (RFC 9106, the low-memory profile), and SCRAM's verifier (RFC 5803).

All of it works on passwords that are prepared (RFC 4013), and all that hashes takes a tenth of a second of a core and
64 MiB by intention: never call it on the event loop. Both forms come from one password; CRAM-MD5's secret is another
thing, made by chance, and is kept as it is.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

from restante.errors import RestanteError
from restante.smtp.sasl import MOST_PASSWORD_OCTETS
from restante.smtp.saslprep import prepare
from restante.smtp.scram import ITERATIONS, SALT_OCTETS, ScramKeys, derive_keys

_HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_HASH = re.compile(
    r"\$argon2id\$v=19\$m=[1-9][0-9]{0,7},t=[1-9][0-9]{0,3},p=[1-9][0-9]{0,2}"
    r"\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{16,128}",
    re.ASCII,
)
_SCRAM = re.compile(
    r"SCRAM-SHA-256\$([1-9][0-9]{3,6}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)", re.ASCII
)
_SECRET_OCTETS = 24
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that is taken for another
_GROUPS, _OF_GROUP = 4, 5  # of 32 letters: 100 bits


class PasswordError(ValueError):
    """Text that is no password, or not in a form in which passwords are kept."""


@dataclass(eq=False)
class NotChecked(RestanteError):
    """A password could not be checked, for lack of memory or because its hash is damaged. May pass."""

    reason: str

    def __str__(self) -> str:
        return f"the password could not be checked: {self.reason}"


def check_password(text: str) -> str:
    """A new password in its prepared form. Raises PasswordError."""
    prepared = prepare(text)
    if prepared is None:
        raise PasswordError("the password is empty or has characters that no password may have (RFC 4013)")
    if len(prepared.encode()) > MOST_PASSWORD_OCTETS:
        raise PasswordError(f"the password is longer than {MOST_PASSWORD_OCTETS} octets")
    return prepared


def hash_password(password: str) -> str:
    """`$argon2id$...` of a prepared password, with a salt of its own."""
    return _HASHER.hash(password)


def check_hash(text: str) -> str:
    """A `$argon2id$...` as it stands, once it is seen that it is one. Raises PasswordError."""
    if not _HASH.fullmatch(text):
        raise PasswordError("not an argon2id hash, as `restante password` makes it")
    return text


def _of_nobody() -> str:
    """What looks like hash_password() of a password that nobody has: no password gives 32 zeros."""
    one = RFC_9106_LOW_MEMORY
    salt, digest = (base64.b64encode(bytes(size)).decode().rstrip("=") for size in (one.salt_len, one.hash_len))
    parameters = f"m={one.memory_cost},t={one.time_cost},p={one.parallelism}"
    return f"$argon2id$v={one.version}${parameters}${salt}${digest}"


_NOBODY = _of_nobody()


def verify(kept: str | None, password: str) -> bool:
    """Whether a prepared password is the one that was hashed; never where nothing is kept, after the same work.

    Raises NotChecked.
    """
    try:
        return _HASHER.verify(_NOBODY if kept is None else kept, password) and kept is not None
    except VerifyMismatchError:
        return False
    except (Argon2Error, InvalidHashError) as error:
        raise NotChecked(str(error)) from None


def scram_keys(password: str, chance: Callable[[int], bytes] = secrets.token_bytes) -> ScramKeys:
    """What SCRAM keeps of a prepared password; `chance` gives so many octets, for the salt."""
    return derive_keys(password, chance(SALT_OCTETS), ITERATIONS)


def write_scram(keys: ScramKeys) -> str:
    """`SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`, the three in base64 (RFC 5803 §3)."""
    salt, stored_key, server_key = (
        base64.b64encode(value).decode() for value in (keys.salt, keys.stored_key, keys.server_key)
    )
    return f"SCRAM-SHA-256${keys.iterations}:{salt}${stored_key}:{server_key}"


def parse_scram(text: str) -> ScramKeys:
    """The keys that write_scram() wrote. Raises PasswordError."""
    match = _SCRAM.fullmatch(text)
    if match is None:
        raise PasswordError("not SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey (RFC 5803)")
    salt, stored_key, server_key = (_octets(part) for part in match.groups()[1:])
    keys = ScramKeys(int(match[1]), salt, stored_key, server_key)
    if keys.iterations < ITERATIONS or not len(stored_key) == len(server_key) == 32:
        raise PasswordError(f"less than {ITERATIONS} iterations, or a key that is not of 32 octets (RFC 7677)")
    return keys


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise PasswordError("salt and keys are not base64") from None


def new_secret() -> str:
    """A fresh secret for CRAM-MD5: 192 bits of chance in hexadecimal."""
    return secrets.token_hex(_SECRET_OCTETS)


def new_password() -> str:
    """A fresh password of 100 bits of chance, which can be read out and typed."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_OF_GROUP)) for _ in range(_GROUPS))


def keys_of(password: str) -> dict[str, str]:
    """The keys `password` and `scram` of `[users.NAME]`, of a password as somebody typed it. Raises PasswordError."""
    prepared = check_password(password)
    return {"password": hash_password(prepared), "scram": write_scram(scram_keys(prepared))}
