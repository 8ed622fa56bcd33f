"""How often somebody may guess, and that neither a flood nor a stranger costs the owner anything."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.logins.guesses import Guesses, GuessLimits
from restante.net.networks import network_of

HERE = ipaddress.ip_address("192.0.2.1")
SPAN = GuessLimits().span


def address(number: int) -> ipaddress.IPv6Address:
    """An address in a /64 of its own."""
    return ipaddress.IPv6Address((0x20010DB8 << 96) + (number << 64) + 1)


def tried(guesses: Guesses, account: str, where: ipaddress.IPv4Address | ipaddress.IPv6Address, now: float) -> int:
    """How many wrong guesses are let through before one is refused."""
    count = 0
    while guesses.take(account, where, now):
        count += 1
    return count


def test_ten_guesses_in_ten_minutes() -> None:
    """For one account from one address; then it is refused without a try, until the first of them is long ago."""
    guesses = Guesses(GuessLimits())
    assert tried(guesses, "ann", HERE, 1000.0) == 10
    assert tried(guesses, "ann", HERE, 1000.0 + SPAN - 1) == 0
    assert tried(guesses, "ann", HERE, 1000.0 + SPAN) == 10


@given(st.lists(st.floats(0, 300), min_size=30, max_size=60))
def test_no_ten_minutes_see_more_than_ten(gaps: list[float]) -> None:
    """However the guesses are spread, and a refused one prolongs nothing."""
    guesses, now, taken = Guesses(GuessLimits()), 0.0, list[float]()
    for gap in gaps:
        now += gap
        if guesses.take("ann", HERE, now):
            taken.append(now)
    assert all(later - first >= SPAN for first, later in zip(taken, taken[10:], strict=False))


def test_the_bounds_are_in_proportion_and_may_change() -> None:
    """A reload with another number counts at once, for what went wrong before, too."""
    guesses = Guesses(GuessLimits.of(3))
    assert tried(guesses, "ann", HERE, 0.0) == 3
    guesses.limits = GuessLimits.of(5)
    assert tried(guesses, "ann", HERE, 0.0) == 2
    assert GuessLimits.of(10) == GuessLimits()


def test_a_name_is_one_in_any_case() -> None:
    """Users are found so; else each spelling would have its own ten."""
    guesses = Guesses(GuessLimits())
    assert tried(guesses, "Ann", HERE, 0.0) == 10
    assert tried(guesses, "aNN", HERE, 0.0) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_an_ipv6_site_is_one_party(one: str, other: str, same: bool) -> None:
    """A /64; an IPv4 address by itself, however it is written."""
    assert (network_of(ipaddress.ip_address(one)) == network_of(ipaddress.ip_address(other))) is same


def test_a_network_has_a_bound_over_all_accounts() -> None:
    """One try at each of many names is guessing too."""
    guesses = Guesses(GuessLimits())
    assert sum(guesses.take(f"user{number}", HERE, 0.0) for number in range(200)) == 50
    assert guesses.take("user1", address(1), 0.0)


def test_an_account_has_a_bound_over_all_networks() -> None:
    """A few tries from each of many addresses are guessing too."""
    guesses = Guesses(GuessLimits())
    assert sum(guesses.take("ann", address(number % 100), 0.0) for number in range(500)) == 100
    assert guesses.take("bob", address(1), 0.0)


def test_success_clears_what_went_wrong_there() -> None:
    """Somebody has remembered the password at the ninth try."""
    guesses = Guesses(GuessLimits())
    for _ in range(9):
        assert guesses.take("ann", HERE, 0.0)
    assert guesses.take("ann", HERE, 0.0)
    guesses.right("ann", HERE)
    assert guesses.delay("ann", HERE, 0.0) == 0
    assert tried(guesses, "ann", HERE, 0.0) == 10


def test_success_counts_nothing() -> None:
    """A network whose users log in all day is never refused."""
    guesses = Guesses(GuessLimits())
    for number in range(1000):
        assert guesses.take(f"user{number}", HERE, 0.0)
        guesses.right(f"user{number}", HERE)
    assert guesses.take("ann", HERE, 0.0)


def test_strangers_lock_nobody_out_of_a_known_place() -> None:
    """Where the owner has logged in before, only what goes wrong there counts."""
    guesses = Guesses(GuessLimits())
    assert guesses.take("ann", HERE, 0.0)
    guesses.right("ann", HERE)
    for number in range(500):
        guesses.take("ann", address(number), 0.0)
    for number in range(100):
        guesses.take(f"user{number}", HERE, 0.0)
    assert not guesses.take("ann", address(600), 0.0)
    assert not guesses.take("bob", HERE, 0.0)
    assert tried(guesses, "ann", HERE, 0.0) == 10


def test_the_answer_waits_longer_with_each_failure() -> None:
    """A second for each, five at most."""
    guesses, delays = Guesses(GuessLimits()), []
    for _ in range(7):
        assert guesses.take("ann", HERE, 0.0)
        delays.append(guesses.delay("ann", HERE, 0.0))
    assert delays == [1, 2, 3, 4, 5, 5, 5]


def test_a_flood_of_names_and_addresses_takes_no_memory() -> None:
    """Tables stay within their bound, and an account under attack is not forgotten for a crowd of others."""
    guesses = Guesses(GuessLimits(remembered=64))
    for number in range(100):
        guesses.take("ann", address(number), 0.0)
    for number in range(20_000):
        account = f"user{number}"
        if guesses.take(account, address(number), 0.0) and number % 2:
            guesses.right(account, address(number))
    tables = (guesses._pairs._times, guesses._accounts._times, guesses._networks._times, guesses._known)
    assert all(len(table) <= 64 for table in tables)
    assert not guesses.take("ann", address(30_000), 0.0)
