"""restante(1): the commands as a page for man(1), in its oldest macros (man(7), groff_man(7))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from restante.cli.manual.described import Described, described
from restante.cli.verb import first_sentence

_ABOUT = """\
restante is a mail server for places that are not always online. An office keeps the mail of a domain and sends it
nowhere; when the domain's own server, the site, is online and asks by ETRN (RFC 1985) or ATRN (RFC 2645), the office
decides by the domain and by who asks, and releases that mail. What a site's users write waits at the site in the same
way. Office and site are one program; one file in TOML decides."""

_STATUS = (
    ("0", "Done."),
    ("1", "Could not, or not all of it; the reason is on stderr."),
    ("2", "Wrong usage, or a configuration that is not in order."),
    ("130", "Interrupted."),
)
_ENVIRONMENT = (
    ("RESTANTE_CONFIG", "The configuration, where --config names none."),
    ("RESTANTE_LOG", "json: the log is lines of JSON."),
    ("TZ", "The time zone in which schedules are read; else /etc/localtime."),
    ("NOTIFY_SOCKET", "Set by systemd: it is told when mail can come, and when restante stops (sd_notify(3))."),
)
_FILES = (
    ("./restante.toml", "The configuration, where neither --config nor RESTANTE_CONFIG names one."),
    ("/etc/restante/restante.toml", "The configuration, where there is none of these."),
    ("/var/lib/restante", "The usual place of the data folder (the key data): mail, logins, certificates."),
)
_BEGINS_AS_REQUEST = re.compile(r"^([.'])", re.MULTILINE)


def man(date: str = "") -> str:
    """The page. `date` is what its foot says; nothing without one, so that it is the same on every day."""
    root, *commands = described()
    lines = [
        f'.TH RESTANTE 1 "{date}" "restante" "User Commands"',
        ".SH NAME",
        f"restante \\- {_text(first_sentence(root.text[0]).removesuffix('.'))}",
        ".SH SYNOPSIS",
        ".B restante",
        _text("[--config FILE] COMMAND [ARGUMENT...]"),
        ".SH DESCRIPTION",
        _text(_ABOUT),
        ".SH OPTIONS",
        *_list(root.options),
        ".SH COMMANDS",
        *(line for command in commands for line in _command(command, frozenset(root.options))),
        ".SH EXIT STATUS",
        *_list(_STATUS),
        ".SH ENVIRONMENT",
        *_list(_ENVIRONMENT),
        ".SH FILES",
        *_list(_FILES),
        ".SH SEE ALSO",
        _text("postqueue(1), fetchmail(1), systemd.service(5)"),
        ".br",
        _text("RFC 1985 (ETRN), RFC 2645 (ATRN), RFC 5321 (SMTP)"),
    ]
    return "\n".join(lines) + "\n"


def _command(command: Described, told: frozenset[tuple[str, str]]) -> Iterator[str]:
    if command.is_group:
        return
    yield f'.SS "{_text(command.name)}"'
    yield f"\\fB{_text(command.name)}\\fR {_text(command.usage)}"
    for paragraph in command.text:
        yield ".PP"
        yield _text(paragraph)
    yield from _list([*command.arguments, *(option for option in command.options if option not in told)])


def _list(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in entries:
        yield from (".TP", f"\\fB{_text(name)}\\fR", _text(text))


def _text(text: str) -> str:
    """Words as they are: nothing in them is a request or an escape of roff, and a hyphen can be copied."""
    return _BEGINS_AS_REQUEST.sub(r"\\&\1", text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq"))
