"""Which destination a domain's mail has, and which entry speaks for a destination."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.release.host import HELD, host, local, relayed

from restante.directory.entries import EVERY_OTHER, Directory, Entry, Held, Rejected, Relayed
from restante.model import ByMx, DomainName, HostPort
from restante.release.destinations import Destinations, destination_of, domain_of, entry_of, is_by_mx

NAMES = ("a.example", "b.example", "c.example")
BY_MX = Relayed(EVERY_OTHER, ByMx())


def kinds(name: str) -> st.SearchStrategy[Entry]:
    """Any entry of that name."""
    hops = st.sampled_from([HostPort("192.0.2.25"), ByMx()])
    return st.one_of(
        st.builds(Held, st.just(name), hops),
        st.builds(Relayed, st.just(name), hops),
        st.just(local(name)),
        st.just(Rejected(name)),
    )


DIRECTORIES = st.tuples(*[st.none() | kinds(name) for name in (*NAMES[:2], EVERY_OTHER)]).map(
    lambda entries: Directory("office.example", [entry for entry in entries if entry is not None])
)


def test_by_mx_each_domain_is_a_destination() -> None:
    """With an entry of its own and without; by a host all of `*` is one."""
    own = Held("own.example", ByMx())
    directory = Directory("office.example", [BY_MX, own, HELD, local()])
    for domain in ("own.example", "x.example", "y.example", "test.example", "local.example"):
        assert destination_of(directory, DomainName(domain)) == domain
    assert entry_of(directory, "x.example") is BY_MX
    assert entry_of(directory, "own.example") is own
    assert entry_of(directory, EVERY_OTHER) is None
    directory = Directory("office.example", [relayed(EVERY_OTHER), own])
    assert destination_of(directory, DomainName("x.example")) == EVERY_OTHER
    assert entry_of(directory, "x.example") is None
    assert destination_of(directory, DomainName("own.example")) == "own.example"


@given(DIRECTORIES, st.sampled_from(NAMES).map(DomainName))
def test_there_and_back(directory: Directory, domain: DomainName) -> None:
    """A destination leads back to the entry that decides about the domain; what is refused has none."""
    destination, entry = destination_of(directory, domain), directory.entry_for(domain)
    assert (destination is None) == (entry is None or isinstance(entry, Rejected))
    if destination is not None:
        assert entry_of(directory, destination) is entry
        assert entry is not None
        assert domain_of(entry, destination) == (domain if is_by_mx(entry) else None)
        assert destination == (entry.name if domain_of(entry, destination) is None else domain)


async def test_what_waits_is_counted_by_destination_and_by_entry(tmp_path: Path) -> None:
    """`*` by MX is no destination, and yet an entry of which people ask."""
    async with host(tmp_path, BY_MX, HELD) as made:
        for address in ("ann@x.example", "bob@x.example", "cid@y.example", "dan@test.example"):
            await made.mail(address, arrives=False)
        destinations = Destinations(made.spool, lambda: made.directory)
        assert sorted(destinations.of_entry(EVERY_OTHER)) == ["x.example", "y.example"]
        assert list(destinations.of_entry("x.example")) == ["x.example"]
        waiting = [destinations.waiting(name) for name in (EVERY_OTHER, "x.example", "y.example", "z.example")]
        assert waiting == [3, 2, 1, 0]


async def test_domains_of_one_next_hop_are_remembered_while_they_have_mail(tmp_path: Path) -> None:
    """Those that arrived, until it is gone; none of them when their entry goes by MX, or they get their own."""
    async with host(tmp_path, relayed(EVERY_OTHER)) as made:
        destinations = Destinations(made.spool, lambda: made.directory)
        await made.mail("ann@x.example", "bob@y.example", arrives=False)
        for domain in ("x.example", "y.example", "empty.example"):
            assert destinations.arrived(DomainName(domain)) == EVERY_OTHER
        assert sorted(destinations.domains(EVERY_OTHER)) == ["x.example", "y.example"]
        assert len(destinations._others) == 2
        made.directory = Directory("office.example", [relayed(EVERY_OTHER), local("x.example")])
        destinations.renew()
        assert destinations.domains(EVERY_OTHER) == ["y.example"]
        made.directory = Directory("office.example", [BY_MX])
        destinations.renew()
        assert destinations._others == set()
        assert destinations.arrived(DomainName("x.example")) == "x.example"
