"""The words of the field as forms: domains, next hops, grants, users, files. Each is parsed by the room that owns it.

What stands here and has no other room: the safe names of users, logins and calls, and the list of recipients.
"""

from __future__ import annotations

import ipaddress
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from restante.calls.window import parse_expression
from restante.config.forms import Unfit, UnfitFile, Value, duration, many
from restante.config.problems import Problem, shown, shown_path
from restante.directory.entries import EVERY_OTHER, Grant, Network, Recipients
from restante.model import Caller, HostPort, Mailbox, NextHop, parse_lmtp, parse_next_hop
from restante.smtp.address import AddressError, DomainName, parse_domain
from restante.smtp.node import parse_group

MAX_REPLY_TEXT = 400
MAX_USER = 64  # octets; RFC 5321 §4.5.3.1.1
MAX_SHOWN_LINES = 50
NO_PORT = 0  # until it is known what is spoken there
FINAL_HOST = "host, host:port or [v6]:port"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_REMARK = re.compile(r"\s#")


def parse_named_domain(text: str) -> DomainName:
    """A domain that is no address literal. Raises AddressError."""
    domain = parse_domain(text)
    if domain.startswith("["):
        raise AddressError(f"{text!r} is an address literal")
    return domain


def parse_entry_name(text: str) -> str:
    """A domain, or `*`. Raises AddressError."""
    return text if text == EVERY_OTHER else parse_named_domain(text)


def parse_user(text: str) -> str:
    """A user's name in lower case: a local part that is safe as a folder's name. Raises ValueError."""
    name = text.lower()
    if "@" in name:
        raise Unfit("a name without a domain is meant")
    if "/" in name or not name.isprintable() or len(name.encode()) > MAX_USER:
        raise ValueError(text)
    if '"' in name or not Mailbox.parse(f"{name}@user.example").local == name:  # the dot-atom of RFC 5321 §4.1.2
        raise ValueError(text)
    return name


def parse_name(text: str) -> str:
    """The name of a call or a login. Raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError(text)
    return text


def parse_network(text: str) -> Network:
    """A network in CIDR notation, or one address. Raises ValueError."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        _suggest_network(text)
        raise


def parse_grant(text: str) -> Grant:
    """Who may release. Raises ValueError."""
    try:
        grant = Grant.parse(text)
    except ValueError:
        _suggest_network(text)
        raise
    if grant.login is not None:
        parse_name(grant.login)
    return grant


def _suggest_network(text: str) -> None:
    """Raises Unfit where only the bits of the host are in the way."""
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return
    raise Unfit(f"did you mean {str(meant)!r}?")


def parse_held_hop(text: str) -> NextHop:
    """Where a held domain's mail goes. Raises ValueError."""
    return parse_next_hop(text)


def parse_relay_hop(text: str) -> NextHop:
    """Where mail goes at once. Raises ValueError."""
    hop = parse_next_hop(text)
    if isinstance(hop, Caller):
        raise Unfit("for held domains only")
    return hop


def parse_mailboxes(text: str) -> str:
    """The kind of mailboxes. Raises ValueError."""
    if text != "maildir":
        parse_lmtp(text)
    return text


def parse_alias(text: str) -> str:
    """The name of an alias, or `*`. Raises ValueError."""
    return text if text == EVERY_OTHER else parse_user(text)


def parse_url(text: str) -> str:
    """The address of a service of HTTP, without a path. Raises ValueError."""
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment or url.path.strip("/"):
        raise ValueError(text)
    if url.username is not None or (url.port is not None and not url.port):
        raise ValueError(text)
    return text.rstrip("/")


def parse_webhook(text: str) -> str:
    """Where something is posted by HTTP. Raises ValueError."""
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname or url.fragment or not text.isprintable():
        raise ValueError(text)
    if " " in text or (url.port is not None and not url.port):
        raise ValueError(text)
    return text


