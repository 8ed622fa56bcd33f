"""`restante user token`: tokens for the API, of the store's users and of the configuration's."""

from __future__ import annotations

import contextlib
import time

from restante.admin import protocol as p
from restante.cli import keeping
from restante.cli.doors import CommandFailed, Configured


def make(configured: Configured, name: str, expires: str | None) -> tuple[str, float | None]:
    """A new token of a user, and the wall time until which it is good, if any. Raises CommandFailed."""
    from restante.config.problems import ConfigError  # noqa: PLC0415
    from restante.config.tokens import add_token  # noqa: PLC0415
    from restante.logins.tokens import new_token  # noqa: PLC0415
    from restante.store.book import open_book  # noqa: PLC0415

    plain = keeping.plain_name_of("users", name)
    if configured.directory().user(plain) is None:
        raise CommandFailed((f"no user {name}",))
    now = time.time()
    until = None if expires is None else now + _seconds(expires)
    text, token = new_token(plain, until)
    with contextlib.closing(open_book(configured.settings.data)) as book:
        try:
            add_token(book, plain, token, now)
        except ConfigError as error:
            raise keeping.failed(error) from None
    return text, until


def revoke(configured: Configured, name: str) -> None:
    """Makes all tokens of a name worthless, whether there is such a user or not. Raises CommandFailed."""
    from restante.config.tokens import revoke_tokens  # noqa: PLC0415
    from restante.store.book import open_book  # noqa: PLC0415

    with contextlib.closing(open_book(configured.settings.data)) as book:
        revoke_tokens(book, keeping.plain_name_of("users", name))


def _seconds(text: str) -> float:
    from restante.config.units import parse_duration  # noqa: PLC0415

    try:
        return parse_duration(text)
    except ValueError:
        raise CommandFailed((f"--expires {text}: a duration such as 90d is meant",), p.USAGE) from None
