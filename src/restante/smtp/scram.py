"""SCRAM-SHA-256 (RFC 5802, 7677): keys, and the messages of both sides as text. The exchanges are in sasl.py.

    client-first   n,,n=user,r=NONCE               gs2-header (n, y, or p=tls-server-end-point), name, client's nonce
    server-first   r=NONCEnonce,s=SALT,i=4096      both nonces, and how the password is salted
    client-final   c=biws,r=NONCEnonce,p=PROOF     the gs2-header again, with the channel binding's data (RFC 5929)
    server-final   v=SIGNATURE                     proves that the server knows the user's keys

Parsers give a value or raise BadMessage for anything else; an unknown mandatory extension (`m=`) is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass

END_POINT = "tls-server-end-point"  # the one channel binding that is spoken here (RFC 5929 §4)
ITERATIONS = 4096  # RFC 7677 §4: the least
MOST_ITERATIONS = 600_000  # that a server may ask of us: some tenths of a second
SALT_OCTETS = 16
_DIGEST_OCTETS = 32
_NAME = re.compile(r"(?:[^=,\x00]|=2C|=3D)+")
_NONCE = re.compile(r"[!-+\--~]+")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")


class BadMessage(ValueError):
    """Octets that are no message of the exchange. Trying again does not help."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server keeps of a password (RFC 5803): enough to check a proof, not enough to make one."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """`gs2` is the header as sent, `binding` the name after `p=`; names are decoded, not prepared."""

    gs2: str
    flag: str
    binding: str
    authorization: str
    login: str
    nonce: str
    bare: str


@dataclass(frozen=True, slots=True)
class ClientFinal:
    """`without_proof` is what the proof covers of this message."""

    binding: bytes
    nonce: str
    proof: bytes
    without_proof: str


@dataclass(frozen=True, slots=True)
class ServerFirst:
    """How the password is salted."""

    nonce: str
    salt: bytes
    iterations: int


# keys, proofs (RFC 5802 §3)


def salted(password: str, salt: bytes, iterations: int) -> bytes:
    """SaltedPassword, of a prepared password."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


def derive_keys(password: str, salt: bytes, iterations: int = ITERATIONS) -> ScramKeys:
    """What to keep of a prepared password."""
    salted_password = salted(password, salt, iterations)
    stored_key = hashlib.sha256(_client_key(salted_password)).digest()
    return ScramKeys(iterations, salt, stored_key, server_key(salted_password))


def server_key(salted_password: bytes) -> bytes:
    """ServerKey."""
    return mac(salted_password, b"Server Key")


def _client_key(salted_password: bytes) -> bytes:
    return mac(salted_password, b"Client Key")


def make_proof(salted_password: bytes, signed: str) -> bytes:
    """ClientProof over an AuthMessage."""
    key = _client_key(salted_password)
    return _xor(key, mac(hashlib.sha256(key).digest(), signed.encode()))


def is_proof(keys: ScramKeys, proof: bytes, signed: str) -> bool:
    """Whether a ClientProof over an AuthMessage was made with the password of these keys."""
    key = _xor(proof, mac(keys.stored_key, signed.encode()))
    return hmac.compare_digest(hashlib.sha256(key).digest(), keys.stored_key)


def mac(key: bytes, text: bytes) -> bytes:
    """HMAC-SHA-256."""
    return hmac.digest(key, text, "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


# messages (RFC 5802 §7)


def encode(data: bytes) -> str:
    """Base64, as inside messages."""
    return base64.b64encode(data).decode()


def write_name(name: str) -> str:
    """A name with its `=` and `,` as `=3D` and `=2C`."""
    return name.replace("=", "=3D").replace(",", "=2C")


def parse_client_first(message: bytes) -> ClientFirst:
    """Raises BadMessage."""
    text = _text(message)
    flag, _, rest = text.partition(",")
    authorization, comma, bare = rest.partition(",")
    if flag not in ("n", "y") and not (flag.startswith("p=") and len(flag) > 2):
        raise BadMessage("no gs2 flag")
    if not comma or not (authorization == "" or authorization.startswith("a=")):
        raise BadMessage("no gs2 header")
    values = _values(bare, "n", "r")
    return ClientFirst(
        gs2=f"{flag},{authorization},",
        flag=flag[0],
        binding=flag[2:],
        authorization=_name(authorization[2:]) if authorization else "",
        login=_name(values[0]),
        nonce=_nonce(values[1]),
        bare=bare,
    )


def parse_client_final(message: bytes) -> ClientFinal:
    """Raises BadMessage."""
    text = _text(message)
    without_proof, separator, proof = text.rpartition(",p=")
    if not separator:
        raise BadMessage("no proof")
    binding, nonce = _values(without_proof, "c", "r")
    return ClientFinal(_octets(binding), _nonce(nonce), _digest(proof), without_proof)


def parse_server_first(message: bytes, client_nonce: str) -> ServerFirst:
    """Raises BadMessage, also for a nonce that does not go on from ours, and for too few or too many iterations."""
    nonce, salt, iterations = _values(_text(message), "r", "s", "i")
    if not nonce.startswith(client_nonce) or len(nonce) <= len(client_nonce):
        raise BadMessage("the server's nonce does not begin with ours")
    if not _NUMBER.fullmatch(iterations) or not ITERATIONS <= int(iterations) <= MOST_ITERATIONS:
        raise BadMessage(f"iterations are not {ITERATIONS} to {MOST_ITERATIONS}")
    return ServerFirst(_nonce(nonce), _octets(salt), int(iterations))


def parse_server_final(message: bytes) -> bytes:
    """The server's signature. Raises BadMessage, also for `e=`."""
    text = _text(message)
    if not text.startswith("v="):
        raise BadMessage(f"no signature: {text[:80]!r}")
    return _digest(text[2:].partition(",")[0])


def _text(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise BadMessage("not UTF-8") from None


def _values(text: str, *names: str) -> list[str]:
    """The values of the attributes that a message begins with; optional extensions may follow."""
    parts = text.split(",")
    if len(parts) < len(names) or any(
        not part.startswith(f"{name}=") for part, name in zip(parts, names, strict=False)
    ):
        raise BadMessage(f"not the attributes {', '.join(names)}")
    for extension in parts[len(names) :]:
        if not re.match(r"[A-Za-ln-z]=.", extension, re.DOTALL):  # m= is mandatory, and nobody knows it
            raise BadMessage("an extension that is not known")
    return [part[2:] for part in parts[: len(names)]]


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise BadMessage("not a name")
    return text.replace("=2C", ",").replace("=3D", "=")


def _nonce(text: str) -> str:
    if not _NONCE.fullmatch(text):
        raise BadMessage("not a nonce")
    return text


def _octets(text: str) -> bytes:
    try:
        octets = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadMessage("not base64") from None
    if not octets:
        raise BadMessage("nothing in base64")
    return octets


def _digest(text: str) -> bytes:
    octets = _octets(text)
    if len(octets) != _DIGEST_OCTETS:
        raise BadMessage("not a SHA-256 digest")
    return octets
