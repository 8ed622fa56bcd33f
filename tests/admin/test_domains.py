"""Pages of domains: whatever the limit, together they are all that there is, in order, once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from restante.admin.domains import Amount, DomainPages
from restante.directory.entries import EVERY_OTHER, Directory, Held
from restante.model import DomainName, HostPort, Waiting

names = st.sets(st.sampled_from([DomainName(f"{letter}.example") for letter in "abcdefghij"]))
some = Waiting(1, 10, 5.0)


@given(names, names, names | st.none(), st.integers(1, 5), st.booleans())
def test_pages_are_all_there_is(
    entries: set[DomainName], mail: set[DomainName], within: set[DomainName] | None, limit: int, with_mail: bool
) -> None:
    """With domains of `*` that have mail; for a user, those of his."""
    hop = HostPort("192.0.2.25")
    directory = Directory("office.example", [Held(name, hop) for name in (EVERY_OTHER, *entries)])
    waiting = dict.fromkeys(mail, some)
    every = {EVERY_OTHER, *entries, *mail} if within is None else set(within)
    wanted = sorted(every & mail if with_mail else every)
    pages, found, after = DomainPages(), list[str](), ""
    while page := pages.names(directory, waiting, after, limit, within=within, with_mail=with_mail):
        assert len(page) <= limit
        found += page
        after = page[-1]
    assert found == wanted


def test_another_directory_has_other_names() -> None:
    """What was put in order for one is not told of the next."""
    pages, hop = DomainPages(), HostPort("192.0.2.25")
    for name in ("a.example", "b.example"):
        assert pages.names(Directory("office.example", [Held(name, hop)]), {}, "", 10) == [name]


def test_amounts_add_up() -> None:
    """Of those that have something."""
    assert Amount.of([some, Waiting(), Waiting(2, 7, 3.0)]) == Amount(2, 3, 17, 3.0)
    assert Amount.of([]) == Amount(0, 0, 0, None)
