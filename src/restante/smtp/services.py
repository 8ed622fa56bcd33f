"""What a listener speaks: the commands and EHLO keywords of each service, and what may come when (RFC 5321 §4.1.4).

Three literal tables are the whole of it, and the manual prints them: PROFILES has what each service knows, RULES which
command leads from which stage to which, and table() makes of both what holds in one state of a session. A keyword is
told only where its command would be taken (RFC 6409 §7, RFC 2645 §5.1.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from msgspec import Struct

from restante.smtp import reply
from restante.smtp.reply import Reply


class Stage(StrEnum):
    """Where a session stands."""

    CONNECTED = "connected"  # greeted by us, not yet by the peer
    READY = "ready"
    AUTHENTICATING = "authenticating"  # inside an AUTH exchange: lines are responses, not commands
    OPENED = "opened"  # MAIL was accepted
    ADDRESSED = "addressed"  # and at least one RCPT
    CHUNKING = "chunking"  # and a BDAT that was not the last
    CONTENT = "content"  # inside DATA, or inside a chunk
    TURNED = "turned"  # STARTTLS or ATRN was accepted: the next bytes are not commands to us
    CLOSED = "closed"


class Service(StrEnum):
    """What a listener is for."""

    MX = "mx"
    """Mail from other servers, and ETRN."""
    SUBMISSION = "submission"
    """Mail from users, who log in first (RFC 6409)."""
    ODMR = "odmr"
    """Mail to customers, who log in and turn the connection round (RFC 2645); no mail is taken."""
    LMTP = "lmtp"
    """Mail from a server beside this one, which hears of each recipient (RFC 2033)."""
    TURNED = "turned"
    """Mail from an office, on a connection that our ATRN has turned round."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a service knows: EHLO keywords in the order in which they are told, verbs, and those that need a login."""

    keywords: tuple[str, ...]
    verbs: frozenset[str]
    login_for: frozenset[str] = frozenset()
    protocol: str = "ESMTP"
    """As the greeting, and with RFC 3848's letters the Received field, has it."""
    no_recipients: Reply = reply.NO_RECIPIENTS
    """The answer to DATA and BDAT where no recipient was taken."""
    says_each: bool = False
    """Whether the answer to content is said once for each recipient that was taken (RFC 2033 §4.2)."""

    @property
    def help(self) -> Reply:
        """The answer to HELP."""
        return Reply(214, f"Commands: {' '.join(sorted(self.verbs))}", "2.0.0")


_ALWAYS = frozenset({"NOOP", "RSET", "QUIT", "STARTTLS"})
_SMTP = _ALWAYS | {"EHLO", "HELO"}
_LMTP = _ALWAYS | {"LHLO"}
GREETINGS = frozenset({"EHLO", "HELO", "LHLO"})
BEFORE_TLS = _SMTP | _LMTP
"""What may come before TLS where TLS comes first; every service has these, each with its own greetings."""
_MAIL = frozenset({"MAIL", "RCPT", "DATA", "BDAT", "VRFY", "HELP"})
_WISHES = ("MT-PRIORITY", "REQUIRETLS")
_EXTENSIONS = ("ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING", "BINARYMIME", "DELIVERBY", *_WISHES)

PROFILES: Mapping[Service, Profile] = {
    Service.MX: Profile(
        ("PIPELINING", "SIZE", "ETRN", "STARTTLS", "AUTH", *_EXTENSIONS), _SMTP | _MAIL | {"ETRN", "AUTH"}
    ),
    Service.SUBMISSION: Profile(
        ("PIPELINING", "SIZE", "STARTTLS", "AUTH", *_EXTENSIONS), _SMTP | _MAIL | {"AUTH"}, frozenset({"MAIL"})
    ),
    Service.ODMR: Profile(
        ("ATRN", "STARTTLS", "AUTH", "ENHANCEDSTATUSCODES"), _SMTP | {"AUTH", "ATRN"}, frozenset({"ATRN"})
    ),
    Service.LMTP: Profile(
        ("PIPELINING", "SIZE", "STARTTLS", *(word for word in _EXTENSIONS if word != "DELIVERBY")),
        _LMTP | _MAIL,
        protocol="LMTP",
        no_recipients=reply.BAD_SEQUENCE,  # RFC 2033 §4.2
        says_each=True,
    ),
    Service.TURNED: Profile(("PIPELINING", "SIZE", "STARTTLS", *_EXTENSIONS), _SMTP | _MAIL),
}

