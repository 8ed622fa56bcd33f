"""docs/protocol.md: what is spoken on the wire, from the tables that the server itself goes by.

Nothing is said here a second time: services, commands, stages and replies are read from smtp/ and server/answers.py,
the states of an item from spool/states.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import ModuleType

from restante.filtering import screen
from restante.release import answers as released
from restante.release.turn import Turn
from restante.server import answers
from restante.smtp import reply
from restante.smtp.reply import Reply
from restante.smtp.sasl import MECHANISMS
from restante.smtp.server import MAX_ERRORS
from restante.smtp.services import BEFORE_TLS, LISTENING, PROFILES, Service, Stage, table
from restante.spool import states

_HEAD = """\
# The protocol tables

This page is made from the tables that restante itself goes by. In short: [RFC 5321](https://www.rfc-editor.org/rfc/rfc5321)
for SMTP, [RFC 1985](https://www.rfc-editor.org/rfc/rfc1985) for ETRN,
[RFC 2645](https://www.rfc-editor.org/rfc/rfc2645) for ATRN.

## What a listener speaks

`service` of a `[[listen]]` decides; `turned` is what a site speaks to an office on the connection that its own ATRN has
turned round. A keyword is told only where its command would be taken: STARTTLS where a certificate is there and TLS is
not on, AUTH before the login, REQUIRETLS inside TLS.
"""
_LOGINS = """
AUTH knows {}.
Which of them are offered depends on TLS, on what `[users]` log in with, and on the listener.
"""
_STAGES = """\
## What may come when

A line is a command in five stages of a session: `connected` (no greeting from the peer yet), `ready`, `opened` (MAIL
was taken), `addressed` (a RCPT too), `chunking` (a BDAT, and not the last). A cell is the stage that a positive answer
leads to, or the refusal. `authenticating`, `content`, `turned` and `closed` are stages in which a line is no command.
"""
_EVERYWHERE = """\
A command that a service does not have is answered `{missing}`, a greeting of another service
`{greeting}`, and what is no command at all `{unknown}`.

Where a listener has `require_tls`, all but {before} is answered
`{tls}` until TLS is on; what needs a login is answered `{login}` before it. AUTH is taken once in a
session. After {many} bad commands the session ends with `{errors}`.
"""
_ETRN = """\
## What ETRN is answered

Who may release what is looked at before anything else, so that a stranger learns nothing: an unknown node and somebody
else's get the same words. A node is a domain, `@domain` for it and all below it, `#group`, or an address literal: all
that goes to that host.
"""
_ATRN = """\
## What ATRN is answered

After the 250 the connection turns round: the caller is the server, and gets its mail by SMTP.
"""
_REPLIES = """\
## All replies

By code. Replies whose words are made for the case (a syntax that was expected, an address that was wrong, the words of
a filter) have the codes of RFC 5321 and RFC 3463 too, and are not listed.
"""
_STATES = """\
## The states of an item

`arriving` and `gone` are never on disk; what is not here cannot happen.
"""
_NODE = "test.example"
_TO_ETRN: Sequence[tuple[released.Answer, str]] = (
    (released.Started(3), "a release has begun, or one that has sent nothing yet was joined"),
    (released.Started(None), "the same, where the number is not told (`counts = false`)"),
    (released.NothingWaiting(), "nothing waits"),
    (released.NothingWaiting(250), "the same, where `etrn_empty = 250`"),
    (released.Queued(), "a release is running; another follows it"),
    (released.NotAllowed(), "no such node here, or not for who asks"),
    (released.Unavailable(), "restante is stopping, or a passing fault"),
)
_TO_ATRN: Sequence[tuple[released.TurnAnswer | released.NotAllowed, str]] = (
    (Turn((), lambda _entry, _line: None), "mail waits for one of the domains, and all of them are the caller's"),
    (released.NothingWaiting(), "nothing waits for any of them"),
    (released.Busy(), "the same mail is being released already"),
    (released.NotAllowed(), "one of the domains is not here, or not the caller's; nothing is sent of any"),
    (released.Unavailable(), "restante is stopping, or a passing fault"),
)


def manual() -> str:
    """The page."""
    parts = [
        _HEAD,
        _services(),
        _STAGES,
        *map(_stages, Service),
        _everywhere(),
        _ETRN,
        _table(("reply", "when"), ((f"`{answers.etrn(_NODE, answer)}`", when) for answer, when in _TO_ETRN)),
        _ATRN,
        _table(("reply", "when"), ((f"`{answers.atrn(answer)}`", when) for answer, when in _TO_ATRN)),
        _REPLIES,
        _table(("code", "enhanced", "words"), _replies(reply, answers, screen)),
        _STATES,
        states.markdown() + "\n",
    ]
    return "\n".join(parts)


def _services() -> str:
    rows = (
        (
            f"`{service}`",
            " ".join(f"`{word}`" for word in profile.keywords),
            " ".join(sorted(profile.verbs)),
            " ".join(sorted(profile.login_for)) or "none",
        )
        for service, profile in PROFILES.items()
    )
    mechanisms = ", ".join(f"`{name}`" for name in MECHANISMS)
    return _table(("service", "EHLO keywords", "commands", "need a login"), rows) + _LOGINS.format(mechanisms)


def _stages(service: Service) -> str:
    profile = PROFILES[service]
    rows = []
    for verb in sorted(profile.verbs):
        needs_login = verb in profile.login_for
        outcomes = table(service, authenticated=needs_login)
        row = (_outcome(outcomes[stage, verb]) for stage in LISTENING)
        rows.append((f"`{verb}`{' after the login' if needs_login else ''}", *row))
    return f"### `{service}`\n\n" + _table(("command", *map(str, LISTENING)), rows)


def _outcome(outcome: Stage | Reply) -> str:
    return f"{outcome.code} {outcome.enhanced}" if isinstance(outcome, Reply) else str(outcome)


def _everywhere() -> str:
    return _EVERYWHERE.format(
        missing=reply.NOT_IMPLEMENTED,
        greeting=reply.OTHER_GREETING,
        unknown=reply.UNKNOWN_COMMAND,
        before=", ".join(sorted(BEFORE_TLS)),
        tls=reply.TLS_FIRST,
        login=reply.LOGIN_FIRST,
        many=MAX_ERRORS,
        errors=reply.TOO_MANY_ERRORS,
    )


def _replies(*modules: ModuleType) -> list[tuple[str, str, str]]:
    """Every reply that has a name, by code."""
    found = {value for module in modules for value in vars(module).values() if isinstance(value, Reply)}
    return sorted((str(value.code), value.enhanced, f"`{value.text}`") for value in found)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    assert not any("|" in cell for line in lines for cell in line), lines
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
