"""One login: SASL's exchange, the users, and what slows guessing, put together (RFC 4954, 4422).

    mechanisms()       what to offer, by what users have and how safe the channel is
    Logins.attempt()   one AUTH: start() and respond() give a Challenge, then an outcome

An outcome says in `why` what the log may know; the peer is told one thing for every NotAdmitted. An unknown user, one
without that kind of credentials and one whose password is another cost the same: the same hashing with the usual
parameters, the same delay. Whoever shows a certificate of the user that he names is neither counted nor delayed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from restante.clock import Clock
from restante.directory.entries import Directory
from restante.directory.users import User, UsersHave
from restante.logins.guesses import Guesses, GuessLimits
from restante.logins.passwords import NotChecked, verify
from restante.logins.workers import Workers, WorkersBusy
from restante.model import Principal
from restante.smtp import sasl
from restante.smtp.sasl import Challenge, ServerExchange, server_exchange

_NONCE_OCTETS = 18
_THREADS = 2  # each needs 64 MiB while it works
_WAITING = 64


@dataclass(frozen=True, slots=True)
class Admitted:
    """The peer has proven to be this user."""

    login: str
    mechanism: str


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """Not proven: 535 5.7.8. `login` is who was claimed, empty where nobody was."""

    login: str
    why: str


@dataclass(frozen=True, slots=True)
class NotTried:
    """Too many guesses, or too much to do: 454 4.7.0."""

    login: str
    why: str


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """Not the mechanism's language: 501 5.5.2."""

    why: str


Outcome = Admitted | NotAdmitted | NotTried | NotUnderstood


def mechanisms(
    users_have: UsersHave,
    *,
    is_encrypted: bool,
    allow_clear: bool,
    has_certificate: bool,
    is_odmr: bool,
    can_bind: bool,
) -> tuple[str, ...]:
    """What to offer in EHLO, strongest first; nothing that no user could use.

    `allow_clear`: passwords may cross this channel without TLS (loopback, or configured); `has_certificate`: the
    session showed one that some user names; `can_bind`: the channel binding of its TLS is known. CRAM-MD5 is ODMR's,
    in clear too (RFC 2645 §5.1.1), and elsewhere as the passwords.
    """
    may_show = is_encrypted or allow_clear
    offered = {
        sasl.SCRAM_PLUS: users_have.scram and is_encrypted and can_bind,
        sasl.SCRAM: users_have.scram and may_show,
        sasl.EXTERNAL: has_certificate,
        sasl.CRAM_MD5: users_have.secret and (is_odmr or may_show),
        sasl.PLAIN: users_have.password and may_show,
        sasl.LOGIN: users_have.password and may_show,
    }
    return tuple(mechanism for mechanism in sasl.MECHANISMS if offered[mechanism])


class Logins:
    """Who may log in, as of now. `disguise` is a secret of this host that stays the same over restarts."""

    def __init__(self, directory: Callable[[], Directory], clock: Clock, disguise: bytes, limits: GuessLimits) -> None:
        self.directory = directory
        self.clock = clock
        self.guesses = Guesses(limits)
        self.workers = Workers(_THREADS, _WAITING)
        self._of: Directory | None = None  # whose users _have and _offers tell of
        self._have = UsersHave()
        self._offers: dict[tuple[bool, ...], tuple[str, ...]] = {}
        self._disguise = disguise

    def offer(
        self, principal: Principal, *, is_encrypted: bool, allow_clear: bool, is_odmr: bool, can_bind: bool
    ) -> tuple[str, ...]:
        """mechanisms(), for the users of now and a session's principal."""
        directory = self.directory()
        if self._of is not directory:
            self._of, self._have, self._offers = directory, UsersHave.of(directory.users.values()), {}
        has_certificate = bool(_proven(directory, principal))
        state = is_encrypted, allow_clear, has_certificate, is_odmr, can_bind
        if (offer := self._offers.get(state)) is None:
            offer = self._offers[state] = mechanisms(
                self._have,
                is_encrypted=is_encrypted,
                allow_clear=allow_clear,
                has_certificate=has_certificate,
                is_odmr=is_odmr,
                can_bind=can_bind,
            )
        return offer

    def attempt(self, mechanism: str, principal: Principal, server_end_point: bytes = b"") -> Attempt:
        """One AUTH of a mechanism that mechanisms() gave.

        `server_end_point` is the channel binding data of the session's TLS, exactly if `can_bind` was.
        """

        def begin(initial: bytes | None) -> ServerExchange:
            return server_exchange(
                mechanism,
                initial,
                hostname=self.directory().hostname,
                nonce=secrets.token_hex(_NONCE_OCTETS),
                disguise=self._disguise,
                server_end_point=server_end_point,
            )

        return Attempt(self, mechanism, principal, begin)

    def close(self) -> None:
        """Checks no more passwords."""
        self.workers.close()