def is_loopback(host: str) -> bool:
    """Whether it is this very host, by an address of its loopback or by the name that such have."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_resolver(text: str) -> HostPort:
    """The address of a resolver; its port is 53 where none is written. Raises ValueError."""
    resolver = HostPort.parse(text, default_port=53)
    if resolver.address is None:
        raise Unfit("a name would have to be looked up")
    return resolver


def parse_reply_text(text: str) -> str:
    """Text that goes into a reply: ASCII, for a reply may have no more (RFC 5321 §4.2.1). Raises ValueError."""
    if not (text.isascii() and text.isprintable() and text.strip() and len(text) <= MAX_REPLY_TEXT):
        raise ValueError(text)
    return text


def parse_argument(text: str) -> str:
    """One word of a program's command line. Raises ValueError."""
    if not text or "\0" in text:
        raise ValueError(text)
    return text


def parse_login(text: str) -> str:
    """A name to log in with, elsewhere. Raises ValueError."""
    if not (text.strip() and text.isprintable() and len(text) <= 255):
        raise ValueError(text)
    return text


def existing(path: Path) -> Path:
    """A file that is there. Raises Unfit; what may not be looked at is left to who opens it."""
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise Unfit("a folder")
    except (FileNotFoundError, NotADirectoryError):
        raise Unfit(f"no file {shown_path(path)}") from None
    except OSError:
        pass
    return path


