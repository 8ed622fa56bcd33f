"""Who may release what, by every form of an ETRN's argument; and who may relay. By default: nobody."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.work import Calls

from restante.directory.entries import Delivered, Directory, Entry, Grant, Held, Rejected, Relayed
from restante.directory.rights import match_node, may_relay, may_release, may_send_as, may_turn
from restante.directory.users import User
from restante.model import ByMx, Caller, DomainName, HostPort, Mailbox, Principal
from restante.smtp.node import AddressNode, DomainNode, GroupNode, Node, SubtreeNode, parse_node

DIGEST = "0123456789abcdef" * 4
OTHER_DIGEST = "f" * 64
SITE, SITE6 = "192.0.2.25", "2001:db8::25"


def held(name: str, next_hop: str, *grants: str, group: str | None = None) -> Held:
    hop = Caller() if next_hop == "caller" else HostPort.parse(next_hop)
    return Held(name, hop, tuple(map(Grant.parse, grants)), group)


OFFICE = Directory(
    "office.example",
    [
        held("test.example", SITE, SITE, group="customers"),
        held("a.test.example", SITE6, SITE, SITE6, group="customers"),
        held("b.test.example", SITE, "user:b"),
        held("nobodys.test.example", SITE),
        held("nottest.example", "relay.example", "192.0.2.0/24", group="customers"),
        held("caller.example", "caller", "192.0.2.0/24", "user:test", f"cert:{DIGEST}", group="callers"),
        held("named.example", "192.0.2.77", "cert:Site.named.example", "user:Upper"),
        held("owned.example", "caller"),
        held("all.owned.example", "192.0.2.77", "192.0.2.0/24"),
        held("*", "192.0.2.99", SITE, "user:everything", group="all"),
        Relayed("relayed.test.example", HostPort(SITE)),
        Delivered("local.test.example", None),
        Rejected("rejected.test.example"),
    ],
    [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("2001:db8:1::/48")],
    [
        User("owner", domains=frozenset(map(DomainName, ("owned.example", "all.owned.example", "local.test.example")))),
        User("test"),
        User("upper"),
        User("everything"),
    ],
)


def who(text: str) -> Principal:
    """`address`, and behind it `user:NAME`, `cert:DIGEST`, `name:DNS-NAME` (of a certificate); or `operator`."""
    if text == "operator":
        return Principal(ipaddress.ip_address("127.0.0.1"), operator=True)
    address, *proofs = text.split()
    proven = {kind: value for kind, _, value in (proof.partition(":") for proof in proofs)}
    names = (proven["name"],) if "name" in proven else ()
    return Principal(ipaddress.ip_address(address), proven.get("user"), proven.get("cert"), names)


@pytest.mark.parametrize(
    ("principal", "node", "released"),
    [
        # the site, by its address
        (SITE, "test.example", "test.example"),
        (SITE, "TEST.Example", "test.example"),
        (SITE, "a.test.example", "a.test.example"),
        (SITE, "@test.example", "test.example a.test.example"),
        (SITE, "@example", "test.example a.test.example nottest.example all.owned.example"),
        (SITE, "#customers", "test.example a.test.example nottest.example"),
        (SITE, "#CUSTOMERS", "test.example a.test.example nottest.example"),
        (SITE, SITE, "test.example"),
        (SITE, f"[{SITE}]", "test.example"),
        (SITE, SITE6, "a.test.example"),
        (SITE, "[IPv6:2001:DB8:0::25]", "a.test.example"),
        (SITE, "192.0.2.99", "*"),
        (SITE, "#all", "*"),
        # what is not there, or not its
        (SITE, "b.test.example", ""),
        (SITE, "nobodys.test.example", ""),
        (SITE, "relayed.test.example", ""),
        (SITE, "local.test.example", ""),
        (SITE, "rejected.test.example", ""),
        (SITE, "unknown.example", ""),
        (SITE, "@unknown.example", ""),
        (SITE, "@est.example", ""),
        (SITE, "#unknown", ""),
        (SITE, "192.0.2.1", ""),
        # the other network of the site
        (SITE6, "test.example", ""),
        (SITE6, "a.test.example", "a.test.example"),
        (SITE6, "@test.example", "a.test.example"),
        (SITE6, SITE, ""),
        (SITE6, SITE6, "a.test.example"),
        # somebody near, somebody far
        ("192.0.2.26", "test.example", ""),
        ("192.0.2.26", "#customers", "nottest.example"),
        ("203.0.113.1", "#customers", ""),
        ("203.0.113.1", SITE, ""),
        ("203.0.113.1", "@example", ""),
        # a login
        ("203.0.113.1 user:b", "b.test.example", "b.test.example"),
        ("203.0.113.1 user:b", "@test.example", "b.test.example"),
        ("203.0.113.1 user:b", SITE, "b.test.example"),
        ("203.0.113.1 user:B", "b.test.example", ""),
        ("203.0.113.1 cert:b", "b.test.example", ""),
        (f"{SITE} user:b", SITE, "test.example b.test.example"),
        # mail that goes to whoever calls: by a proof that was granted, never by an address
        ("192.0.2.25", "caller.example", ""),
        ("192.0.2.25 user:other", "caller.example", ""),
        (f"192.0.2.25 cert:{OTHER_DIGEST}", "caller.example", ""),
        ("192.0.2.25 user:test", "caller.example", "caller.example"),
        ("203.0.113.1 user:test", "caller.example", "caller.example"),
        (f"203.0.113.1 cert:{DIGEST}", "#callers", "caller.example"),
        ("203.0.113.1 user:test", "192.0.2.25", ""),
        # the name in a certificate that a trusted authority has issued; logins in any case of the configuration
        (f"203.0.113.1 cert:{DIGEST} name:site.named.example", "named.example", "named.example"),
        (f"203.0.113.1 cert:{DIGEST} name:other.named.example", "named.example", ""),
        (f"203.0.113.1 cert:{DIGEST} name:named.example", "named.example", ""),
        (f"203.0.113.1 cert:{DIGEST} name:*.named.example", "named.example", ""),
        (f"203.0.113.1 cert:{DIGEST}", "named.example", ""),
        ("203.0.113.1 user:site.named.example", "named.example", ""),
        ("203.0.113.1 user:upper", "named.example", "named.example"),
        # a user's own domains
        ("203.0.113.1 user:owner", "owned.example", "owned.example"),
        ("203.0.113.1 user:owner", "@owned.example", "owned.example all.owned.example"),
        ("203.0.113.1 user:owner", "local.test.example", ""),
        ("203.0.113.1 user:test", "owned.example", ""),
        ("203.0.113.1 user:everything", "192.0.2.99", "*"),
        # the operator
        ("operator", "test.example", "test.example"),
        ("operator", "nobodys.test.example", "nobodys.test.example"),
        ("operator", "caller.example", "caller.example"),
        ("operator", "192.0.2.99", "*"),
        ("operator", SITE, "test.example b.test.example nobodys.test.example"),
        ("operator", "@test.example", "test.example a.test.example b.test.example nobodys.test.example"),
        ("operator", "relayed.test.example", ""),
        ("operator", "unknown.example", ""),
    ],
)
def test_what_an_etrn_releases(principal: str, node: str, released: str) -> None:
    """The held entries that it means and that were granted, each once; the rest is left out in silence."""
    found = [entry.name for entry in match_node(OFFICE, parse_node(node), who(principal))]
    assert sorted(found) == sorted(released.split())


def calls_of(directory: Directory, node: Node, principal: Principal) -> int:
    """How many functions are called to find what an ETRN means."""
    with Calls() as calls:
        match_node(directory, node, principal)
    return calls.number


@pytest.mark.parametrize("principal", ["203.0.113.1", "203.0.113.1 user:b", "192.0.2.26 user:nobody"])
@pytest.mark.parametrize("form", ["{}", "@{}", "#{}"])
def test_what_others_hold_is_no_work_to_refuse(principal: str, form: str) -> None:
    """As many calls for one foreign domain as for thousands, and as for none: time tells nothing, and costs nothing."""
    entries = [held(f"{n}.foreign.example", SITE, SITE, "user:other", group="foreign") for n in range(3000)]
    entries += [held("foreign", SITE, SITE, group="foreign"), held("own.example", SITE, "user:b", "192.0.2.26")]
    directory = Directory("office.example", entries)
    names = ("foreign", "foreigm") if form == "#{}" else ("1.foreign.example", "1.foreigm.example", "foreign.example")
    calls = {name: calls_of(directory, parse_node(form.format(name)), who(principal)) for name in names}
    assert len(set(calls.values())) == 1, calls
    assert calls[names[0]] < 100


@pytest.mark.parametrize("principal", [SITE, "operator"])
@pytest.mark.parametrize(
    "node", [DomainNode(DomainName("*")), SubtreeNode(DomainName("*")), SubtreeNode(DomainName(""))]
)
def test_every_other_domain_s_entry_is_no_domain(principal: str, node: Node) -> None:
    """`*` is released by its next hop's address, its group, the operator's command and our own calls only."""
    assert match_node(OFFICE, node, who(principal)) == ()


@pytest.mark.parametrize(
    "look_alike",
    ["t\u0435st.example", "test.\u0435xample", "tést.example", "xn--tst-qdd.example", "te\u0301st.example",
     "test.example.example", "test-a.example", "te_st.example", "tesst.example", "te\u00dft.example"],
)  # fmt: skip
def test_a_look_alike_is_never_the_domain(look_alike: str) -> None:
    """Cyrillic letters, accents, a word more: it is another domain, to the operator too."""
    assert match_node(OFFICE, parse_node(look_alike), who("operator")) == ()


@pytest.mark.parametrize("spelling", ["TEST.example", "\uff54est.example", "test\u3002example"])
def test_another_spelling_of_a_domain_is_the_domain(spelling: str) -> None:
    """What IDNA maps to the same name (UTS 46): case, full width, the ideographic full stop."""
    assert [entry.name for entry in match_node(OFFICE, parse_node(spelling), who(SITE))] == ["test.example"]


def test_nobody_may_release_until_somebody_is_named() -> None:
    """Not the next hop itself, not who may relay, not who has a login."""
    entry = held("nobodys.example", "127.0.0.1")
    for principal in ("127.0.0.1", SITE, f"{SITE} user:test", f"{SITE} cert:{DIGEST}"):
        assert not may_release(entry, who(principal))
    assert may_release(entry, who("operator"))


@pytest.mark.parametrize(
    ("principal", "may"),
    [("127.0.0.1", True), ("127.255.255.254", True), ("128.0.0.1", False), (SITE, False), ("2001:db8:1::9", True),
     ("2001:db8:2::9", False), ("::1", False), (f"{SITE} user:test", False), ("operator", True)],
)  # fmt: skip
def test_who_may_relay(principal: str, *, may: bool) -> None:
    """Those in the networks that are named, and the operator."""
    assert may_relay(OFFICE, who(principal)) is may
    assert not may_relay(Directory("office.example", []), who(principal)) or principal == "operator"


ANN, BERT = Mailbox("ann", DomainName("owned.example")), Mailbox("bert", DomainName("far.example"))


@pytest.mark.parametrize(
    ("principal", "reverse_path", "may"),
    [
        ("203.0.113.1 user:owner", ANN, True),
        ("203.0.113.1 user:owner", Mailbox("Anybody", DomainName("local.test.example")), True),
        ("203.0.113.1 user:owner", None, True),
        ("203.0.113.1 user:owner", BERT, False),
        ("203.0.113.1 user:owner", Mailbox("ann", DomainName("a.owned.example")), False),
        ("203.0.113.1 user:owner", Mailbox("ann", DomainName("")), False),
        ("203.0.113.1 user:OWNER", ANN, False),
        ("203.0.113.1 user:unknown", ANN, False),
        ("203.0.113.1 user:unknown", None, False),
        ("203.0.113.1 user:test", ANN, False),
        ("203.0.113.1 user:everything", ANN, False),
        (f"203.0.113.1 cert:{DIGEST} name:owner", ANN, False),
        ("127.0.0.1", ANN, False),
        ("127.0.0.1", None, False),
        ("operator", BERT, True),
    ],
)
def test_who_may_send_as_whom(principal: str, reverse_path: Mailbox | None, *, may: bool) -> None:
    """A login, from its own domains or with the null reverse-path (RFC 6409 §3.2); no address, and no certificate."""
    assert may_send_as(OFFICE, who(principal), reverse_path) is may


def test_a_login_may_relay_what_it_may_send() -> None:
    """Not under another's name, nor without one having been asked for; where an address may, all may."""
    owner = who("203.0.113.1 user:owner")
    assert may_relay(OFFICE, owner, ANN)
    assert may_relay(OFFICE, owner, None)
    assert not may_relay(OFFICE, owner, BERT)
    assert not may_relay(OFFICE, owner)
    assert may_relay(OFFICE, who("127.0.0.1 user:owner"), BERT)


