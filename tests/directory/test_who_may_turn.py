"""Whose mail goes over a connection that ATRN turns: matrices of sites and domains, and strangers, by the thousand."""

from __future__ import annotations

import contextlib
import ipaddress
import random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.release.rights import Matrix, everything, forms, strangers

from restante.directory import rights as real
from restante.directory.entries import Directory, Grant, Held
from restante.directory.rights import match_node, may_turn
from restante.directory.users import User
from restante.model import DomainName, HostPort, Principal
from restante.smtp.address import AddressError, parse_domain
from restante.smtp.node import AddressNode, DomainNode, GroupNode, Node, NodeError, SubtreeNode, parse_node


def names(entries: tuple[Held, ...]) -> set[str]:
    """The entries' names, each of which comes once."""
    assert len({entry.name for entry in entries}) == len(entries)
    return {entry.name for entry in entries}


def is_meant(node: Node, entry: Held) -> bool:
    """What RFC 1985 §5.3 says of each form, once more and as plainly as it can be said."""
    match node:
        case DomainNode(domain=domain):
            return entry.name == domain
        case SubtreeNode(domain=domain):
            return f".{entry.name}".endswith(f".{domain}")
        case GroupNode(group=group):
            return entry.group == group
        case AddressNode(address=address):
            return str(entry.next_hop) == f"{address}:25"


@hypothesis_settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 32))
def test_what_a_site_gets_is_what_it_owns(seed: int) -> None:
    """50 sites, 200 domains: by ATRN without domains, with each, with all its own; by each form of an ETRN."""
    matrix = Matrix(seed)
    every = [DomainName(name) for name in matrix.held]
    nodes: list[Node] = [
        SubtreeNode(DomainName("far.example")),
        SubtreeNode(DomainName("example")),
        GroupNode("customers"),
    ]
    nodes += [AddressNode(ipaddress.ip_address(f"10.2.0.{number}")) for number in range(1, 41, 7)]
    for site, (_, principal) in enumerate(matrix.sites):
        owned = matrix.owned[site]
        turned = owned if matrix.proves(site) else set()
        assert names(may_turn(matrix.directory, principal)) == turned
        assert names(may_turn(matrix.directory, principal, [DomainName(name) for name in sorted(owned)])) == turned
        for domain in every:
            assert names(may_turn(matrix.directory, principal, [domain])) == turned & {domain}
            assert names(match_node(matrix.directory, DomainNode(domain), principal)) == owned & {domain}
        for node in nodes:
            expected = {name for name in owned if is_meant(node, matrix.held[name])}
            assert names(match_node(matrix.directory, node, principal)) == expected


@hypothesis_settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 32))
def test_one_domain_that_is_not_its_own_and_nothing_is_turned(seed: int) -> None:
    """RFC 2645 §5.2.1: the whole command is refused then, whether the domain is another's or nobody's."""
    matrix = Matrix(seed)
    for site, (_, principal) in enumerate(matrix.sites):
        own = [DomainName(name) for name in sorted(matrix.owned[site])]
        foreign = next(DomainName(name) for name in matrix.held if name not in matrix.owned[site])
        for other in (foreign, DomainName("unknown.example"), DomainName("office.example"), DomainName("*")):
            for place in {0, len(own) // 2, len(own)}:
                assert may_turn(matrix.directory, principal, [*own[:place], other, *own[place:]]) == ()


def parsed(form: str) -> tuple[Node | None, DomainName | None]:
    """What an ETRN and an ATRN make of an argument."""
    node, domain = None, None
    with contextlib.suppress(NodeError):
        node = parse_node(form)
    with contextlib.suppress(AddressError):
        domain = parse_domain(form)
    return node, domain


def check_strangers(tries: int, seed: int) -> int:
    """Strangers ask for what only one site owns, by ETRN and by ATRN: it is never among what they get."""
    done = 0
    while done < tries:
        matrix = Matrix(seed, sites=12, domains=40)
        for victim, owned in matrix.owned.items():
            only = [name for name in sorted(owned) if sum(name in others for others in matrix.owned.values()) == 1]
            for name in only[:2]:
                arguments = [parsed(form) for form in forms(name, matrix.chance)]
                for principal in strangers(matrix, victim):
                    got = names(may_turn(matrix.directory, principal))
                    for node, domain in arguments:
                        got |= set() if node is None else names(match_node(matrix.directory, node, principal))
                        got |= set() if domain is None else names(may_turn(matrix.directory, principal, [domain]))
                        done += 1
                    assert name not in got, f"seed {seed}: {principal} gets {name}"
        seed += 1
    return done


def test_strangers_get_nothing() -> None:
    """10,000 tries: no proof, a wrong one, another site's, a name that nobody vouches for; sixty forms."""
    assert check_strangers(10_000, seed=1) >= 10_000


def test_a_right_too_many_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """If every login were an owner, and the index by grants gave everybody everything: either would hold alone."""
    monkeypatch.setattr(real, "may_release_by_proof", lambda _, principal: principal.login is not None)
    monkeypatch.setattr(Directory, "holdings", everything)
    with pytest.raises(AssertionError, match="gets"):
        check_strangers(10_000, seed=1)


def test_an_address_turns_nothing() -> None:
    """Whoever has it next would get the mail on the connection that he has made."""
    matrix = Matrix(random.Random(3).randrange(1000))
    by_address = [site for site in matrix.owned if not matrix.proves(site) and matrix.owned[site]]
    assert by_address
    for site in by_address:
        principal: Principal = matrix.sites[site][1]
        assert may_turn(matrix.directory, principal) == ()
        for name in matrix.owned[site]:
            assert may_turn(matrix.directory, principal, [DomainName(name)]) == ()


PRINT = "ab" * 32


@pytest.mark.parametrize(
    ("certificate", "names", "grant", "is_certified"),
    [
        (None, (), "user:tim", False),
        ("cd" * 32, ("else.example",), "user:tim", False),
        (PRINT, (), "user:tim", True),
        (None, ("site.example",), "user:tim", True),
        ("cd" * 32, (), f"cert:{'cd' * 32}", True),
        ("cd" * 32, (), "192.0.2.0/24", False),
    ],
)
def test_a_certificate_shows_who_has_called_only_where_it_is_the_login_s_or_was_granted(
    certificate: str | None, names: tuple[str, ...], grant: str, is_certified: bool
) -> None:
    """RFC 8689 wants the server's certificate verified; of who turns the connection we know its client certificate."""
    tim = User("tim", certificates=frozenset({PRINT, "site.example"}), domains=frozenset({DomainName("one.example")}))
    entry = Held("one.example", HostPort("192.0.2.25"), (Grant.parse(grant),))
    directory = Directory("office.example", (entry,), (), (tim,))
    caller = Principal(ipaddress.ip_address("192.0.2.7"), "tim", certificate, names)
    assert real.is_certified(directory, caller, (entry,)) == is_certified
