"""SASL's exchanges, both sides, without I/O: PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and -PLUS (RFC 5802, 7677),
EXTERNAL (RFC 4422 app. A), CRAM-MD5 (RFC 2195), in SMTP's frame (RFC 4954). Octets here; base64 is the engine's.

The server's side takes a step for each response, and its caller answers questions between: what is kept of a user's
password. Whether there is such a user makes no difference to what is said, computed or asked until the very end. It
ends in a verdict, for any octets whatever; nothing raises. An authorization identity may be empty or the login's own.

The client's side believes a 235 only if `may_succeed`: with SCRAM, after the server has proven that it knows the user.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field

from restante.smtp import scram
from restante.smtp.saslprep import prepare
from restante.smtp.scram import BadMessage, ScramKeys

PLAIN = "PLAIN"
LOGIN = "LOGIN"
SCRAM = "SCRAM-SHA-256"
SCRAM_PLUS = "SCRAM-SHA-256-PLUS"
EXTERNAL = "EXTERNAL"
CRAM_MD5 = "CRAM-MD5"
MECHANISMS = (SCRAM_PLUS, SCRAM, EXTERNAL, CRAM_MD5, PLAIN, LOGIN)

MOST_NAME_OCTETS = 255  # RFC 4616 §2: what must be taken at least
MOST_PASSWORD_OCTETS = 1024
_DIGEST = re.compile(rb"[0-9a-f]{32}")


# the server's side: steps


@dataclass(frozen=True, slots=True)
class Challenge:
    """To be sent; respond() takes what comes back."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ScramAsked:
    """A question: this user's SCRAM keys; answer() takes them, or None."""

    login: str


@dataclass(frozen=True, slots=True)
class SecretAsked:
    """A question: this user's CRAM-MD5 secret; answer() takes it, or None."""

    login: str


@dataclass(frozen=True, slots=True)
class PasswordShown:
    """A verdict that is the caller's to complete: is this the user's password? Both are prepared (RFC 4013)."""

    login: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IdentityClaimed:
    """A verdict that is the caller's to complete: does the session's certificate prove it? Empty: whoever it proves."""

    authorization: str


@dataclass(frozen=True, slots=True)
class Proven:
    """The peer knows the user's password or secret."""

    login: str


@dataclass(frozen=True, slots=True)
class Failed:
    """No such user, or another password: nobody is told which."""

    login: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Well-formed, and not to be allowed, whatever the password: why, for the log."""

    why: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not this mechanism's language (501 5.5.2): why, for the log."""

    why: str


Question = ScramAsked | SecretAsked
Verdict = PasswordShown | IdentityClaimed | Proven | Failed | Refused | Malformed
Step = Challenge | Question | Verdict
_Sent = bytes | ScramKeys | None
_ServerSteps = Generator[Challenge | Question, _Sent, Verdict]


class ServerExchange:
    """One exchange, on the server's side: look at `step`, then respond() to a Challenge, or answer() a question."""

    def __init__(self, steps: _ServerSteps) -> None:
        self._steps = steps
        self.step: Step
        self._advance(None)

    def respond(self, response: bytes) -> Step:
        """Takes what came back for a Challenge."""
        assert isinstance(self.step, Challenge), self.step
        return self._advance(response)

    def answer(self, known: ScramKeys | bytes | None) -> Step:
        """Takes what is known for a question; None where there is no such user, or nothing of that kind."""
        assert isinstance(self.step, Question), self.step
        return self._advance(known)

    def _advance(self, sent: _Sent) -> Step:
        try:
            self.step = self._steps.send(sent)
        except StopIteration as end:
            self.step = end.value
        except BadMessage as error:
            self.step = Malformed(str(error))
        return self.step


def server_exchange(
    mechanism: str, initial: bytes | None, *, hostname: str, nonce: str, disguise: bytes, server_end_point: bytes = b""
) -> ServerExchange:
    """The server's side of one of MECHANISMS, up to its first step.

    `initial` is the client's initial response, None if it gave none; `nonce` is fresh and unguessable, printable
    without comma; `disguise` is a key that stays the same, which makes unknown users' salts; `server_end_point` is
    the channel binding of this connection (RFC 5929), and not empty exactly where SCRAM-SHA-256-PLUS was offered.
    """
    match mechanism:
        case "PLAIN":
            return ServerExchange(_plain(initial))
        case "LOGIN":
            return ServerExchange(_login(initial))
        case "EXTERNAL":
            return ServerExchange(_external(initial))
        case "CRAM-MD5":
            return ServerExchange(_cram(initial, f"<{nonce}@{hostname}>".encode(), disguise))
        case _:
            assert mechanism in (SCRAM, SCRAM_PLUS), mechanism
            binding = _Binding(is_used=mechanism == SCRAM_PLUS, server_end_point=server_end_point)
            return ServerExchange(_scram(initial, nonce, disguise, binding))


def _challenge(data: bytes) -> Generator[Challenge | Question, _Sent, bytes]:
    response = yield Challenge(data)
    assert isinstance(response, bytes)
    return response


