"""What becomes of a recipient, by the action of its domain and by who sends."""

from __future__ import annotations

import ipaddress
from types import MappingProxyType

import pytest
from msgspec import structs

from restante.directory.entries import Delivered, Directory, Entry, Held, Recipients, Rejected, Relayed
from restante.directory.routing import (
    Destination,
    DomainRejected,
    Reader,
    RelayDenied,
    UnknownUser,
    domains_of_entry,
    entry_name,
    readers_for,
    route,
)
from restante.directory.users import User
from restante.model import ByMx, DomainName, HostPort, Mailbox, Principal
from restante.smtp.address import parse_forward_path

STRANGER = Principal(ipaddress.ip_address("203.0.113.1"))
NEIGHBOUR = Principal(ipaddress.ip_address("127.0.0.1"))
SITE = HostPort("192.0.2.25")
ENTRIES: list[Entry] = [
    Rejected("rejected.example", "Gone away"),
    Held("held.example", SITE),
    Held("listed.example", SITE, recipients=Recipients(frozenset({"ann@listed.example"}))),
    Relayed("relayed.example", ByMx()),
    Delivered(
        "local.example",
        frozenset({"anna", "bob", "bob+old"}),
        MappingProxyType({"info": ("anna", "bob"), "all": ("info", "anna"), "anna+x": ("bob",)}),
        postmaster="anna",
    ),
    Delivered("open.example", None),
]
WITHOUT_OTHERS = Directory("office.example", ENTRIES, [ipaddress.ip_network("127.0.0.0/8")])


def with_others(*others: Entry) -> Directory:
    """The same directory with an entry for every other domain, or further ones."""
    return Directory("office.example", [*others, *ENTRIES], [ipaddress.ip_network("127.0.0.0/8")])


RELAYING = with_others(Relayed("*", ByMx()))
HOLDING = with_others(Held("*", SITE))


def became(directory: Directory, path: str, principal: Principal) -> str:
    """The name of the entry that takes the mail, or the refusal's."""
    match route(directory, parse_forward_path(f"<{path}>"), principal):
        case Destination(entry, domain, mailbox):
            assert mailbox.domain == domain
            return entry.name
        case refusal:
            return type(refusal).__name__


@pytest.mark.parametrize(
    ("path", "for_stranger", "for_neighbour"),
    [
        ("ann@held.example", "held.example", "held.example"),
        ("ANN@HELD.EXAMPLE", "held.example", "held.example"),
        ("ann@sub.held.example", "RelayDenied", "*"),
        ("ann@nheld.example", "RelayDenied", "*"),
        ("Ann@listed.example", "listed.example", "listed.example"),
        ("ann+tag@listed.example", "listed.example", "listed.example"),
        ("bob@listed.example", "UnknownUser", "UnknownUser"),
        ("Postmaster@listed.example", "listed.example", "listed.example"),
        ("ann@relayed.example", "RelayDenied", "relayed.example"),
        ("ann@elsewhere.example", "RelayDenied", "*"),
        ("ann@[192.0.2.1]", "RelayDenied", "*"),
        ("ann@rejected.example", "DomainRejected", "DomainRejected"),
        ("anna@local.example", "local.example", "local.example"),
        ("ANNA+lists@local.example", "local.example", "local.example"),
        ("nobody@local.example", "UnknownUser", "UnknownUser"),
        ("info@local.example", "local.example", "local.example"),
        ("postmaster@local.example", "local.example", "local.example"),
        ("Postmaster", "local.example", "local.example"),
        ("anyone+x@open.example", "open.example", "open.example"),
        ('""@open.example', "UnknownUser", "UnknownUser"),
        ("anna%elsewhere.example@local.example", "UnknownUser", "UnknownUser"),
        ("elsewhere.example!anna@local.example", "UnknownUser", "UnknownUser"),
        ('"anna@elsewhere.example"@local.example', "UnknownUser", "UnknownUser"),
        ("ann@h\u0435ld.example", "RelayDenied", "*"),
        ("ann@héld.example", "RelayDenied", "*"),
    ],
)
@pytest.mark.parametrize("directory", [RELAYING, HOLDING])
def test_what_becomes_of_a_recipient(directory: Directory, path: str, for_stranger: str, for_neighbour: str) -> None:
    """Held and local domains take mail from anybody; every other one from who may relay, also to be held."""
    assert became(directory, path, STRANGER) == for_stranger
    assert became(directory, path, NEIGHBOUR) == for_neighbour


def test_without_an_entry_for_every_other_domain_nobody_relays_there() -> None:
    """Not even who may."""
    assert became(WITHOUT_OTHERS, "ann@elsewhere.example", NEIGHBOUR) == "RelayDenied"
    assert became(WITHOUT_OTHERS, "ann@relayed.example", NEIGHBOUR) == "relayed.example"