class Attempt:
    """One AUTH of one session. After a Challenge comes respond(); an outcome is the end."""

    def __init__(
        self, logins: Logins, mechanism: str, principal: Principal, begin: Callable[[bytes | None], ServerExchange]
    ) -> None:
        self._logins = logins
        self._mechanism = mechanism
        self._principal = principal
        self._begin = begin
        self._exchange: ServerExchange | None = None
        self._proof_of: str | None = None  # whose proof the next response is

    async def start(self, initial: bytes | None) -> Challenge | Outcome:
        """Takes the initial response; None where AUTH had none."""
        assert self._exchange is None, "it was started before"
        self._exchange = self._begin(initial)
        return await self._go_on(self._exchange, self._exchange.step)

    async def respond(self, response: bytes) -> Challenge | Outcome:
        """Takes what came back for a Challenge."""
        assert self._exchange is not None, "it was not started"
        login, self._proof_of = self._proof_of, None
        if login is not None and not self._may_guess(login):
            return _too_many_guesses(login)
        return await self._go_on(self._exchange, self._exchange.respond(response))

    async def _go_on(self, exchange: ServerExchange, step: sasl.Step) -> Challenge | Outcome:
        if isinstance(step, sasl.ScramAsked):
            user = self._user(step.login)
            self._proof_of = step.login
            step = exchange.answer(user.scram if user is not None else None)
        elif isinstance(step, sasl.SecretAsked):
            if not self._may_guess(step.login):
                return _too_many_guesses(step.login)
            user = self._user(step.login)
            step = exchange.answer(user.secret if user is not None else None)
        assert not isinstance(step, sasl.Question), step
        return step if isinstance(step, Challenge) else await self._decide(step)

    async def _decide(self, verdict: sasl.Verdict) -> Outcome:
        match verdict:
            case sasl.Proven(login=login):
                return self._right(login)
            case sasl.Failed(login=login):
                return await self._wrong(login)
            case sasl.PasswordShown(login=login, password=password):
                return await self._check(login, password)
            case sasl.IdentityClaimed(authorization=authorization):
                return self._by_certificate(authorization)
            case sasl.Refused(why=why):
                return NotAdmitted("", why)
            case sasl.Malformed(why=why):
                return NotUnderstood(why)

    def _user(self, login: str) -> User | None:
        return self._logins.directory().user(login)

    def _is_certified(self, login: str) -> bool:
        """Whether the session's certificate is the user's own: then nobody guesses."""
        user = self._user(login)
        return user is not None and user.is_shown_by(self._principal)

    def _may_guess(self, login: str) -> bool:
        """Whether a guess may be tried now; it is counted."""
        if self._is_certified(login):
            return True
        return self._logins.guesses.take(login, self._principal.address, self._logins.clock.monotonic())

    async def _check(self, login: str, password: str) -> Outcome:
        guesses, now = self._logins.guesses, self._logins.clock.monotonic()
        if not (self._is_certified(login) or guesses.is_open(login, self._principal.address, now)):
            return _too_many_guesses(login)  # without waiting for a thread, and others waiting behind
        user = self._user(login)
        kept = user.password if user is not None else None
        try:
            is_right = await self._logins.workers.run(
                lambda: self._may_guess(login),
                lambda: verify(kept, password),
            )
        except (WorkersBusy, NotChecked) as error:
            return NotTried(login, str(error))
        if is_right is None:
            return _too_many_guesses(login)
        return self._right(login) if is_right else await self._wrong(login)

    def _right(self, login: str) -> Outcome:
        user = self._user(login)
        if user is None:
            return NotAdmitted(login, "the user was removed meanwhile")
        if not self._is_certified(login):
            self._logins.guesses.right(login, self._principal.address)
        return Admitted(user.name, self._mechanism)

    async def _wrong(self, login: str) -> Outcome:
        if not self._is_certified(login):
            address, clock = self._principal.address, self._logins.clock
            await clock.sleep(self._logins.guesses.delay(login, address, clock.monotonic()))
        return NotAdmitted(login, "no such user, or another password")

    def _by_certificate(self, authorization: str) -> Outcome:
        names = _proven(self._logins.directory(), self._principal)
        if authorization:
            names &= {authorization.casefold()}
        if len(names) != 1:
            return NotAdmitted(authorization, f"{len(names)} users are proven by the certificate")
        return Admitted(next(iter(names)), self._mechanism)


def _proven(directory: Directory, principal: Principal) -> frozenset[str]:
    """The users whom the principal's certificate proves."""
    if principal.certificate is None:
        return frozenset()
    shown = (principal.certificate, *principal.certificate_names)
    return frozenset[str]().union(*(directory.users_of_certificate(one) for one in shown))


def _too_many_guesses(login: str) -> NotTried:
    return NotTried(login, "too many failures lately")