LISTENING = (Stage.CONNECTED, Stage.READY, Stage.OPENED, Stage.ADDRESSED, Stage.CHUNKING)
"""The stages in which a line is a command."""

RULES: Mapping[tuple[Stage, str], Stage | Reply] = {
    (Stage.CONNECTED, "ETRN"): Stage.CONNECTED,  # typed at a telnet prompt
    (Stage.READY, "ETRN"): Stage.READY,  # RFC 1985 §5: only between transactions
    (Stage.READY, "STARTTLS"): Stage.TURNED,
    (Stage.READY, "AUTH"): Stage.AUTHENTICATING,  # RFC 4954 §4: not inside a transaction
    (Stage.READY, "ATRN"): Stage.TURNED,
    (Stage.READY, "MAIL"): Stage.OPENED,
    (Stage.OPENED, "RCPT"): Stage.ADDRESSED,
    (Stage.ADDRESSED, "RCPT"): Stage.ADDRESSED,
    (Stage.OPENED, "DATA"): reply.NO_RECIPIENTS,
    (Stage.ADDRESSED, "DATA"): Stage.CONTENT,
    (Stage.OPENED, "BDAT"): reply.NO_RECIPIENTS,
    (Stage.ADDRESSED, "BDAT"): Stage.CONTENT,
    (Stage.CHUNKING, "BDAT"): Stage.CONTENT,
    (Stage.CONNECTED, "RSET"): Stage.CONNECTED,
    **{(stage, "RSET"): Stage.READY for stage in LISTENING if stage is not Stage.CONNECTED},
    **{(stage, verb): Stage.READY for stage in LISTENING for verb in sorted(GREETINGS)},
    **{(stage, verb): stage for stage in LISTENING for verb in ("NOOP", "VRFY", "HELP")},
    **{(stage, "QUIT"): Stage.CLOSED for stage in LISTENING},
}
"""What may come when: the stage that a positive answer leads to, or a refusal; what is not here is out of sequence."""
UNSUPPORTED = frozenset({"EXPN", "TURN", "SEND", "SOML", "SAML"})
VERBS = frozenset(verb for _, verb in RULES) | UNSUPPORTED


@cache
def table(
    service: Service, *, tls_first: bool = False, authenticated: bool = False
) -> Mapping[tuple[Stage, str], Stage | Reply]:
    """What each command leads to in one state of a session: a stage, or its refusal.

    `tls_first`: TLS has to come first, and has not come. A verb that is not here is unknown.
    """
    profile = PROFILES[service]

    def outcome(stage: Stage, verb: str) -> Stage | Reply:
        if verb not in profile.verbs:
            return reply.OTHER_GREETING if verb in GREETINGS else reply.NOT_IMPLEMENTED
        if tls_first and verb not in BEFORE_TLS:
            return reply.TLS_FIRST
        if verb in profile.login_for and not authenticated:
            return reply.LOGIN_FIRST
        if verb == "AUTH" and authenticated:  # RFC 4954 §4: once in a session
            return reply.BAD_SEQUENCE
        outcome = RULES.get((stage, verb), reply.BAD_SEQUENCE)
        return profile.no_recipients if outcome is reply.NO_RECIPIENTS else outcome

    return {(stage, verb): outcome(stage, verb) for stage in LISTENING for verb in sorted(VERBS)}


class Features(Struct, frozen=True):
    """What a listener offers in this state of a connection. `size` is the largest content in octets.

    `starttls`: TLS can be had, and is not on. `tls_first`: it must come before anything that matters, and is not on.
    `encrypted`: it is on.
    `auth`: the SASL mechanisms that may be used in this state, in the order in which they are told.
    """

    hostname: str
    size: int
    service: Service = Service.MX
    starttls: bool = False
    tls_first: bool = False
    auth: tuple[str, ...] = ()
    encrypted: bool = False

    def keywords(self, *, authenticated: bool = False) -> tuple[str, ...]:
        """The EHLO keywords, in the order in which they are told."""
        told = {
            "SIZE": f"SIZE {self.size}",
            "STARTTLS": "STARTTLS" if self.starttls else "",
            "AUTH": "" if authenticated or self.tls_first or not self.auth else f"AUTH {' '.join(self.auth)}",
            "MT-PRIORITY": "MT-PRIORITY MIXER",  # its default policy (RFC 6710 §3)
            "REQUIRETLS": "REQUIRETLS" if self.encrypted else "",  # RFC 8689 §2: only inside TLS
        }
        return tuple(filter(None, (told.get(word, word) for word in PROFILES[self.service].keywords)))