@pytest.mark.parametrize(
    ("reverse_path", "became"),
    [("ann@held.example", "Destination"), (None, "Destination"), ("ann@local.example", "RelayDenied")],
)
def test_a_login_sends_anywhere_under_its_own_name(reverse_path: str | None, became: str) -> None:
    """To what is held and local here it sends as anybody, as everybody does."""
    user = User("test", domains=frozenset({DomainName("held.example")}))
    directory = Directory("office.example", [Relayed("*", ByMx()), *ENTRIES], users=[user])
    login = Principal(STRANGER.address, "test")
    sender = None if reverse_path is None else Mailbox.parse(reverse_path)
    for path in ("ann@elsewhere.example", "ann@relayed.example"):
        assert type(route(directory, Mailbox.parse(path), login, sender)).__name__ == became
        assert route(directory, Mailbox.parse(path), login) == RelayDenied()
    assert isinstance(route(directory, Mailbox.parse("ann@held.example"), login, sender), Destination)


@pytest.mark.parametrize("local", ["u%t.example", "t.example!u", '"u@t.example"'])
def test_what_the_next_hop_might_send_on_is_not_taken_from_strangers(local: str) -> None:
    """A site that honours percent signs, bangs or a second at-sign would be an open relay, with us in front of it."""
    assert became(WITHOUT_OTHERS, f"{local}@held.example", STRANGER) == "RelayDenied"
    assert became(WITHOUT_OTHERS, f"{local}@held.example", NEIGHBOUR) == "held.example"
    assert became(WITHOUT_OTHERS, f"{local}@listed.example", STRANGER) == "UnknownUser"
    assert became(WITHOUT_OTHERS, f"{local}@open.example", STRANGER) == "open.example"


LISTED = Recipients(frozenset({"ann@front.example"}), frozenset({DomainName("whole.example")}))
FORWARDED = Relayed("front.example", SITE, from_anyone=True)


@pytest.mark.parametrize(
    ("path", "unlisted", "listed"),
    [
        ("Ann@Front.Example", "front.example", "front.example"),
        ("ann+x@front.example", "front.example", "front.example"),
        ("bob@front.example", "front.example", "UnknownUser"),
        ("postmaster@front.example", "front.example", "front.example"),
        ("u%t.example@front.example", "RelayDenied", "UnknownUser"),
        ("t.example!u@front.example", "RelayDenied", "UnknownUser"),
        ('"u@t.example"@front.example', "RelayDenied", "UnknownUser"),
        ("ann@sub.front.example", "RelayDenied", "RelayDenied"),
        ("ann@relayed.example", "RelayDenied", "RelayDenied"),
        ("ann@elsewhere.example", "RelayDenied", "RelayDenied"),
    ],
)
def test_a_relayed_domain_that_takes_mail_from_anyone_is_as_a_held_one(path: str, unlisted: str, listed: str) -> None:
    """And opens no other, nor the forms that its next hop might send on."""
    for entry, expected in ((FORWARDED, unlisted), (structs.replace(FORWARDED, recipients=LISTED), listed)):
        directory = with_others(Relayed("*", ByMx()), entry)
        assert became(directory, path, STRANGER) == expected


def test_who_may_relay_is_held_to_a_relayed_domain_s_list_too() -> None:
    """Nobody is there who is not listed; and its forms are not looked at."""
    assert became(with_others(FORWARDED), "u%t.example@front.example", NEIGHBOUR) == "front.example"
    listed = structs.replace(FORWARDED, recipients=LISTED)
    assert became(with_others(listed), "bob@front.example", NEIGHBOUR) == "UnknownUser"
    assert (
        became(with_others(structs.replace(listed, from_anyone=False)), "bob@front.example", NEIGHBOUR) == "UnknownUser"
    )
    assert (
        became(with_others(structs.replace(listed, from_anyone=False)), "ann@front.example", STRANGER) == "RelayDenied"
    )


def test_every_other_domain_is_never_relayed_for_anyone() -> None:
    """Whatever is written: that would be an open relay."""
    directory = with_others(Relayed("*", ByMx(), from_anyone=True))
    assert became(directory, "ann@elsewhere.example", STRANGER) == "RelayDenied"


def test_every_other_domain_may_be_rejected() -> None:
    """In words of its own."""
    directory = with_others(Rejected("*", "Only our own"))
    assert route(directory, Mailbox.parse("ann@elsewhere.example"), NEIGHBOUR) == DomainRejected("Only our own")
    assert became(directory, "ann@held.example", STRANGER) == "held.example"


def test_mail_waits_under_its_own_domain_whatever_entry_decides() -> None:
    """A domain that gets its own entry later takes its mail with it."""
    found = route(RELAYING, Mailbox.parse("Ann@Elsewhere.Example"), NEIGHBOUR)
    assert isinstance(found, Destination)
    assert (found.entry.name, found.domain, str(found.mailbox)) == ("*", "elsewhere.example", "Ann@elsewhere.example")


def test_bare_postmaster_is_that_of_our_first_local_domain() -> None:
    """RFC 5321 §4.5.1; where no domain is local there is nobody to read it, and `*` is no domain."""
    found = route(WITHOUT_OTHERS, parse_forward_path("<POSTMASTER>"), STRANGER)
    assert isinstance(found, Destination)
    assert found.mailbox == Mailbox("postmaster", DomainName("local.example"))
    assert readers_for(WITHOUT_OTHERS, found.mailbox) == (Reader("anna"),)
    for entries in ([], [Held("held.example", SITE)], [Delivered("*", None)], [Relayed("*", ByMx())]):
        assert (
            route(Directory("office.example", entries), parse_forward_path("<postmaster>"), NEIGHBOUR) == RelayDenied()
        )
    late = Directory("office.example", [Delivered("*", None), Delivered("local.example", frozenset({"anna"}))])
    assert became(late, "postmaster", STRANGER) == "local.example"


