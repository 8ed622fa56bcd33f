"""restante.mx.exchanges: which hosts take a domain's mail, in which order, and when none ever will."""

from __future__ import annotations

import ipaddress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.model import DomainName, IPAddress
from restante.mx.exchanges import (
    MOST_ADDRESSES,
    MOST_HOSTS,
    Exchange,
    NoWay,
    Oneself,
    choose,
    exchanges,
    is_nobodys,
    literal,
)
from restante.mx.lookup import NO_HOST, Answer, LookupFailed, MxRecord
from restante.smtp.address import parse_domain

DOMAIN = DomainName("test.example")
US = ipaddress.ip_address("192.0.2.1")
ONESELF = Oneself(("office.example",), lambda address: address == US)


def ip(*texts: str) -> Answer[IPAddress]:
    """An answer with these addresses."""
    return Answer(tuple(map(ipaddress.ip_address, texts)))


def mx(**hosts: int) -> Answer[MxRecord]:
    """An answer with hosts of `.example` and their preferences."""
    return Answer(tuple(MxRecord(preference, f"{host}.example") for host, preference in hosts.items()))


def chosen(found: Answer[MxRecord], seed: int = 0) -> list[str] | str:
    """The hosts in order, or the enhanced code of why there is none."""
    ways = choose(DOMAIN, found, ONESELF, Random(seed))
    return ways.reply.enhanced if isinstance(ways, NoWay) else [record.host for record in ways]


Host = tuple[str, int, Answer[IPAddress] | LookupFailed]


def found_in(*hosts: Host, is_secure: bool = False) -> tuple[Exchange, ...] | NoWay:
    """The exchanges of hosts with preferences and addresses."""
    answered = [(MxRecord(preference, host), answer) for host, preference, answer in hosts]
    return exchanges(DOMAIN, answered, ONESELF, is_secure=is_secure)


def ways(*hosts: Host, is_secure: bool = False) -> tuple[Exchange, ...]:
    """The same, where there are some."""
    found = found_in(*hosts, is_secure=is_secure)
    assert not isinstance(found, NoWay), found
    return found


def no_way(*hosts: Host) -> str:
    """The enhanced code of why there are none."""
    found = found_in(*hosts)
    assert isinstance(found, NoWay), found
    return found.reply.enhanced


def test_the_better_preference_comes_first() -> None:
    """The lower number is the better one (RFC 5321 §5.1)."""
    assert chosen(mx(c=30, a=10, b=20)) == ["a.example", "b.example", "c.example"]


def test_equal_preferences_are_spread_by_chance() -> None:
    """Each comes first at times, and never before a better one."""
    orders = [chosen(mx(first=5, a=10, b=10, c=10), seed) for seed in range(100)]
    assert {order[0] for order in orders} == {"first.example"}
    for host in ("a.example", "b.example", "c.example"):
        assert 10 < sum(order[1] == host for order in orders) < 60


def test_a_domain_without_mx_is_its_own_host() -> None:
    """The implicit MX."""
    assert chosen(Answer(())) == [DOMAIN]


def test_a_null_mx() -> None:
    """Alone it says that there is no mail (RFC 7505); beside others it is none of them."""
    null = MxRecord(0, NO_HOST)
    assert str(choose(DOMAIN, Answer((null,)), ONESELF, Random())).startswith("556 5.1.10 test.example takes no mail")
    assert chosen(Answer((null, MxRecord(10, "a.example")))) == ["a.example"]


def test_a_domain_that_does_not_exist() -> None:
    """NXDOMAIN is final."""
    assert chosen(Answer((), exists=False)) == "5.1.2"


def test_mail_never_goes_from_us_to_a_host_that_is_not_better() -> None:
    """By name: all that have our preference or a worse one would hand it back (RFC 5321 §5.1)."""
    assert chosen(mx(office=20, other=20, worse=30, better=10)) == ["better.example"]
    assert chosen(mx(office=20, worse=30)) == "5.4.6"
    found = choose(DomainName("office.example"), Answer(()), ONESELF, Random())
    assert isinstance(found, NoWay)
    assert str(found) == "550 5.4.6 mail for office.example loops back to this host"


@pytest.mark.parametrize(
    "host", ["192.0.2.7", "2001:db8::7", r"mx\032a.example", "mx..example", "a" * 64, "[192.0.2.7]"]
)
def test_a_host_that_is_no_name_is_passed_over(host: str) -> None:
    """An address where a name should be is none; with nothing else there is no way."""
    odd = MxRecord(10, host)
    assert chosen(Answer((odd, MxRecord(20, "a.example")))) == ["a.example"]
    assert chosen(Answer((odd,))) == "5.4.4"


def test_of_a_thousand_hosts_some_are_tried() -> None:
    """The best."""
    many = Answer(tuple(MxRecord(number, f"mx{number}.example") for number in range(1000)))
    assert chosen(many) == [f"mx{number}.example" for number in range(MOST_HOSTS)]


