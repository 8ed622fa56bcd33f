"""SASL's exchanges: the RFCs' own examples, both sides against each other, and whatever octets somebody sends."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.smtp import sasl
from restante.smtp.sasl import (
    Aborted,
    Challenge,
    ClientExchange,
    Credentials,
    Failed,
    IdentityClaimed,
    Malformed,
    PasswordShown,
    Proven,
    Refused,
    ScramAsked,
    SecretAsked,
    ServerExchange,
    choose,
    client_exchange,
    server_exchange,
)
from restante.smtp.saslprep import prepare
from restante.smtp.scram import ScramKeys, derive_keys

NONCE = "3rfcNHYJY1ZVvWVs7j"
END_POINT = bytes(range(32))
KEYS = derive_keys("pencil", b"saltSALTsaltSALT")
MINE = Credentials("user", "pencil")


def server(mechanism: str, initial: bytes | None = None, end_point: bytes = b"", nonce: str = NONCE) -> ServerExchange:
    """The server's side, at office.example."""
    return server_exchange(
        mechanism, initial, hostname="office.example", nonce=nonce, disguise=b"k" * 32, server_end_point=end_point
    )


def client(mechanism: str, credentials: Credentials = MINE, end_point: bytes = b"") -> ClientExchange:
    """The client's side."""
    return client_exchange(mechanism, credentials, nonce="fyko+d2lbbFgONRv9qkxdawL", server_end_point=end_point)


def play(
    there: ServerExchange, here: ClientExchange, known: ScramKeys | bytes | None = None
) -> tuple[sasl.Step, bool, list[bytes]]:
    """Both sides to the end: the last step, whether the client would believe a 235, and the challenges."""
    challenges: list[bytes] = []
    while not isinstance(there.step, sasl.Verdict):
        if isinstance(there.step, Challenge):
            challenges.append(there.step.data)
            answer = here.respond(there.step.data)
            if isinstance(answer, Aborted):
                break
            there.respond(answer)
        else:
            there.answer(known)
    return there.step, here.may_succeed, challenges


# PLAIN, RFC 4616


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        (b"\0tim\0tanstaaftanstaaf", PasswordShown("tim", "tanstaaftanstaaf")),  # RFC 4616 section 4
        (b"tim\0tim\0tanstaaftanstaaf", PasswordShown("tim", "tanstaaftanstaaf")),
        ("\0jo\u00ebl\0\u2168".encode(), PasswordShown("jo\u00ebl", "IX")),
        ("\0joe\u0308l\0\u00aa".encode(), PasswordShown("jo\u00ebl", "a")),
        (b"\0tim\0a b", PasswordShown("tim", "a b")),
    ],
)
def test_plain_shows_a_prepared_login_and_password(message: bytes, verdict: sasl.Verdict) -> None:
    """With the command, or after an empty challenge."""
    assert server("PLAIN", message).step == verdict
    later = server("PLAIN")
    assert later.step == Challenge(b"")
    assert later.respond(message) == verdict


@pytest.mark.parametrize("message", [b"Ursel\0Kurt\0xipj3plmq", b"\0tim\0bell\x07", b"\0tim\0", b"TIM\0tim\0x"])
def test_plain_for_somebody_else_is_refused(message: bytes) -> None:
    """RFC 4616 section 4's other example has an authorization identity; and section 2 names unfit passwords."""
    assert isinstance(server("PLAIN", message).step, Refused)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"tim",
        b"\0tim",
        b"\0\0pw",
        b"\0tim\0pw\0",
        b"\0\xff\0pw",
        b"\0tim\0\xff",
        b"\xff\0tim\0pw",
        b"\0t\nim\0pw",
        b"\0" + b"n" * 256 + b"\0p",
        b"\0tim\0" + b"p" * 1025,
    ],
)
def test_plain_that_is_none(message: bytes) -> None:
    """Malformed: 501, and no password is looked at."""
    assert isinstance(server("PLAIN", message).step, Malformed)


# LOGIN


def test_login_asks_for_two_things() -> None:
    """The name may come with the command."""
    exchange = server("LOGIN")
    assert exchange.step == Challenge(b"Username:")
    assert exchange.respond(b"tim") == Challenge(b"Password:")
    assert exchange.respond(b"tanstaaf") == PasswordShown("tim", "tanstaaf")
    short = server("LOGIN", b"tim")
    assert short.step == Challenge(b"Password:")
    assert short.respond(b"tanstaaf") == PasswordShown("tim", "tanstaaf")


