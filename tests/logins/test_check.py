"""One login from AUTH to its outcome: every mechanism, with real users, hashes and threads, and a clock of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import pytest

from restante.directory.entries import Directory
from restante.directory.users import User, UsersHave
from restante.logins.check import (
    Admitted,
    Logins,
    NotAdmitted,
    NotTried,
    NotUnderstood,
    Outcome,
    mechanisms,
)
from restante.logins.guesses import GuessLimits
from restante.logins.passwords import hash_password, scram_keys
from restante.model import Principal
from restante.smtp.sasl import Aborted, Challenge, Credentials, client_exchange

CERTIFICATE = "ab" * 32
END_POINT = bytes(range(32))
PASSWORD = "tanstaaf"
HASH = hash_password(PASSWORD)
SECRET = "f00dfeedf00dfeed"
ANN = User("ann", password=HASH, scram=scram_keys(PASSWORD), secret=SECRET.encode())
SITE = User("site", password=HASH, certificates=frozenset({CERTIFICATE, "gw.site.example"}))
BARE = User("bare")
HERE = Principal(ipaddress.ip_address("192.0.2.1"))
CERTIFIED = replace(HERE, certificate=CERTIFICATE)


class PatientClock:
    """A clock that nobody waits for: a sleep moves it on at once, and is remembered."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Office:
    """Logins with some users, a clock, and a client's side for each mechanism."""

    def __init__(self, users: Iterable[User]) -> None:
        self.directory = Directory("office.example", (), users=users)
        self.clock = PatientClock()
        self.logins = Logins(lambda: self.directory, self.clock, b"k" * 32, GuessLimits())

    async def login(
        self,
        mechanism: str,
        login: str,
        password: str = PASSWORD,
        principal: Principal = HERE,
        end_point: bytes = b"",
    ) -> Outcome:
        """A whole AUTH."""
        here = client_exchange(
            mechanism, Credentials(login, password, has_certificate=True), nonce="abc", server_end_point=end_point
        )
        attempt = self.logins.attempt(mechanism, principal, end_point)
        step = await attempt.start(here.initial)
        while isinstance(step, Challenge):
            answer = here.respond(step.data)
            assert not isinstance(answer, Aborted), answer
            step = await attempt.respond(answer)
        if isinstance(step, Admitted):
            assert here.may_succeed
        return step


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    """An office with ann (all kinds of passwords), site (a certificate) and bare (nothing)."""
    made = Office([ANN, SITE, BARE])
    yield made
    made.logins.close()


PASSWORDS = ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
GUESSED = [*PASSWORDS, "CRAM-MD5"]


def binding(mechanism: str) -> bytes:
    """What the connection binds, where the mechanism wants it."""
    return END_POINT if mechanism.endswith("PLUS") else b""


def right(mechanism: str) -> str:
    """What ann has to know for it."""
    return SECRET if mechanism == "CRAM-MD5" else PASSWORD


@pytest.mark.parametrize("mechanism", GUESSED)
async def test_the_right_password_is_admitted(office: Office, mechanism: str) -> None:
    """At once, by the user's name as the directory has it, whoever wrote it how."""
    for name in ("ann", "Ann"):
        outcome = await office.login(mechanism, name, right(mechanism), end_point=binding(mechanism))
        assert outcome == Admitted("ann", mechanism)
    assert office.clock.slept == []


@pytest.mark.parametrize("mechanism", GUESSED)
async def test_unknown_and_wrong_are_one_outcome_after_one_delay(office: Office, mechanism: str) -> None:
    """Nobody, somebody with another password, somebody with none of that kind: nothing tells them apart."""
    outcomes, delays = [], []
    for name in ("nobody", "ann", "bare"):
        outcomes.append(await office.login(mechanism, name, "guess", end_point=binding(mechanism)))
        delays.append(office.clock.slept.pop())
    assert outcomes == [NotAdmitted(n, "no such user, or another password") for n in ("nobody", "ann", "bare")]
    assert delays == [1, 1, 1]


async def test_a_password_is_no_secret_and_a_secret_no_password(office: Office) -> None:
    """They are kept apart."""
    assert isinstance(await office.login("CRAM-MD5", "ann", PASSWORD), NotAdmitted)
    for mechanism in PASSWORDS:
        assert isinstance(await office.login(mechanism, "ann", SECRET, end_point=binding(mechanism)), NotAdmitted)


