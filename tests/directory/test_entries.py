"""Grants as they are written, recipients that are known, and entries found by name, group, next hop and subtree."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.directory.entries import (
    Delivered,
    Directory,
    Entry,
    Grant,
    GrantError,
    Held,
    Recipients,
    Rejected,
    Relayed,
)
from restante.directory.users import User
from restante.model import ByMx, Caller, DomainName, HostPort, Mailbox, Principal
from restante.smtp.address import is_below

DIGEST = "0123456789abcdef" * 4
SITE = HostPort("192.0.2.25")


def principal(
    address: str = "192.0.2.25", login: str | None = None, certificate: str | None = None, *names: str
) -> Principal:
    return Principal(ipaddress.ip_address(address), login, certificate, names)


@pytest.mark.parametrize(
    ("text", "covered", "not_covered"),
    [("192.0.2.25", principal("192.0.2.25"), principal("192.0.2.26")),
     ("192.0.2.0/28", principal("192.0.2.15"), principal("192.0.2.16")),
     ("2001:db8::25", principal("2001:db8::25"), principal("2001:db8::26")),
     ("2001:db8::/64", principal("2001:db8::ffff"), principal("2001:db8:0:1::1")),
     ("0.0.0.0/0", principal("203.0.113.1"), principal("2001:db8::1")),
     ("user:test", principal("203.0.113.1", "test"), principal("203.0.113.1", "Test")),
     ("user:a:b", principal(login="a:b"), principal(login="a")),
     ("user:Test", principal("203.0.113.1", "test"), principal("203.0.113.1", "Test")),
     ("cert:site.example", principal("203.0.113.1", None, DIGEST, "a.example", "site.example"),
      principal("203.0.113.1", None, DIGEST, "a.site.example")),
     ("cert:Bücher.example", principal("203.0.113.1", None, DIGEST, "xn--bcher-kva.example"),
      principal("203.0.113.1", "bücher.example", "xn--bcher-kva.example.", "*.example")),
     (f"cert:{DIGEST}", principal(certificate=DIGEST), principal(certificate="f" * 64)),
     (f"cert:{DIGEST.upper()}", principal(certificate=DIGEST), principal(login=DIGEST)),
     ("cert:" + ":".join(["ab"] * 32), principal(certificate="ab" * 32), principal())],
)  # fmt: skip
def test_a_grant_covers_whom_it_names(text: str, covered: Principal, not_covered: Principal) -> None:
    """A network whoever asks from there, a login and a certificate wherever they ask from."""
    assert Grant.parse(text).covers(covered)
    assert not Grant.parse(text).covers(not_covered)
    assert not Grant.parse(text).covers(principal("198.51.100.1")) or text == "0.0.0.0/0"


@pytest.mark.parametrize(
    "text", ["", "*", "all", "user:", "cert:", "cert:abcd", "cert:" + "g" * 64, "192.0.2.1/24", "192.0.2.256",
             "cert:localhost", "cert:[192.0.2.1]", "cert:a..example", "cert:*.example", "cert:" + "a" * 63,
             "test.example", "USER:test", "192.0.2.0/33", "user"],
)  # fmt: skip
def test_what_is_no_grant_is_refused(text: str) -> None:
    """A network with host bits set is more likely an error than a wish."""
    with pytest.raises(GrantError):
        Grant.parse(text)


@given(st.sampled_from(["192.0.2.0/24", "2001:db8::1", "user:test", f"cert:{DIGEST}", "cert:site.example"]))
def test_a_grant_is_written_as_it_is_read(text: str) -> None:
    """What the log shows can be put into a configuration."""
    assert Grant.parse(str(Grant.parse(text))) == Grant.parse(text)
    assert str(Grant.parse(text)).startswith(text)


def test_users_are_found_by_name_without_case_and_by_certificate() -> None:
    """A fingerprint or a name; of nobody where nobody has it."""
    users = [User("test", certificates=frozenset({DIGEST, "site.example"})), User("other")]
    directory = Directory("office.example", [], users=users)
    assert directory.user("Test") is directory.user("test") is users[0]
    assert directory.user("test ") is directory.user("") is None
    assert set(directory.users) == {"test", "other"}
    assert directory.users_of_certificate(DIGEST) == directory.users_of_certificate("site.example") == {"test"}
    assert directory.users_of_certificate("a.site.example") == directory.users_of_certificate("") == frozenset()


def test_a_held_domain_has_the_users_whose_own_it_is() -> None:
    """In every index; domains that are not held here have none."""
    users = [User("test", domains=frozenset(map(DomainName, ("test.example", "local.test.example", "far.test"))))]
    users += [User("other", domains=frozenset({DomainName("test.example")}))]
    directory = Directory("office.example", ENTRIES, users=users)
    (owned,) = (entry for entry in directory.in_group("customers") if entry.owners)
    assert owned.owners == {"test", "other"}
    assert directory.entry("test.example") is owned is directory.below(DomainName("test.example"))[0]
    assert names(directory.granted_to(principal(login="other"))) == ["test.example"]
    assert len(directory) == len(ENTRIES)


def test_what_was_granted_to_somebody_is_found_by_what_he_has_proved() -> None:
    """Each once, however many proofs there are; a network proves nothing."""
    grants = tuple(map(Grant.parse, ("192.0.2.25", "user:test", f"cert:{DIGEST}", "cert:site.example")))
    directory = Directory("office.example", [Held("a.example", SITE, grants), Held("b.example", SITE, grants[2:])])
    assert names(directory.granted_to(principal(SITE.host))) == []
    assert names(directory.granted_to(principal(login="test"))) == ["a.example"]
    every = principal(SITE.host, "test", DIGEST, "site.example", "x.example")
    assert names(directory.granted_to(every)) == ["a.example", "b.example"]


@pytest.mark.parametrize(
    ("who", "holds"),
    [
        (principal("192.0.2.25"), "a.example b.example c.example"),
        (principal("192.0.2.26"), "b.example c.example"),
        (principal("198.51.100.1"), "c.example"),
        (principal("198.51.100.1", "test"), "a.example c.example"),
        (principal("198.51.100.1", "owner"), "c.example d.example"),
        (principal("2001:db8::25", None, DIGEST), "b.example e.example"),
        (principal("2001:db8:0:1::25"), ""),
        (principal("::c000:219"), ""),
    ],
)
def test_what_somebody_holds_is_found_by_his_proofs_and_his_address(who: Principal, holds: str) -> None:
    """In the networks of either version that cover it, and no others."""
    granted = {
        "a.example": ("192.0.2.25", "user:test"),
        "b.example": ("192.0.2.0/24", f"cert:{DIGEST}"),
        "c.example": ("0.0.0.0/0", "192.0.2.0/24"),
        "d.example": (),
        "e.example": ("2001:db8::/64",),
    }
    entries = [Held(name, SITE, tuple(map(Grant.parse, grants))) for name, grants in granted.items()]
    owner = User("owner", domains=frozenset({DomainName("d.example")}))
    holdings = Directory("office.example", entries, users=[owner]).holdings(who)
    assert sorted({name for given in holdings for name in given}) == holds.split()
    assert all(given[name] in entries or given[name].owners for given in holdings for name in given)


@pytest.mark.parametrize(
    ("mailbox", "known"),
    [("ann@test.example", True), ("ANN@Test.Example", True), ("ann+lists@test.example", True),
     ("bob+x@test.example", True), ("bob@test.example", False), ("ann@sub.test.example", False),
     ("ann@other.example", False), ("anyone@whole.example", True), ("anyone@below.whole.example", False),
     ("änn@test.example", False)],
)  # fmt: skip
def test_recipients_that_are_known(mailbox: str, *, known: bool) -> None:
    """Whole addresses, compared without case, with or without a tag; and whole domains, but nothing below them."""
    recipients = Recipients(
        frozenset({"ann@test.example", "bob+x@test.example"}), frozenset({DomainName("whole.example")})
    )
    assert recipients.has(Mailbox.parse(mailbox)) is known


ENTRIES: list[Entry] = [
    Held("example", SITE),
    Held("test.example", SITE, group="customers"),
    Held("a.test.example", HostPort("2001:db8::25"), group="customers"),
    Held("nottest.example", HostPort("relay.example")),
    Held("far.example", Caller(), group="others"),
    Held("*", HostPort("192.0.2.99"), group="others"),
    Relayed("relayed.test.example", SITE),
    Delivered("local.test.example", None),
    Rejected("rejected.test.example"),
]


def names(entries: tuple[Held, ...]) -> list[str]:
    return [entry.name for entry in entries]


def test_a_domain_s_own_entry_decides_else_that_for_every_other() -> None:
    """A subdomain is another domain; without `*` nothing decides about what is not listed."""
    directory = Directory("office.example", ENTRIES)
    assert len(directory) == len(list(directory.entries())) == 9
    for name, decides in (("test.example", "test.example"), ("b.test.example", "*"), ("example.", "*"), ("x.y", "*")):
        entry = directory.entry_for(DomainName(name))
        assert entry is not None
        assert entry.name == decides
    assert directory.entry("b.test.example") is None
    assert Directory("office.example", ENTRIES[:1]).entry_for(DomainName("other.example")) is None


def test_held_entries_are_found_below_a_domain_on_label_boundaries() -> None:
    """The domain itself and what is below; held ones only; `*` is below nothing."""
    directory = Directory("office.example", ENTRIES)
    assert names(directory.below(DomainName("test.example"))) == ["test.example", "a.test.example"]
    assert names(directory.below(DomainName("example"))) == [
        "example", "test.example", "a.test.example", "nottest.example", "far.example"
    ]  # fmt: skip
    for nothing in ("est.example", "b.test.example", "", "*", "relayed.test.example"):
        assert directory.below(DomainName(nothing)) == ()


def test_held_entries_are_found_by_group_and_by_the_address_of_their_next_hop() -> None:
    """A next hop that is a name, or whoever calls, has no address; `*` has one like any other."""
    directory = Directory("office.example", ENTRIES)
    assert names(directory.in_group("customers")) == ["test.example", "a.test.example"]
    assert names(directory.in_group("others")) == ["far.example", "*"]
    assert directory.in_group("Customers") == directory.in_group("") == ()
    at = {text: names(directory.at_next_hop(ipaddress.ip_address(text))) for text in
          ("192.0.2.25", "2001:db8:0::25", "192.0.2.99", "192.0.2.1")}  # fmt: skip
    assert at == {
        "192.0.2.25": ["example", "test.example"],
        "2001:db8:0::25": ["a.test.example"],
        "192.0.2.99": ["*"],
        "192.0.2.1": [],
    }


def test_the_last_of_two_entries_of_one_name_is_the_one() -> None:
    """Nothing of the first is left in any index."""
    directory = Directory("office.example", [Held("test.example", SITE, group="a"), Relayed("test.example", ByMx())])
    assert directory.in_group("a") == directory.at_next_hop(ipaddress.ip_address("192.0.2.25")) == ()
    assert directory.below(DomainName("example")) == ()


LABELS = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4).map(".".join)


@given(st.sets(LABELS), LABELS)
def test_below_means_what_is_below_says(held: set[str], domain: str) -> None:
    """The index agrees with the definition, label by label."""
    directory = Directory("office.example", [Held(name, SITE) for name in held])
    expected = {name for name in held if is_below(DomainName(name), DomainName(domain))}
    assert set(names(directory.below(DomainName(domain)))) == expected
