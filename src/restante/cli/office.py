"""Options of the commands that ask an office and need no configuration: how it is reached, and who we are there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from restante.admin.protocol import USAGE
from restante.cli import doors
from restante.cli.doors import CommandFailed

if TYPE_CHECKING:
    from restante.calls.login import Login
    from restante.model import HostPort
    from restante.net.tls import TlsPolicy

Office = Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="The host that holds the mail.")]
Tls = Annotated[
    Literal["off", "opportunistic", "required", "verify"],
    typer.Option(help="How far the connection must be encrypted."),
]
Pins = Annotated[
    list[str] | None,
    typer.Option(
        "--tls-pin", metavar="sha256:HEX", help="The public key that the office must show, or one of several."
    ),
]
User = Annotated[str | None, typer.Option("--user", metavar="NAME", help="The name to log in with.")]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE", help="Its first line is the password.")
]
Certificate = Annotated[
    Path | None, typer.Option("--certificate", metavar="FILE", help="The certificate that we show (PEM).")
]
Key = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Its private key (PEM).")]
Hostname = Annotated[str | None, typer.Option(metavar="NAME", help="The name for EHLO.")]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Whose hostname is said in EHLO; not needed.")
]
Timeout = Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="For each of the office's replies.")]


def host_of(text: str, default_port: int) -> HostPort:
    """Where to dial. Raises CommandFailed."""
    from restante.model import HostPort, NextHopError  # noqa: PLC0415 - `--help` needs none of it

    try:
        return HostPort.parse(text, default_port)
    except NextHopError as error:
        raise CommandFailed((str(error),), USAGE) from None


def policy_of(tls: str, pins: list[str] | None) -> TlsPolicy:
    """What the office must be for us to talk to it. Raises CommandFailed."""
    from restante.config.proofs import PIN, parse_pin  # noqa: PLC0415
    from restante.net.tls import TlsLevel, TlsPolicy  # noqa: PLC0415

    level = TlsLevel(tls)
    if pins and level.may_be_clear:
        raise CommandFailed(("--tls-pin takes --tls required, or verify",), USAGE)
    try:
        return TlsPolicy(level, tuple(parse_pin(pin) for pin in pins or ()))
    except ValueError as error:
        raise CommandFailed((f"--tls-pin: {error} is not {PIN.kind}",), USAGE) from None


def login_of(user: str | None, password_file: Path | None, certificate: Path | None, key: Path | None) -> Login:
    """Who we are there. Raises CommandFailed."""
    from restante.calls.login import Login  # noqa: PLC0415
    from restante.net.tls import Pair  # noqa: PLC0415

    if password_file is not None and user is None:
        raise CommandFailed(("--password-file takes --user",), USAGE)
    if user is not None and password_file is None and certificate is None:
        raise CommandFailed(("--user takes --password-file, or --certificate and --key",), USAGE)
    if (certificate is None) != (key is None):
        raise CommandFailed(("--certificate and --key go together",), USAGE)
    own = Pair(certificate, key) if certificate is not None and key is not None else None
    return Login(user, password_file, own)


def name_for_ehlo(wanted: str | None, config: Path | None) -> str:
    """The name that the user gives, or the configuration's where one is named, or this machine's.

    Where that is none, an address literal (RFC 5321 §4.1.4). Raises CommandFailed.
    """
    import socket  # noqa: PLC0415

    from restante.smtp.address import AddressError, parse_domain  # noqa: PLC0415

    if wanted is None and config is not None:
        wanted = doors.load(config).settings.hostname
    try:
        return parse_domain(wanted if wanted is not None else socket.getfqdn().rstrip("."))
    except AddressError as error:
        if wanted is not None:
            raise CommandFailed((str(error),), USAGE) from None
        return "[127.0.0.1]"