@pytest.mark.parametrize("mechanism", GUESSED)
@pytest.mark.parametrize("name", ["ann", "nobody"])
async def test_the_eleventh_guess_is_not_tried(office: Office, mechanism: str, name: str) -> None:
    """Not even with the right password, until ten minutes have passed; from elsewhere it is."""
    for _ in range(10):
        assert isinstance(await office.login(mechanism, name, "guess", end_point=binding(mechanism)), NotAdmitted)
    delayed = list(office.clock.slept)
    assert delayed == [1, 2, 3, 4, 5, 5, 5, 5, 5, 5]
    outcome = await office.login(mechanism, name, right(mechanism), end_point=binding(mechanism))
    assert outcome == NotTried(name, "too many failures lately")
    assert office.clock.slept == delayed
    elsewhere = Principal(ipaddress.ip_address("192.0.2.2"))
    if name == "ann":
        admitted = Admitted("ann", mechanism)
        assert await office.login(mechanism, name, right(mechanism), elsewhere, binding(mechanism)) == admitted
        office.clock.now += 600
        assert await office.login(mechanism, name, right(mechanism), end_point=binding(mechanism)) == admitted


async def test_many_at_once_are_not_more_than_ten(office: Office) -> None:
    """Fifty guesses in parallel: ten are tried."""
    outcomes = await asyncio.gather(*(office.login("PLAIN", "ann", "guess") for _ in range(50)))
    assert sum(isinstance(outcome, NotAdmitted) for outcome in outcomes) == 10
    assert sum(isinstance(outcome, NotTried) for outcome in outcomes) == 40


async def test_many_right_ones_at_once_are_all_admitted(office: Office) -> None:
    """A site with twenty connections is no guesser."""
    outcomes = await asyncio.gather(*(office.login("PLAIN", "ann") for _ in range(20)))
    assert outcomes == [Admitted("ann", "PLAIN")] * 20


async def test_hanging_up_before_the_proof_is_no_guess(office: Office) -> None:
    """Nothing was shown by which a password could be tried."""
    for _ in range(30):
        assert isinstance(await office.logins.attempt("SCRAM-SHA-256", HERE).start(b"n,,n=ann,r=abc"), Challenge)
        assert isinstance(await office.logins.attempt("CRAM-MD5", HERE).start(None), Challenge)
    assert await office.login("SCRAM-SHA-256", "ann") == Admitted("ann", "SCRAM-SHA-256")


async def test_a_users_own_certificate_is_never_locked_out(office: Office) -> None:
    """Whatever others do, and whatever it does itself: it is neither counted nor delayed."""
    for _ in range(12):
        await office.login("PLAIN", "site", "guess")
    assert isinstance(await office.login("PLAIN", "site"), NotTried)
    slept = len(office.clock.slept)
    for _ in range(12):
        assert isinstance(await office.login("PLAIN", "site", "guess", CERTIFIED), NotAdmitted)
    assert len(office.clock.slept) == slept
    assert await office.login("PLAIN", "site", principal=CERTIFIED) == Admitted("site", "PLAIN")
    assert await office.login("EXTERNAL", "", principal=CERTIFIED) == Admitted("site", "EXTERNAL")


async def test_a_certificate_gives_no_free_guesses_at_others(office: Office) -> None:
    """It is counted like anybody."""
    for _ in range(10):
        await office.login("PLAIN", "ann", "guess", CERTIFIED)
    assert isinstance(await office.login("PLAIN", "ann", "guess", CERTIFIED), NotTried)


async def test_the_loop_runs_on_while_a_password_is_checked(office: Office) -> None:
    """Argon2 has a thread of its own."""
    task = asyncio.create_task(office.login("PLAIN", "ann"))
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10


async def test_a_full_queue_is_not_tried(office: Office) -> None:
    """454, for ann and for nobody; and it is no guess of theirs."""
    gate = threading.Event()
    try:
        tasks = [asyncio.create_task(office.logins.workers.run(lambda: True, gate.wait)) for _ in range(66)]
        await asyncio.sleep(0)
        for name in ("ann", "nobody"):
            assert await office.login("PLAIN", name) == NotTried(name, "64 wait for a thread already")
    finally:
        gate.set()
    await asyncio.gather(*tasks)
    assert await office.login("PLAIN", "ann") == Admitted("ann", "PLAIN")


# EXTERNAL