def test_no_password_is_in_what_is_printed() -> None:
    """A log, or a traceback, shows none."""
    assert "tanstaaf" not in repr(server("PLAIN", b"\0tim\0tanstaaf").step)
    assert "pencil" not in repr(MINE)


# EXTERNAL, RFC 4422 appendix A


def test_external_claims_an_identity_or_none() -> None:
    """`=` on the wire is an empty initial response; without one there is an empty challenge."""
    assert server("EXTERNAL", b"").step == IdentityClaimed("")
    assert server("EXTERNAL", b"test").step == IdentityClaimed("test")
    assert server("EXTERNAL").step == Challenge(b"")
    assert server("EXTERNAL").respond(b"") == IdentityClaimed("")
    assert isinstance(server("EXTERNAL", b"a\0b").step, Malformed)


# CRAM-MD5, RFC 2195


def cram(answer: bytes) -> ServerExchange:
    """The example's challenge, and an answer."""
    exchange = server_exchange(
        "CRAM-MD5", None, hostname="postoffice.reston.mci.net", nonce="1896.697170952", disguise=b"k" * 32
    )
    assert exchange.step == Challenge(b"<1896.697170952@postoffice.reston.mci.net>")
    exchange.respond(answer)
    return exchange


def test_cram_md5_has_the_rfcs_digest() -> None:
    """RFC 2195 section 2, on both sides."""
    answer = b"tim b913a602c7eda7a495b4e6e7334d3890"
    exchange = cram(answer)
    assert exchange.step == SecretAsked("tim")
    assert exchange.answer(b"tanstaaftanstaaf") == Proven("tim")
    here = client("CRAM-MD5", Credentials("tim", "tanstaaftanstaaf"))
    assert here.initial is None
    assert not here.may_succeed
    assert here.respond(b"<1896.697170952@postoffice.reston.mci.net>") == answer
    assert here.may_succeed


@pytest.mark.parametrize("secret", [None, b"tanstaaftanstaag", b"", b"k" * 32])
def test_cram_md5_with_another_secret_or_none_fails(secret: bytes | None) -> None:
    """No difference is told."""
    assert cram(b"tim b913a602c7eda7a495b4e6e7334d3890").answer(secret) == Failed("tim")


def test_cram_md5_proves_nobody_unknown_even_with_the_disguise() -> None:
    """The key that stands in for a secret is no secret of anybody's."""
    here = client("CRAM-MD5", Credentials("tim", "k" * 32))
    assert play(server("CRAM-MD5"), here)[0] == Failed("tim")


@pytest.mark.parametrize(
    "answer",
    [b"", b"tim", b" b913a602c7eda7a495b4e6e7334d3890", b"tim B913A602C7EDA7A495B4E6E7334D3890", b"tim b913"],
)
def test_cram_md5_that_is_none(answer: bytes) -> None:
    """No secret is asked for."""
    assert isinstance(cram(answer).step, Malformed)


def test_cram_md5_takes_no_initial_response() -> None:
    """RFC 4954 section 4: the server speaks first."""
    assert isinstance(server("CRAM-MD5", b"tim").step, Malformed)


# SCRAM-SHA-256, RFC 7677


FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
FINAL = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
RFC_KEYS = derive_keys("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))


def example(first: bytes = FIRST, keys: ScramKeys | None = RFC_KEYS) -> ServerExchange:
    """The server's side of the example, after its keys were told."""
    exchange = server("SCRAM-SHA-256", first, nonce=SERVER_NONCE)
    assert exchange.step == ScramAsked("user")
    exchange.answer(keys)
    return exchange


def test_scram_is_the_rfcs_conversation() -> None:
    """RFC 7677 section 3, on both sides; the server's signature is a challenge (RFC 4954 section 4)."""
    there = example()
    assert there.step == Challenge(SERVER_FIRST)
    assert there.respond(FINAL) == Challenge(SERVER_FINAL)
    assert there.respond(b"") == Proven("user")
    here = client_exchange("SCRAM-SHA-256", MINE, nonce="rOprNGfwEbeRWgbNEkqO")
    assert here.initial == FIRST
    assert here.respond(SERVER_FIRST) == FINAL
    assert not here.may_succeed
    assert here.respond(SERVER_FINAL) == b""
    assert here.may_succeed


@pytest.mark.parametrize("keys", [None, KEYS, derive_keys("pencils", RFC_KEYS.salt)])
def test_scram_with_another_password_or_for_nobody_fails(keys: ScramKeys | None) -> None:
    """After the proof, not before."""
    there = example(keys=keys)
    assert isinstance(there.step, Challenge)
    assert there.respond(FINAL) == Failed("user")


def test_scram_shows_an_unknown_user_a_salt_that_stays() -> None:
    """As a known one's does; another name has another."""

    def shown(name: str, nonce: str) -> bytes:
        exchange = server("SCRAM-SHA-256", f"n,,n={name},r=abc".encode(), nonce=nonce)
        exchange.answer(None)
        assert isinstance(exchange.step, Challenge)
        return exchange.step.data.partition(b",")[2]

    assert shown("ann", "x") == shown("ann", "y")
    assert shown("ann", "x") != shown("bob", "x")
    assert len(base64.b64decode(shown("ann", "x")[2:].partition(b",")[0])) == len(KEYS.salt)
    assert shown("ann", "x").endswith(b",i=4096")


@pytest.mark.parametrize(
    "final",
    [
        FINAL.replace(b"c=biws", b"c=eSws"),  # y,, where n,, was said
        FINAL.replace(b"c=biws", b"c=bixhPXVzZXIs"),
    ],
)
def test_scram_with_another_header_at_the_end_is_refused(final: bytes) -> None:
    """RFC 5802 section 6: the header is repeated under the proof."""
    assert isinstance(example().respond(final), Refused)


@pytest.mark.parametrize(
    "final",
    [
        b"",
        FINAL.replace(b"r=rOpr", b"r=rOpq"),
        FINAL.replace(b"k0,p", b"k1,p"),
        FINAL[:-2],
        FINAL.replace(b",p=", b",m=x,p="),
        FINAL.replace(b",p=", b",,p="),
        FINAL.partition(b",p=")[0],
        b"\xff" + FINAL,
    ],
)
def test_scram_with_a_broken_end_is_malformed(final: bytes) -> None:
    """501, not 535: nobody has guessed anything."""
    assert isinstance(example().respond(final), Malformed)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=user",
        b"n,,r=abc,n=user",
        b"n,,n=,r=abc",
        b"n,,n=us=er,r=abc",
        b"n,,n=user,r=",
        b"n,,n=user,r=a c",
        b"n,,m=ext,n=user,r=abc",
        b"n,,n=user,r=abc,m=ext",
        b"n,x,n=user,r=abc",
        b"z,,n=user,r=abc",
        b"p=,,n=user,r=abc",
        b"n,a=,n=user,r=abc",
        b"n,,n=\x07,r=abc",
        b"n,,n=\xff,r=abc",
    ],
)
def test_scram_with_a_broken_beginning_is_malformed(first: bytes) -> None:
    """Nobody's keys are asked for; an extension that is mandatory and unknown is refused (RFC 5802 section 5.1)."""
    assert isinstance(server("SCRAM-SHA-256", first).step, Malformed)


def test_scram_decodes_a_name_and_knows_it_prepared() -> None:
    """RFC 5802 section 5.1: `=2C` and `=3D`; optional extensions do no harm."""
    assert server("SCRAM-SHA-256", b"n,,n=a=2Cb=3Dc,r=abc,x=1").step == ScramAsked("a,b=c")
    assert server("SCRAM-SHA-256", "n,a=IX,n=\u2168,r=abc".encode()).step == ScramAsked("IX")
    assert isinstance(server("SCRAM-SHA-256", b"n,a=ann,n=user,r=abc").step, Refused)


# SCRAM-SHA-256-PLUS, RFC 5802 section 6, RFC 5929


def test_scram_plus_binds_the_channel() -> None:
    """Where both ends see the same certificate, the password is proven."""
    there = server("SCRAM-SHA-256-PLUS", client("SCRAM-SHA-256-PLUS").initial, END_POINT)
    here = client("SCRAM-SHA-256-PLUS", end_point=END_POINT)
    assert play(there, here, KEYS)[:2] == (Proven("user"), True)


def test_scram_plus_through_somebody_between_is_refused() -> None:
    """Who shows the client another certificate gets a proof that is of no use."""
    here = client("SCRAM-SHA-256-PLUS", end_point=b"another certificate's")
    step, believes, _ = play(server("SCRAM-SHA-256-PLUS", here.initial, END_POINT), here, KEYS)
    assert isinstance(step, Refused)
    assert not believes


