"""The tables of what each service speaks, against the RFCs, and EHLO in every state of every service."""

from __future__ import annotations

from functools import partial
from itertools import product

import pytest
from msgspec.structs import replace
from tests.smtp.talk import SIZE, Talker, talk

from restante.smtp import reply
from restante.smtp.reply import Reply
from restante.smtp.services import (
    BEFORE_TLS,
    GREETINGS,
    LISTENING,
    PROFILES,
    RULES,
    VERBS,
    Features,
    Service,
    Stage,
    table,
)

MX = Features("office.example", SIZE)
SUBMISSION = replace(MX, service=Service.SUBMISSION, auth=("SCRAM-SHA-256", "PLAIN"))
ODMR = replace(MX, service=Service.ODMR, auth=("CRAM-MD5",))
TURNED = replace(MX, service=Service.TURNED)
LMTP = replace(MX, service=Service.LMTP)
WISHES = ["DELIVERBY", "MT-PRIORITY MIXER"]
EXTENSIONS = ["ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING", "BINARYMIME", *WISHES]
OF_LMTP = [word for word in EXTENSIONS if word != "DELIVERBY"]
MAIL = ["PIPELINING", "SIZE 5000"]


@pytest.mark.parametrize(
    ("features", "authenticated", "keywords"),
    [
        (MX, False, [*MAIL, "ETRN", *EXTENSIONS]),
        (replace(MX, starttls=True), False, [*MAIL, "ETRN", "STARTTLS", *EXTENSIONS]),
        (replace(MX, auth=("PLAIN",)), False, [*MAIL, "ETRN", "AUTH PLAIN", *EXTENSIONS]),
        (replace(MX, auth=("PLAIN",)), True, [*MAIL, "ETRN", *EXTENSIONS]),
        (replace(MX, starttls=True, tls_first=True, auth=("PLAIN",)), False, [*MAIL, "ETRN", "STARTTLS", *EXTENSIONS]),
        (replace(MX, encrypted=True), False, [*MAIL, "ETRN", *EXTENSIONS, "REQUIRETLS"]),
        (SUBMISSION, False, [*MAIL, "AUTH SCRAM-SHA-256 PLAIN", *EXTENSIONS]),
        (SUBMISSION, True, [*MAIL, *EXTENSIONS]),
        (replace(SUBMISSION, encrypted=True), True, [*MAIL, *EXTENSIONS, "REQUIRETLS"]),
        (replace(SUBMISSION, starttls=True, auth=()), False, [*MAIL, "STARTTLS", *EXTENSIONS]),
        (ODMR, False, ["ATRN", "AUTH CRAM-MD5", "ENHANCEDSTATUSCODES"]),
        (ODMR, True, ["ATRN", "ENHANCEDSTATUSCODES"]),
        (replace(ODMR, encrypted=True), True, ["ATRN", "ENHANCEDSTATUSCODES"]),
        (replace(ODMR, starttls=True), False, ["ATRN", "STARTTLS", "AUTH CRAM-MD5", "ENHANCEDSTATUSCODES"]),
        (replace(ODMR, starttls=True, tls_first=True), False, ["ATRN", "STARTTLS", "ENHANCEDSTATUSCODES"]),
        (TURNED, False, [*MAIL, *EXTENSIONS]),
        (replace(TURNED, starttls=True), False, [*MAIL, "STARTTLS", *EXTENSIONS]),
        (replace(TURNED, auth=("PLAIN",)), False, [*MAIL, *EXTENSIONS]),
        (replace(TURNED, encrypted=True), False, [*MAIL, *EXTENSIONS, "REQUIRETLS"]),
        (LMTP, False, [*MAIL, *OF_LMTP]),
        (replace(LMTP, starttls=True, auth=("PLAIN",)), False, [*MAIL, "STARTTLS", *OF_LMTP]),
        (replace(LMTP, encrypted=True), False, [*MAIL, *OF_LMTP, "REQUIRETLS"]),
    ],
)
def test_ehlo_tells_what_can_be_had_in_this_state(features: Features, authenticated: bool, keywords: list[str]) -> None:
    """RFC 6409 §7: neither ETRN nor ATRN on submission; RFC 2645 §5.1.1: AUTH and ATRN in ODMR's first EHLO."""
    login = "C: AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\nS: 235 2.7.0 Authentication successful"
    lines = ["office.example", *keywords]
    told = [f"S: 250-{line}" for line in lines[:-1]] + [f"S: 250 {lines[-1]}"]
    talker = Talker(features)
    if authenticated:
        features = replace(features, auth=("PLAIN",))
        talker = talk(partial(Talker, features), f"C: HELO x\nS: 250 office.example\n{login}")
    verb = "LHLO" if features.service is Service.LMTP else "EHLO"
    assert talker.say(f"{verb} x\r\n".encode()).decode() == "".join(f"{line[3:]}\r\n" for line in told)