@pytest.mark.parametrize(
    ("principal", "domains", "turned"),
    [
        ("203.0.113.1 user:owner", "", "owned.example all.owned.example"),
        ("203.0.113.1 user:owner", "all.owned.example owned.example", "all.owned.example owned.example"),
        ("203.0.113.1 user:owner", "owned.example owned.example", "owned.example"),
        ("203.0.113.1 user:owner", "owned.example test.example", ""),
        ("203.0.113.1 user:owner", "owned.example unknown.example", ""),
        ("203.0.113.1 user:owner", "local.test.example", ""),
        ("203.0.113.1 user:everything", "", "*"),
        ("203.0.113.1 user:everything", "*", ""),
        ("203.0.113.1 user:test", "", "caller.example"),
        (f"203.0.113.1 cert:{DIGEST} name:site.named.example", "", "caller.example named.example"),
        (f"203.0.113.1 cert:{DIGEST}", "named.example", ""),
        ("203.0.113.1 user:nobody", "", ""),
        (SITE, "", ""),
        (SITE, "test.example", ""),
        (f"{SITE} user:owner", "test.example", ""),
        (f"{SITE} user:owner", "", "owned.example all.owned.example"),
    ],
)
def test_whose_mail_an_atrn_turns(principal: str, domains: str, turned: str) -> None:
    """All that was proved to be granted, or all that was named; never by an address, and never a part."""
    named = list(map(DomainName, domains.split()))
    assert [entry.name for entry in may_turn(OFFICE, who(principal), named)] == turned.split()