@pytest.mark.parametrize(
    ("mechanism", "first", "end_point"),
    [
        ("SCRAM-SHA-256", b"y,,n=user,r=abc", END_POINT),
        ("SCRAM-SHA-256", b"p=tls-server-end-point,,n=user,r=abc", END_POINT),
        ("SCRAM-SHA-256", b"p=tls-server-end-point,,n=user,r=abc", b""),
        ("SCRAM-SHA-256-PLUS", b"p=tls-unique,,n=user,r=abc", END_POINT),
        ("SCRAM-SHA-256-PLUS", b"p=tls-exporter,,n=user,r=abc", END_POINT),
        ("SCRAM-SHA-256-PLUS", b"n,,n=user,r=abc", END_POINT),
        ("SCRAM-SHA-256-PLUS", b"y,,n=user,r=abc", END_POINT),
    ],
)
def test_scram_with_the_wrong_flag_is_refused(mechanism: str, first: bytes, end_point: bytes) -> None:
    """`y` where PLUS was offered: somebody has taken it out of the EHLO reply; other bindings are not spoken."""
    assert isinstance(server(mechanism, first, end_point).step, Refused)


@pytest.mark.parametrize(("flag", "end_point"), [(b"n", b""), (b"y", b""), (b"n", END_POINT)])
def test_scram_without_binding_is_allowed(flag: bytes, end_point: bytes) -> None:
    """For clients that cannot bind, and for those that could where we do not offer it."""
    assert server("SCRAM-SHA-256", flag + b",,n=user,r=abc", end_point).step == ScramAsked("user")


def test_client_tells_that_it_could_bind() -> None:
    """So that a server which had offered it notices."""
    assert client("SCRAM-SHA-256", end_point=END_POINT).initial == b"y,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"


# the client's side


@pytest.mark.parametrize(
    "server_first",
    [
        b"",
        b"e=other-error",
        b"r=other,s=c2FsdA==,i=4096",
        b"r=fyko+d2lbbFgONRv9qkxdawL,s=c2FsdA==,i=4096",
        b"r=fyko+d2lbbFgONRv9qkxdawLx,s=,i=4096",
        b"r=fyko+d2lbbFgONRv9qkxdawLx,s=!,i=4096",
        b"r=fyko+d2lbbFgONRv9qkxdawLx,s=c2FsdA==,i=4095",
        b"r=fyko+d2lbbFgONRv9qkxdawLx,s=c2FsdA==,i=600001",
        b"r=fyko+d2lbbFgONRv9qkxdawLx,s=c2FsdA==,i=99999999999",
        b"r=fyko+d2lbbFgONRv9qkxdawLx,s=c2FsdA==,i=4096,m=x",
        b"m=x,r=fyko+d2lbbFgONRv9qkxdawLx,s=c2FsdA==,i=4096",
        b"\xff",
    ],
)
def test_client_gives_no_proof_to_a_server_that_asks_wrongly(server_first: bytes) -> None:
    """Nor with so few iterations that it could be guessed, nor so many that we would stand still."""
    here = client("SCRAM-SHA-256")
    assert isinstance(here.respond(server_first), Aborted)
    assert not here.may_succeed


@pytest.mark.parametrize(
    "last", [b"", b"v=", b"e=invalid-proof", b"v=" + base64.b64encode(bytes(32)), b"\xff", b"v=AA"]
)
def test_client_does_not_believe_a_server_that_does_not_know_the_password(last: bytes) -> None:
    """A 235 after that counts for nothing."""
    here = client("SCRAM-SHA-256")
    assert isinstance(here.respond(b"r=fyko+d2lbbFgONRv9qkxdawLx,s=c2FsdA==,i=4096"), bytes)
    assert isinstance(here.respond(last), Aborted)
    assert not here.may_succeed


@pytest.mark.parametrize("mechanism", ["PLAIN", "EXTERNAL"])
def test_client_has_nothing_to_add(mechanism: str) -> None:
    """A challenge more than there is to say ends the exchange."""
    here = client(mechanism)
    assert here.may_succeed
    assert isinstance(here.respond(b""), Aborted)
    assert not here.may_succeed


EVERYTHING = ["PLAIN", "login", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "EXTERNAL", "SCRAM-SHA-1", "XOAUTH2"]