def test_a_keyword_is_told_by_those_services_alone_that_have_its_verb() -> None:
    """And the other way round."""
    for profile, verb in product(PROFILES.values(), ("ETRN", "ATRN", "AUTH", "STARTTLS")):
        assert (verb in profile.keywords) == (verb in profile.verbs)
        assert ("CHUNKING" in profile.keywords) == ("BDAT" in profile.verbs)


def test_every_service_has_what_may_come_before_tls_and_a_login_can_be_had_where_it_is_needed() -> None:
    """Else nobody could get any further."""
    for profile in PROFILES.values():
        greetings = {"LHLO"} if profile.protocol == "LMTP" else {"EHLO", "HELO"}
        assert (BEFORE_TLS - GREETINGS) | greetings < profile.verbs <= VERBS
        assert profile.verbs & GREETINGS == greetings
        assert profile.login_for <= profile.verbs
        assert not profile.login_for or "AUTH" in profile.verbs


def test_every_stage_can_be_reached_and_left() -> None:
    """RULES has no row that nobody comes to; CONTENT, AUTHENTICATING and TURNED end by what is no command."""
    reached = {Stage.CONNECTED, Stage.CHUNKING} | {outcome for outcome in RULES.values() if isinstance(outcome, Stage)}
    assert reached == set(Stage)
    assert {stage for stage, _ in RULES} == set(LISTENING)


@pytest.mark.parametrize(
    ("service", "tls_first", "authenticated"), [*product(Service, (False, True), (False, True))], ids=str
)
def test_the_table_of_a_state_decides_every_command_in_every_stage(
    service: Service, tls_first: bool, authenticated: bool
) -> None:
    """What it lets through RULES has; the rest has a refusal, and which one is a matter of the state alone."""
    decided = table(service, tls_first=tls_first, authenticated=authenticated)
    assert set(decided) == set(product(LISTENING, VERBS))
    for (stage, verb), outcome in decided.items():
        profile = PROFILES[service]
        if verb not in profile.verbs:
            assert outcome is (reply.OTHER_GREETING if verb in GREETINGS else reply.NOT_IMPLEMENTED)
        elif tls_first and verb not in BEFORE_TLS:
            assert outcome is reply.TLS_FIRST
        elif verb in profile.login_for and not authenticated:
            assert outcome is reply.LOGIN_FIRST
        elif verb == "AUTH" and authenticated:
            assert outcome is reply.BAD_SEQUENCE
        elif (rule := RULES.get((stage, verb), reply.BAD_SEQUENCE)) is reply.NO_RECIPIENTS:
            assert outcome is profile.no_recipients
        else:
            assert outcome is rule


@pytest.mark.parametrize(
    ("service", "needs", "unknown"),
    [
        (Service.MX, "", "ATRN EXPN SAML SEND SOML TURN"),
        (Service.SUBMISSION, "MAIL", "ATRN ETRN EXPN SAML SEND SOML TURN"),
        (Service.ODMR, "ATRN", "BDAT DATA ETRN EXPN HELP MAIL RCPT SAML SEND SOML TURN VRFY"),
        (Service.LMTP, "", "ATRN AUTH ETRN EXPN SAML SEND SOML TURN"),
        (Service.TURNED, "", "ATRN AUTH ETRN EXPN SAML SEND SOML TURN"),
    ],
)
def test_what_each_service_does_not_have_and_what_needs_a_login(service: Service, needs: str, unknown: str) -> None:
    """RFC 2645 §5.1: nothing but the login and ATRN on an ODMR port; RFC 6409 §4.3: MAIL after the login.

    RFC 2033 §4.1: LMTP is greeted by its own word, and no other service by that.
    """

    def refused(with_: Reply) -> str:
        return " ".join(sorted({verb for (_, verb), outcome in table(service).items() if outcome is with_}))

    assert refused(reply.LOGIN_FIRST) == needs
    assert refused(reply.NOT_IMPLEMENTED) == unknown
    assert refused(reply.OTHER_GREETING) == ("EHLO HELO" if service is Service.LMTP else "LHLO")