def test_exchanges_keep_the_order_and_leave_out_who_has_no_address() -> None:
    """A host without an address is passed over."""
    found = ways(
        ("a.example", 10, ip("192.0.2.7", "2001:db8::7")), ("b.example", 20, ip()), ("c.example", 20, ip("192.0.2.9"))
    )
    assert [(way.host, way.preference) for way in found] == [("a.example", 10), ("c.example", 20)]


def test_our_own_address_ends_the_list() -> None:
    """Whatever name it has; those that are not better go with it."""
    assert [
        way.host
        for way in ways(
            ("a.example", 10, ip("192.0.2.7")), ("b.example", 20, ip("192.0.2.8")), ("us.example", 20, ip("192.0.2.1"))
        )
    ] == ["a.example"]
    assert no_way(("b.example", 20, ip("192.0.2.8")), ("us.example", 20, ip("192.0.2.7", "192.0.2.1"))) == "5.4.6"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.0.9", "0.0.0.0", "0.1.2.3", "169.254.1.1", "224.0.0.1", "239.1.1.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "febf::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:169.254.1.1"),
    ],
)
def test_addresses_that_can_be_nobody_elses(address: str) -> None:
    """They are skipped, wherever they stand."""
    assert is_nobodys(ipaddress.ip_address(address))
    assert no_way(("a.example", 10, ip(address))) == "5.4.4"
    assert ways(("a.example", 10, ip(address, "192.0.2.7")))[0].addresses == ip("192.0.2.7").records


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "192.168.1.1", "100.64.0.1", "2001:db8::1", "fd00::1", "::ffff:192.0.2.7"]
)
def test_addresses_that_can_be_somebodys(address: str) -> None:
    """Private ones are: there are MX records for them inside many a site."""
    assert not is_nobodys(ipaddress.ip_address(address))


def test_a_failing_look_up_is_never_final() -> None:
    """With another host left it does not matter; without one the mail waits, whatever else was found."""
    failed = LookupFailed("mx2.test.example: SERVFAIL")
    assert len(ways(("a.example", 10, ip("192.0.2.7")), ("b.example", 20, failed))) == 1
    for other in (ip(), ip("127.0.0.1"), ip("192.0.2.1")):
        with pytest.raises(LookupFailed):
            ways(("a.example", 10, other), ("b.example", 5, failed))


def test_neither_mx_nor_address() -> None:
    """The domain exists, and takes no mail."""
    assert no_way((DOMAIN, 0, ip())) == "5.1.2"
    assert no_way((DOMAIN, 0, ip("127.0.0.1"))) == "5.4.4"
    assert no_way(("a.example", 0, ip())) == "5.4.4"


def test_security_takes_both_answers() -> None:
    """MX and addresses: one that is not proven is enough to make the host unproven."""
    proven = Answer(ip("192.0.2.7").records, is_secure=True, canonical="mx.example")
    [way] = ways(("a.example", 10, proven), is_secure=True)
    assert (way.is_secure, way.canonical) == (True, "mx.example")
    assert not ways(("a.example", 10, ip("192.0.2.7")), is_secure=True)[0].is_secure
    assert not ways(("a.example", 10, proven))[0].is_secure


def test_a_hosts_addresses_are_bounded() -> None:
    """A host may have thousands."""
    many = ip(*(f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1000)))
    assert len(ways(("a.example", 10, many))[0].addresses) == MOST_ADDRESSES


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("[192.0.2.7]", "192.0.2.7"),
        ("[IPv6:2001:db8::7]", "2001:db8::7"),
        ("[127.0.0.1]", "5.4.4"),
        ("[192.0.2.1]", "5.4.6"),
        ("[IPv6:::1]", "5.4.4"),
        ("test.example", None),
    ],
)
def test_address_literals(domain: str, expected: str | None) -> None:
    """Straight there; and never to ourselves."""
    found = literal(parse_domain(domain), ONESELF)
    if isinstance(found, tuple):
        assert [(way.host, *map(str, way.addresses)) for way in found] == [(domain, expected)]
    else:
        assert (None if found is None else found.reply.enhanced) == expected


HOSTS = st.lists(
    st.builds(
        MxRecord, st.integers(0, 65535), st.sampled_from(["a.example", "b.example", "office.example", ".", "1.2.3.4"])
    ),
    max_size=30,
)


@given(HOSTS, st.integers())
def test_whatever_the_records(records: list[MxRecord], seed: int) -> None:
    """In order, without us and what is not better, bounded; or a permanent code."""
    found = choose(DOMAIN, Answer(tuple(records)), ONESELF, Random(seed))
    if isinstance(found, NoWay):
        assert found.reply.code in (550, 556)
        assert found.reply.enhanced.startswith("5.")
        return
    ours = [record.preference for record in records if record.host == "office.example"]
    assert 1 <= len(found) <= MOST_HOSTS
    assert list(found) == sorted(found, key=lambda record: record.preference)
    assert all(record.host not in ("office.example", ".", "1.2.3.4") for record in found)
    assert all(record.preference < min(ours) for record in found if ours)