@pytest.mark.parametrize(
    ("authorization", "principal", "admitted"),
    [
        ("", CERTIFIED, True),
        ("site", CERTIFIED, True),
        ("SITE", CERTIFIED, True),
        ("ann", CERTIFIED, False),
        ("nobody", CERTIFIED, False),
        ("", HERE, False),
        ("site", HERE, False),
        ("site", replace(HERE, certificate="cd" * 32), False),
        ("", replace(HERE, certificate="cd" * 32, certificate_names=("gw.site.example",)), True),
        ("", replace(HERE, certificate="cd" * 32, certificate_names=("x.site.example", "site.example")), False),
        ("site", replace(CERTIFIED, certificate_names=("gw.site.example",)), True),
    ],
)
async def test_external_is_for_whom_the_certificate_names(
    office: Office, authorization: str, principal: Principal, admitted: bool
) -> None:
    """By fingerprint, or by a name in one that an authority vouches for (the principal has no others)."""
    outcome = await office.login("EXTERNAL", authorization, principal=principal)
    assert isinstance(outcome, Admitted if admitted else NotAdmitted)
    if isinstance(outcome, Admitted):
        assert outcome.login == "site"


async def test_external_with_one_certificate_for_two_users_needs_a_name() -> None:
    """Nobody is chosen for them."""
    office = Office([SITE, replace(SITE, name="other")])
    assert isinstance(await office.login("EXTERNAL", "", principal=CERTIFIED), NotAdmitted)
    assert await office.login("EXTERNAL", "other", principal=CERTIFIED) == Admitted("other", "EXTERNAL")
    office.logins.close()


# what is no login


async def test_what_is_not_understood_is_said_so(office: Office) -> None:
    """501 5.5.2; nothing is counted or delayed."""
    for _ in range(20):
        assert isinstance(await office.logins.attempt("PLAIN", HERE).start(b"ann"), NotUnderstood)
    assert office.clock.slept == []
    assert await office.login("PLAIN", "ann") == Admitted("ann", "PLAIN")


async def test_for_somebody_else_is_refused_even_with_the_right_password(office: Office) -> None:
    """An authorization identity may be empty or the login."""
    step = await office.logins.attempt("PLAIN", HERE).start(b"site\0ann\0" + PASSWORD.encode())
    assert isinstance(step, NotAdmitted)


async def test_a_user_who_is_removed_meanwhile_is_not_admitted(office: Office) -> None:
    """A reload counts at once."""
    attempt = office.logins.attempt("LOGIN", HERE)
    await attempt.start(b"ann")
    office.directory = Directory("office.example", (), users=[BARE])
    assert isinstance(await attempt.respond(PASSWORD.encode()), NotAdmitted)


# what is offered


ALL = UsersHave(password=True, scram=True, secret=True)


@pytest.mark.parametrize(
    ("have", "state", "offered"),
    [
        (ALL, "tls bind", "SCRAM-SHA-256-PLUS SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"),
        (ALL, "tls bind cert", "SCRAM-SHA-256-PLUS SCRAM-SHA-256 EXTERNAL CRAM-MD5 PLAIN LOGIN"),
        (ALL, "tls", "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"),
        (ALL, "", ""),
        (ALL, "odmr", "CRAM-MD5"),
        (ALL, "odmr tls", "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"),
        (ALL, "clear", "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"),
        (UsersHave(password=True), "tls bind", "PLAIN LOGIN"),
        (UsersHave(secret=True), "odmr", "CRAM-MD5"),
        (UsersHave(secret=True), "", ""),
        (UsersHave(), "tls bind cert", "EXTERNAL"),
        (UsersHave(), "tls bind odmr clear", ""),
    ],
)
def test_nothing_is_offered_that_nobody_could_use_or_others_could_read(
    have: UsersHave, state: str, offered: str
) -> None:
    """Passwords inside TLS or where allowed; CRAM-MD5 is ODMR's, in clear too; EXTERNAL with a known certificate."""
    found = mechanisms(
        have,
        is_encrypted="tls" in state,
        allow_clear="clear" in state,
        has_certificate="cert" in state,
        is_odmr="odmr" in state,
        can_bind="bind" in state,
    )
    assert " ".join(found) == offered


async def test_the_offer_follows_users_and_certificate(office: Office) -> None:
    """A reload changes it; so does what the session has shown."""

    def offer(principal: Principal) -> tuple[str, ...]:
        return office.logins.offer(principal, is_encrypted=True, allow_clear=False, is_odmr=False, can_bind=True)

    assert offer(HERE) == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN")
    assert "EXTERNAL" in offer(CERTIFIED)
    assert "EXTERNAL" not in offer(replace(HERE, certificate="cd" * 32))
    office.directory = Directory("office.example", (), users=[BARE])
    assert offer(CERTIFIED) == ()