def _first(initial: bytes | None) -> Generator[Challenge | Question, _Sent, bytes]:
    """What a mechanism in which the client speaks first begins with."""
    return (yield from _challenge(b"")) if initial is None else initial


def _plain(initial: bytes | None) -> _ServerSteps:
    parts = (yield from _first(initial)).split(b"\0")
    if len(parts) != 3:
        raise BadMessage("not [authorization] NUL login NUL password")
    authorization = _named(parts[0]) if parts[0] else ""
    return _shown(authorization, _named(parts[1]), parts[2])


def _login(initial: bytes | None) -> _ServerSteps:
    name = (yield from _challenge(b"Username:")) if initial is None else initial
    login = _named(name)
    return _shown("", login, (yield from _challenge(b"Password:")))


def _external(initial: bytes | None) -> _ServerSteps:
    authorization = yield from _first(initial)
    return IdentityClaimed(_named(authorization) if authorization else "")


def _cram(initial: bytes | None, challenge: bytes, disguise: bytes) -> _ServerSteps:
    if initial is not None:
        raise BadMessage("an initial response, where the server speaks first")
    name, _, digest = (yield from _challenge(challenge)).rpartition(b" ")
    login = _named(name)
    if not _DIGEST.fullmatch(digest):
        raise BadMessage("no MD5 digest in lower-case hexadecimal")
    secret = yield SecretAsked(login)
    assert secret is None or isinstance(secret, bytes)
    right = _cram_digest(disguise if secret is None else secret, challenge)
    is_right = hmac.compare_digest(digest, right)
    return Proven(login) if is_right and secret is not None else Failed(login)


def _cram_digest(secret: bytes, challenge: bytes) -> bytes:
    return hmac.digest(secret, challenge, "md5").hex().encode()


@dataclass(frozen=True, slots=True)
class _Binding:
    """The channel binding on the server's side: in use with -PLUS, and offered where its data is not empty."""

    is_used: bool
    server_end_point: bytes

    def problem_of(self, first: scram.ClientFirst) -> str | None:
        """Why a gs2 flag cannot stand (RFC 5802 §6)."""
        if (first.flag == "p") != self.is_used:
            return "channel binding does not go with the mechanism"
        if first.flag == "p" and first.binding != scram.END_POINT:
            return f"channel binding {first.binding!r} is not spoken here"
        if first.flag == "y" and self.server_end_point:
            return "the client was not shown that channel binding is offered: somebody changed the EHLO reply"
        return None


def _scram(initial: bytes | None, nonce: str, disguise: bytes, binding: _Binding) -> _ServerSteps:
    first = scram.parse_client_first((yield from _first(initial)))
    login = _prepared(first.login)
    if first.authorization and _prepared(first.authorization) != login:
        return Refused("the authorization identity is not the login")
    if (problem := binding.problem_of(first)) is not None:
        return Refused(problem)
    known = yield ScramAsked(login)
    assert known is None or isinstance(known, ScramKeys)
    keys = _disguised(login, disguise) if known is None else known
    both = first.nonce + nonce
    server_first = f"r={both},s={scram.encode(keys.salt)},i={keys.iterations}"
    final = scram.parse_client_final((yield from _challenge(server_first.encode())))
    if final.nonce != both:
        raise BadMessage("the nonce is not the one of this exchange")
    if final.binding != first.gs2.encode() + (binding.server_end_point if binding.is_used else b""):
        return Refused("the channel is not bound as the client thinks: somebody stands between")
    signed = f"{first.bare},{server_first},{final.without_proof}"
    is_right = scram.is_proof(keys, final.proof, signed)
    if not is_right or known is None:
        return Failed(login)
    signature = scram.mac(keys.server_key, signed.encode())
    if (yield from _challenge(f"v={scram.encode(signature)}".encode())):  # RFC 4954 §4: 235 carries no data
        raise BadMessage("something was said after the server's signature")
    return Proven(login)


def _disguised(login: str, disguise: bytes) -> ScramKeys:
    """Keys that look like a user's, the same each time."""
    salt, stored_key, server_key = (scram.mac(disguise, f"{use} {login}".encode()) for use in ("salt", "stored", "key"))
    return ScramKeys(scram.ITERATIONS, salt[: scram.SALT_OCTETS], stored_key, server_key)


def _shown(authorization: str, login: str, password: bytes) -> PasswordShown | Refused:
    if authorization not in ("", login):
        return Refused("the authorization identity is not the login")
    prepared = prepare(_decoded(password, MOST_PASSWORD_OCTETS))
    if prepared is None:  # RFC 4616 §2: verification fails
        return Refused("the password has characters that no password has")
    return PasswordShown(login, prepared)


def _named(octets: bytes) -> str:
    return _prepared(_decoded(octets, MOST_NAME_OCTETS))


def _prepared(name: str) -> str:
    prepared = prepare(name)
    if prepared is None or len(prepared.encode()) > MOST_NAME_OCTETS:
        raise BadMessage("not a name")
    return prepared


def _decoded(octets: bytes, most: int) -> str:
    if len(octets) > most:
        raise BadMessage(f"more than {most} octets")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise BadMessage("not UTF-8") from None


