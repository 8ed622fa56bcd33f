"""What other hosts may know of the domains that have their mailboxes here."""

from __future__ import annotations

from restante.directory.entries import Delivered, Directory, Held
from restante.directory.local import delivered_here, recipients_of, who_exists
from restante.directory.users import User
from restante.model import DomainName, HostPort

HERE, THERE = DomainName("here.example"), DomainName("there.example")
ENTRIES = (
    Delivered(HERE, frozenset({"anna"}), {"info": ("anna",)}),
    Delivered(THERE, None),
    Held("held.example", HostPort("192.0.2.25")),
)
DIRECTORY = Directory("site.example", ENTRIES, users=[User("test", domains=frozenset({HERE}))])


def test_users_aliases_and_postmaster_exist() -> None:
    """Each once, in order."""
    assert recipients_of(
        Delivered(HERE, frozenset({"bert", "anna"}), {"info": ("anna",), "postmaster": ("bert",)})
    ) == [
        "anna@here.example",
        "bert@here.example",
        "info@here.example",
        "postmaster@here.example",
    ]


def test_where_anybody_is_a_user_the_domain_exists() -> None:
    """By `users = "*"`, or by the alias for who is not known."""
    assert recipients_of(Delivered(HERE, None)) == ["@here.example"]
    assert recipients_of(Delivered(HERE, frozenset({"anna"}), {"*": ("anna",)})) == ["@here.example"]


def test_only_domains_with_mailboxes_here_are_told_of() -> None:
    """Those that are named, or all; and nobody has rights there."""
    assert who_exists(DIRECTORY, [DomainName("held.example"), THERE]) == {THERE: ["@there.example"]}
    assert list(who_exists(DIRECTORY, ())) == [HERE, THERE]
    seen = delivered_here(DIRECTORY, ())
    assert [entry.name for entry in seen.entries()] == [HERE, THERE]
    assert dict(seen.users) == {}