@pytest.mark.parametrize(
    ("offered", "encrypted", "bind", "certificate", "chosen"),
    [
        (EVERYTHING, True, True, True, "SCRAM-SHA-256-PLUS"),
        (EVERYTHING, True, False, True, "SCRAM-SHA-256"),
        (EVERYTHING, False, False, False, "SCRAM-SHA-256"),
        (["PLAIN", "CRAM-MD5", "LOGIN"], True, True, False, "PLAIN"),
        (["CRAM-MD5", "LOGIN"], True, True, False, "LOGIN"),
        (["CRAM-MD5"], True, True, False, "CRAM-MD5"),
        (["PLAIN", "CRAM-MD5", "LOGIN"], False, False, False, "CRAM-MD5"),
        (["PLAIN", "LOGIN"], False, False, False, None),
        (["EXTERNAL"], True, True, True, "EXTERNAL"),
        (["EXTERNAL"], True, True, False, None),
        (["EXTERNAL"], False, False, True, None),
        ([], True, True, True, None),
    ],
)
def test_client_chooses_the_strongest(
    offered: list[str], encrypted: bool, bind: bool, certificate: bool, chosen: str | None
) -> None:
    """And shows no password in clear."""
    mine = Credentials("user", "pencil", has_certificate=certificate)
    assert choose(offered, mine, is_encrypted=encrypted, can_bind=bind) == chosen


def test_client_with_a_certificate_alone_uses_it() -> None:
    """Without a password nothing else is possible."""
    mine = Credentials("user", has_certificate=True)
    assert choose(EVERYTHING, mine, is_encrypted=True, can_bind=True) == "EXTERNAL"
    assert client("EXTERNAL", Credentials("")).initial == b""


# anything at all


TEXTS = st.text(min_size=1, max_size=20).filter(lambda text: prepare(text) is not None)


@given(login=TEXTS, password=TEXTS, bind=st.booleans())
def test_scram_works_for_every_name_and_password_that_can_be(login: str, password: str, bind: bool) -> None:
    """Commas, equals signs, spaces and letters of all languages; and with a letter more it fails."""
    mechanism, end_point = ("SCRAM-SHA-256-PLUS", END_POINT) if bind else ("SCRAM-SHA-256", b"")
    for extra, expected in (("", True), ("x", False)):
        here = client(mechanism, Credentials(login, password), end_point)
        keys = derive_keys((prepare(password) or "") + extra, b"saltSALTsaltSALT")
        step, believes, _ = play(server(mechanism, here.initial, end_point), here, keys)
        assert (isinstance(step, Proven), believes) == (expected, expected)


@given(login=TEXTS, password=TEXTS)
def test_plain_login_and_cram_meet_their_other_side(login: str, password: str) -> None:
    """What the client says is what the server understands."""
    mine = Credentials(login, password)
    shown = PasswordShown(prepare(login) or "", prepare(password) or "")
    assert play(server("PLAIN", client("PLAIN", mine).initial), client("PLAIN", mine))[0] == shown
    assert play(server("LOGIN"), client("LOGIN", mine))[0] == shown
    step, believes, _ = play(server("CRAM-MD5"), client("CRAM-MD5", mine), password.encode())
    assert (step, believes) == (Proven(shown.login), True)


PIECES = st.sampled_from(
    [FIRST, FINAL, SERVER_FIRST, SERVER_FINAL, b"n,,", b"p=", b"=", b",", b"\0", b"r=", b"c=biws", b"tim ", b"0" * 32]
)
MESSAGES = st.binary(max_size=40) | st.lists(PIECES | st.binary(max_size=3), max_size=5).map(b"".join)


@given(
    mechanism=st.sampled_from(sasl.MECHANISMS),
    initial=st.none() | MESSAGES,
    responses=st.lists(MESSAGES, min_size=4, max_size=4),
)
def test_no_octets_raise_or_prove_anything(mechanism: str, initial: bytes | None, responses: list[bytes]) -> None:
    """The server's side: every exchange with somebody unknown ends in a verdict, and it is never Proven."""
    exchange = server(mechanism, initial, END_POINT, SERVER_NONCE)
    for response in responses:
        if isinstance(exchange.step, sasl.Question):
            exchange.answer(None)
        if isinstance(exchange.step, Challenge):
            exchange.respond(response)
    while isinstance(exchange.step, sasl.Question):
        exchange.answer(None)
    assert isinstance(exchange.step, sasl.Verdict)
    assert not isinstance(exchange.step, Proven)


@given(mechanism=st.sampled_from(sasl.MECHANISMS), challenges=st.lists(MESSAGES, max_size=4))
def test_no_server_makes_the_client_raise(mechanism: str, challenges: list[bytes]) -> None:
    """The client's side: an answer, or the exchange is cancelled; SCRAM believes none of these."""
    here = client(mechanism, end_point=END_POINT)
    for challenge in challenges:
        here.respond(challenge)
    if mechanism.startswith("SCRAM"):
        assert not here.may_succeed