ADDRESSES = st.sampled_from([SITE, "192.0.2.26", SITE6, "203.0.113.1"])
NAMES = st.sampled_from(["example", "a.example", "b.example", "a.b.example", "*"])
GRANTS = st.sampled_from([SITE, "192.0.2.0/24", SITE6, "user:a", "user:b", f"cert:{DIGEST}"]).map(Grant.parse)
HOPS = st.sampled_from([HostPort(SITE), HostPort(SITE6), HostPort("relay.example"), Caller(), ByMx()])
GROUPS = st.sampled_from(["customers", "others"])
HELD = st.builds(Held, NAMES, HOPS, st.lists(GRANTS, max_size=3).map(tuple), st.none() | GROUPS)
ENTRIES = st.lists(st.one_of(HELD, HELD, st.builds(Relayed, NAMES, HOPS), st.builds(Rejected, NAMES)), max_size=6)
NODES = st.one_of(
    st.builds(DomainNode, NAMES.map(DomainName)),
    st.builds(SubtreeNode, NAMES.map(DomainName)),
    st.builds(GroupNode, GROUPS),
    st.builds(AddressNode, ADDRESSES.map(ipaddress.ip_address)),
)
USERS = st.lists(st.builds(User, st.sampled_from(["a", "b"]), domains=st.frozensets(NAMES.map(DomainName))), max_size=2)
PRINCIPALS = st.builds(
    Principal,
    ADDRESSES.map(ipaddress.ip_address),
    st.sampled_from([None, "a", "b"]),
    st.sampled_from([None, DIGEST, OTHER_DIGEST]),
    operator=st.booleans(),
)


