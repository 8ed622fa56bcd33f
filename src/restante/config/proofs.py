"""What proves a login, here or elsewhere, as forms: hashes, secrets, fingerprints and keys. None is ever shown.

A secret may stand in a file of its own, so that the configuration can be shown to others.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path

from restante.config.forms import Unfit, Value
from restante.config.words import NAME, existing, parse_name
from restante.directory.entries import is_fingerprint, parse_certificate
from restante.logins.passwords import check_hash, parse_scram, write_scram

LEAST_SECRET = 16  # characters: it can be guessed offline by whoever has seen one exchange (RFC 2195 §3)
MOST_SECRET = 255
MOST_FILE = 4096  # octets


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file and the secret on its first line."""

    path: Path
    secret: str = field(repr=False)


def parse_secret(text: str) -> str:
    """A secret for CRAM-MD5: printable ASCII without spaces. Raises ValueError."""
    if not (text.isascii() and text.isprintable() and " " not in text and LEAST_SECRET <= len(text) <= MOST_SECRET):
        raise ValueError("no such secret")
    return text


def read_secret(path: Path) -> SecretFile:
    """The secret on the first line of a file. Raises Unfit."""
    if not existing(path).is_file():
        raise Unfit("not a regular file")
    try:
        with path.open("rb") as file:
            line = file.read(MOST_FILE).split(b"\n")[0].strip()
    except OSError as error:
        raise Unfit(f"cannot be read: {error.strerror}") from None
    try:
        return SecretFile(path, parse_secret(line.decode("ascii")))
    except ValueError:
        raise Unfit("its first line is no such secret") from None


def is_open_to_others(path: Path) -> bool:
    """Whether others than a file's owner and group may read it."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH) and os.name == "posix"
    except OSError:
        return False


def parse_login_name(text: str) -> str:
    """The name of a user of this host, in lower case. Raises ValueError."""
    return parse_name(text).lower()


def parse_pin(text: str) -> str:
    """A public key's SHA-256 in lower-case hex (net/tls.py), of `sha256:` and 64 hexadecimal digits.

    Raises ValueError.
    """
    kind, _, digest = text.partition(":")
    pin = digest.replace(":", "").lower()
    if kind.lower() != "sha256" or not is_fingerprint(pin):
        raise ValueError(text)
    return pin


_SECRET_WORDS = f"{LEAST_SECRET} to {MOST_SECRET} characters of printable ASCII without spaces"

LOGIN_NAME = replace(NAME, example="test", parse=parse_login_name)
HASH = Value(
    kind="hash",
    allowed="a hash that begins with $argon2id$, as `restante password` makes it",
    example="$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRvZjE2b2N0ZXQ$b25lIGhhc2ggb2YgdGhpcnR5dHdvIG9jdGV0cw",
    parse=check_hash,
    is_secret=True,
)
SCRAM = Value(
    kind="keys",
    allowed="a text that begins with SCRAM-SHA-256$, as `restante password` makes it",
    example="SCRAM-SHA-256$4096:AAECAwQFBgcICQoLDA0ODw==$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=",
    parse=parse_scram,
    written=write_scram,
    is_secret=True,
)
SECRET = Value(
    kind="secret",
    allowed=_SECRET_WORDS,
    example="Gq3vZk0Tn5xW8rLd2HcY",
    parse=parse_secret,
    is_secret=True,
)
SECRET_FILE = Value(
    kind="path",
    allowed=f"the path of a file whose first line has {_SECRET_WORDS}",
    example="test.cram",
    parse=read_secret,
    is_file=True,
)
CERTIFICATE = Value(
    kind="SHA-256 fingerprint or DNS name",
    allowed="a SHA-256 fingerprint (64 hexadecimal digits) or a DNS name",
    example="site.test.example",
    parse=parse_certificate,
)
PIN = Value(
    kind="`sha256:` and 64 hexadecimal digits",
    allowed='"sha256:" and 64 hexadecimal digits',
    example="sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    parse=parse_pin,
    written=lambda pin: f"sha256:{pin}",
)