@pytest.mark.parametrize(
    ("mailbox", "stored"),
    [("Anna@local.example", "anna"), ("Anna+Lists@local.example", "anna+Lists"), ("anna+@local.example", "anna"),
     ("anna+x@local.example", "bob"), ("bob+old@local.example", "bob+old"), ("bob+new+er@local.example", "bob+new+er"),
     ("info@local.example", "anna bob"), ("INFO+x@local.example", "anna bob"), ("all@local.example", "anna bob"),
     ("postmaster@local.example", "anna"), ("PostMaster+x@local.example", "anna"), ("nobody@local.example", ""),
     ("+anna@local.example", ""), ("Carl+x@open.example", "carl+x"), ("+x@open.example", "+x"),
     ("postmaster@open.example", "postmaster"), ('".."@open.example', '".."'), ('""@open.example', ""),
     ("ann@held.example", ""), ("ann@elsewhere.example", "")],
)  # fmt: skip
def test_who_reads_what_is_sent_to_an_address(mailbox: str, stored: str) -> None:
    """An alias before a user, the whole local part before what stands before its plus; each user once.

    What stands behind the plus goes along where the address is the user's own.
    """
    readers = readers_for(RELAYING, Mailbox.parse(mailbox))
    domain = Mailbox.parse(mailbox).domain
    assert [str(reader.mailbox(domain)) for reader in readers] == [f"{name}@{domain}" for name in stored.split()]


def test_a_name_that_is_also_a_user_s_has_no_detail() -> None:
    """`bob+old` is a user of that name, and `bob+new` is bob."""
    assert readers_for(RELAYING, Mailbox.parse("bob+old@local.example")) == (Reader("bob+old"),)
    assert readers_for(RELAYING, Mailbox.parse("bob+new@local.example")) == (Reader("bob", "new"),)


@pytest.mark.parametrize(
    ("local", "users"),
    [("nobody", "bob carl"), ("no+body", "bob carl"), ("+x", "bob carl"), ('""', "bob carl"), ("*", "bob carl"),
     ("anna", "anna"), ("info", "anna"), ("postmaster", "anna"), ("postmaster+x", "anna"), ("u%t.example", "bob carl")],
)  # fmt: skip
def test_a_catch_all_reads_what_nobody_else_does(local: str, users: str) -> None:
    """Users, aliases and postmaster come first; nobody is unknown."""
    aliases = {"*": ("both",), "both": ("bob", "carl"), "info": ("anna",)}
    entry = Delivered("catch.example", frozenset({"anna", "bob", "carl"}), aliases, postmaster="anna")
    directory = Directory("office.example", [entry])
    mailbox = Mailbox.parse(f"{local}@catch.example")
    assert [reader.user for reader in readers_for(directory, mailbox)] == users.split()
    assert isinstance(route(directory, mailbox, STRANGER), Destination)


@pytest.mark.parametrize("local", ["u%t.example", "t.example!u", '"u@t.example"'])
def test_a_store_whose_users_nobody_lists_gets_no_such_forms_from_strangers(local: str) -> None:
    """It may be anything that speaks LMTP; a list of users is the proof that the name is one of them."""
    store = HostPort("192.0.2.24", 24)
    entries = [Delivered("any.example", None, lmtp=store), Delivered("some.example", frozenset({"anna"}), lmtp=store)]
    directory = Directory("office.example", entries, [ipaddress.ip_network("127.0.0.0/8")])
    assert became(directory, f"{local}@any.example", STRANGER) == "RelayDenied"
    assert became(directory, f"{local}@any.example", NEIGHBOUR) == "any.example"
    assert became(directory, f"{local}@some.example", STRANGER) == "UnknownUser"


def test_which_domains_with_mail_an_entry_decides_about() -> None:
    """Its own; and `*` about all that have none of their own."""
    with_mail = [DomainName(name) for name in ("held.example", "x.example", "local.example", "a.held.example")]
    assert domains_of_entry(RELAYING, "held.example", with_mail) == ["held.example"]
    assert domains_of_entry(RELAYING, "relayed.example", with_mail) == []
    assert domains_of_entry(RELAYING, "*", with_mail) == ["x.example", "a.held.example"]
    assert [entry_name(RELAYING, domain) for domain in with_mail] == ["held.example", "*", "local.example", "*"]
    assert entry_name(WITHOUT_OTHERS, DomainName("x.example")) is None


def test_refusals_are_values() -> None:
    """They compare, so that a session can match on them."""
    assert route(RELAYING, Mailbox.parse("x@local.example"), STRANGER) == UnknownUser()
    assert route(RELAYING, Mailbox.parse("x@rejected.example"), STRANGER) == DomainRejected("Gone away")