@given(ENTRIES, USERS, NODES, PRINCIPALS)
def test_nothing_is_released_that_was_not_granted(
    entries: list[Entry], users: list[User], node: Node, principal: Principal
) -> None:
    """Whatever the directory, the node and the principal: each entry is one that it may release, and is there."""
    directory = Directory("office.example", entries, users=users)
    for entry in match_node(directory, node, principal):
        assert directory.entry(entry.name) is entry
        assert may_release(entry, principal)
        is_owner = principal.login in entry.owners
        assert principal.operator or is_owner or any(grant.covers(principal) for grant in entry.grants)
        if isinstance(entry.next_hop, Caller) and not principal.operator:
            assert is_owner or any(grant.covers(principal) for grant in entry.grants if grant.network is None)


@given(ENTRIES, USERS, NODES, PRINCIPALS)
def test_what_was_granted_and_is_meant_is_released(
    entries: list[Entry], users: list[User], node: Node, principal: Principal
) -> None:
    """The operator's match is what the node means; anybody else's is that, less what is not granted; each once."""
    directory = Directory("office.example", entries, users=users)
    meant = match_node(directory, node, Principal(principal.address, operator=True))
    found = match_node(directory, node, principal)
    assert sorted(e.name for e in found) == sorted(e.name for e in meant if may_release(e, principal))