# the client's side


@dataclass(frozen=True, slots=True)
class Credentials:
    """What we can show: a login with its password (for CRAM-MD5: its secret), or a certificate that TLS has shown."""

    login: str
    password: str | None = field(default=None, repr=False)
    has_certificate: bool = False


@dataclass(frozen=True, slots=True)
class Aborted:
    """The exchange is to be cancelled with `*`: why. The same server will do the same again."""

    why: str


_ClientSteps = Generator[tuple[bytes | None, bool], bytes, None]
"""Each response, and whether the server may now say that we are who we say."""


def choose(offered: Iterable[str], credentials: Credentials, *, is_encrypted: bool, can_bind: bool) -> str | None:
    """The strongest mechanism of an EHLO reply's AUTH that these credentials are enough for; None: there is none.

    A password is never shown in clear. There is one choice and no second try with a weaker one, which whoever makes
    the first fail would get to see. EXTERNAL comes last where there is a password: it was given to be used.
    """
    names = {name.upper() for name in offered}
    for mechanism in _suitable(credentials, is_encrypted=is_encrypted, can_bind=can_bind):
        if mechanism in names:
            return mechanism
    return None


def _suitable(credentials: Credentials, *, is_encrypted: bool, can_bind: bool) -> tuple[str, ...]:
    external = (EXTERNAL,) if credentials.has_certificate and is_encrypted else ()
    if credentials.password is None:
        return external
    bound = (SCRAM_PLUS,) if can_bind else ()
    weaker = (PLAIN, LOGIN, CRAM_MD5) if is_encrypted else (CRAM_MD5,)
    return (*bound, SCRAM, *weaker, *external)


class ClientExchange:
    """One exchange, on the client's side. `initial` goes with the AUTH command; None: the server speaks first."""

    def __init__(self, steps: _ClientSteps) -> None:
        self._steps = steps
        self.initial, self.may_succeed = next(steps)

    def respond(self, challenge: bytes) -> bytes | Aborted:
        """What to answer to a challenge. After Aborted there is nothing more to say."""
        self.may_succeed = False
        try:
            response, self.may_succeed = self._steps.send(challenge)
        except StopIteration:
            return Aborted("a challenge too many")
        except BadMessage as error:
            return Aborted(str(error))
        assert response is not None
        return response


def client_exchange(
    mechanism: str, credentials: Credentials, *, nonce: str, server_end_point: bytes = b""
) -> ClientExchange:
    """The client's side of a mechanism that choose() gave.

    `nonce` is fresh and unguessable, printable without comma; `server_end_point` is the channel binding of this
    connection (RFC 5929), empty where there is none: the same of which `can_bind` told choose().
    """
    password = credentials.password or ""
    match mechanism:
        case "PLAIN":
            return ClientExchange(_say_plain(credentials.login, password))
        case "LOGIN":
            return ClientExchange(_say_login(credentials.login, password))
        case "EXTERNAL":
            return ClientExchange(_say_external(credentials.login))
        case "CRAM-MD5":
            return ClientExchange(_say_cram(credentials.login, password))
        case "SCRAM-SHA-256-PLUS":
            header = f"p={scram.END_POINT},,"
            return ClientExchange(_say_scram(credentials.login, password, nonce, header, server_end_point))
        case _:
            assert mechanism == SCRAM, mechanism
            header = "y,," if server_end_point else "n,,"
            return ClientExchange(_say_scram(credentials.login, password, nonce, header, b""))


def _ours(text: str) -> str:
    """Prepared; a password that cannot be is said as it is: the server may not have been so strict."""
    return prepare(text) or text


def _say_plain(login: str, password: str) -> _ClientSteps:
    yield f"\0{_ours(login)}\0{_ours(password)}".encode(), True


def _say_login(login: str, password: str) -> _ClientSteps:
    yield None, False
    yield _ours(login).encode(), False
    yield _ours(password).encode(), True


def _say_external(login: str) -> _ClientSteps:
    yield _ours(login).encode(), True


def _say_cram(login: str, secret: str) -> _ClientSteps:
    challenge = yield None, False
    yield login.encode() + b" " + _cram_digest(secret.encode(), challenge), True


def _say_scram(login: str, password: str, nonce: str, header: str, binding: bytes) -> _ClientSteps:
    bare = f"n={scram.write_name(_ours(login))},r={nonce}"
    server_first = yield f"{header}{bare}".encode(), False
    salting = scram.parse_server_first(server_first, nonce)
    salted = scram.salted(_ours(password), salting.salt, salting.iterations)
    without_proof = f"c={scram.encode(header.encode() + binding)},r={salting.nonce}"
    signed = f"{bare},{server_first.decode()},{without_proof}"
    proof = scram.make_proof(salted, signed)
    server_final = yield f"{without_proof},p={scram.encode(proof)}".encode(), False
    signature = scram.mac(scram.server_key(salted), signed.encode())
    if not hmac.compare_digest(scram.parse_server_final(server_final), signature):
        raise BadMessage("the server does not know our password: it is not the one that it claims to be")
    yield b"", True
