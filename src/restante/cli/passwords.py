"""`restante password`: a password, or a secret of chance, in the form in which the configuration keeps it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from restante.admin import protocol as p
from restante.cli import screen
from restante.cli.doors import CommandFailed

_INSTEAD = "Print a fresh secret for a secret_file (CRAM-MD5) instead."


def password(
    *,
    secret: Annotated[bool, typer.Option("--secret", help=_INSTEAD)] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what `[users.NAME]` keeps of a password, which is asked for."""
    from restante.logins import passwords  # noqa: PLC0415 - brings argon2

    kept = {"secret": passwords.new_secret()} if secret else keys_of_password(from_stdin=not sys.stdin.isatty())
    if json:
        screen.write_json(kept)
    elif secret:
        screen.say(kept["secret"])
    else:
        for key, value in kept.items():
            screen.say(f'{key} = "{value}"')


def keys_of_password(*, from_stdin: bool) -> dict[str, str]:
    """The keys `password` and `scram` of a password, which is asked for or is stdin's first line.

    Raises CommandFailed.
    """
    return keys_of(first_line() if from_stdin else _terminal())


def keys_of(password: str) -> dict[str, str]:
    """The keys `password` and `scram` of a password. Raises CommandFailed."""
    from restante.logins import passwords  # noqa: PLC0415 - brings argon2

    try:
        return passwords.keys_of(password)
    except passwords.PasswordError as error:
        raise CommandFailed((str(error),), p.USAGE) from None


def _terminal() -> str:
    answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
    return answer


def first_line() -> str:
    """The next line of stdin. Raises CommandFailed."""
    try:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise CommandFailed(("the password is not UTF-8",), p.USAGE) from None