def read_recipients(path: Path) -> Recipients:
    """The addresses and `@domain`s of a file. Raises Unfit where it cannot be read, UnfitFile for its lines."""
    try:
        if not stat.S_ISREG(existing(path).stat().st_mode):
            raise Unfit("not a regular file")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise Unfit(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Unfit("not UTF-8") from None
    return parse_recipients(text.split("\n"), path)


def parse_recipients(lines: Iterable[str], file: Path) -> Recipients:
    """The addresses and `@domain`s in lines of what problems call `file`. Raises UnfitFile."""
    mailboxes: set[str] = set()
    domains: set[DomainName] = set()
    problems: list[Problem] = []
    for number, line in _lines(lines):
        try:
            if line.startswith("@"):
                domains.add(parse_named_domain(line[1:]))
            else:
                mailbox = Mailbox.parse(line)
                mailboxes.add(f"{mailbox.key}@{mailbox.domain}")
        except AddressError:
            problems.append(Problem(file, f"line {number}", shown(line), "an address or @domain"))
    if problems:
        raise UnfitFile(_cut(problems))
    return Recipients(frozenset(mailboxes), frozenset(domains))


def _lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers; what follows a `#` after a space is a remark."""
    for number, line in enumerate(lines, start=1):
        if (entry := _REMARK.split(f" {line}", maxsplit=1)[0].strip()) != "":
            yield number, entry


def _cut(problems: list[Problem]) -> list[Problem]:
    """Not thousands, where the file is no such list at all."""
    if len(problems) <= MAX_SHOWN_LINES:
        return problems
    last = problems[-1]
    left = len(problems) - MAX_SHOWN_LINES
    return [
        *problems[:MAX_SHOWN_LINES],
        Problem(last.file, last.key, f"{left} more such lines up to here", last.allowed),
    ]


HOST_NAME = Value(
    kind="host name",
    allowed='a host name such as "office.example"',
    example="office.example",
    parse=parse_named_domain,
)
DOMAIN = Value(kind="domain", allowed="a domain name", example="test.example", parse=parse_named_domain)
ENTRY_NAME = Value(
    kind='domain or "*"', allowed='a domain name, or "*"', example="test.example", parse=parse_entry_name
)
HELD_ENTRY = Value(
    kind='held domain or "*"', allowed='a held domain of ours, or "*"', example="*", parse=parse_entry_name
)
ADDRESS = Value(
    kind="address and port",
    allowed=FINAL_HOST,
    example="office.example:25",
    parse=lambda text: HostPort.parse(text, default_port=NO_PORT),
)
ADMIN_ADDRESS = Value(
    kind="address and port",
    allowed=FINAL_HOST,
    example="127.0.0.1:8025",
    parse=lambda text: HostPort.parse(text, default_port=8025),
)
HELD_HOP = Value(
    kind='host, host:port, [v6]:port, "caller" or "mx"',
    allowed=f'{FINAL_HOST}, "caller" or "mx"',
    example="192.0.2.25",
    parse=parse_held_hop,
)
RELAY_HOP = Value(
    kind='"mx", host, host:port or [v6]:port', allowed=f'{FINAL_HOST}, or "mx"', example="mx", parse=parse_relay_hop
)
GRANT = Value(
    kind="address, network, user:NAME, cert:SHA256 or cert:NAME",
    allowed="an address, a network, user:NAME, cert:SHA256 or cert:NAME",
    example="192.0.2.25",
    parse=parse_grant,
)
NETWORK = Value(
    kind="address or network",
    allowed="an address or a network such as 192.0.2.0/24",
    example="127.0.0.0/8",
    parse=parse_network,
)
NAME = Value(
    kind="name", allowed="a name of letters, digits, dot, hyphen and underscore, 63 at most", example="office",
    parse=parse_name,
)  # fmt: skip
GROUP = replace(NAME, example="customers", parse=parse_group)
USER = Value(
    kind="user",
    allowed='a local part such as "anna": no slash, quote or space, no dot at an end, at most 64 octets',
    example="anna",
    parse=parse_user,
)
ALIAS = Value(kind='user or "*"', allowed=f'{USER.allowed}, or "*"', example="info", parse=parse_alias)
MAILBOXES = Value(
    kind='"maildir", lmtp:HOST:PORT or lmtp:/path',
    allowed='"maildir", lmtp:HOST:PORT or lmtp:/path',
    example="maildir",
    parse=parse_mailboxes,
)
RESOLVER = Value(
    kind="address or address:port", allowed="an address, or address:port", example="127.0.0.1", parse=parse_resolver
)
URL = Value(
    kind="URL", allowed='a URL without a path such as "http://127.0.0.1:11333"', example="http://127.0.0.1:11333",
    parse=parse_url,
)  # fmt: skip
WEBHOOK = Value(
    kind="URL", allowed='a URL such as "https://chat.example/hooks/restante"',
    example="https://chat.example/hooks/restante", parse=parse_webhook, is_secret=True,
)  # fmt: skip
MAILBOX = Value(kind="address", allowed="a mail address", example="ops@test.example", parse=Mailbox.parse)
REPLY_TEXT = Value(
    kind=f"text, at most {MAX_REPLY_TEXT} characters",
    allowed=f"one line of printable ASCII, at most {MAX_REPLY_TEXT} characters",
    example="This domain takes no mail",
    parse=parse_reply_text,
)
EXPRESSION = Value(
    kind="cron expression",
    allowed='a cron expression such as "0 14 * * *", or a nickname such as "@daily"',
    example="0 14 * * *",
    parse=parse_expression,
)
RETRY = many(duration("10s", "7d"), ["1m", "5m", "15m", "1h"], least=1, most=100, is_set=False)
ARGUMENT = Value(kind="text", allowed="a text that is not empty", example="pon", parse=parse_argument)
LOGIN = Value(kind="text", allowed="a text on one line, not empty", example="test", parse=parse_login)
FOLDER = Value(kind="path", allowed="the path of a folder", example="/var/lib/restante", parse=Path, is_file=True)
FILE = Value(kind="path", allowed="the path of a file", example="secret.txt", parse=Path, is_file=True)
PEM = Value(kind="path", allowed="the path of a file in PEM form", example="cert.pem", parse=existing, is_file=True)
RECIPIENTS = Value(
    kind="path",
    allowed="the path of a file with one address or @domain a line",
    example="recipients.txt",
    parse=read_recipients,
    is_file=True,
    written=lambda _: "recipients.txt",
)
