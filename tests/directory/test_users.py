"""Users as the directory has them: what is theirs, and what is never shown."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from restante.directory.users import User, UsersHave
from restante.model import Principal
from restante.smtp.scram import derive_keys

SITE = User("site", certificates=frozenset({"ab" * 32, "gw.site.example"}))
STRANGER = Principal(ipaddress.ip_address("192.0.2.1"))


def test_a_certificate_is_a_users_by_fingerprint_or_by_name() -> None:
    """None is nobody's."""
    assert SITE.is_shown_by(replace(STRANGER, certificate="ab" * 32))
    assert SITE.is_shown_by(
        replace(STRANGER, certificate="cd" * 32, certificate_names=("x.example", "gw.site.example"))
    )
    assert not SITE.is_shown_by(replace(STRANGER, certificate="cd" * 32, certificate_names=("site.example",)))
    assert not SITE.is_shown_by(STRANGER)
    assert not User("ann").is_shown_by(STRANGER)


def test_what_users_have_is_what_one_of_them_has() -> None:
    """Kinds of credentials, over all."""
    ann = User("ann", password="$argon2id$")
    bob = User("bob", secret=b"s", scram=derive_keys("pencil", b"salt"))
    assert UsersHave.of([]) == UsersHave()
    assert UsersHave.of([SITE, ann]) == UsersHave(password=True)
    assert UsersHave.of([ann, bob]) == UsersHave(password=True, scram=True, secret=True)


def test_no_credential_is_in_what_is_printed() -> None:
    """Neither a hash nor a secret reaches a log by way of a user."""
    user = User("bob", password="$argon2id$hash", secret=b"tanstaaf", scram=derive_keys("pencil", b"saltsalt"))
    assert not any(word in repr(user) for word in ("argon2id", "tanstaaf", "saltsalt"))
