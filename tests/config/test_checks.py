"""What keys must be true of each other. What rests on something that could not be read is not judged."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from tests.config.written import LISTEN, Folder

from restante.config.checks import alias_loop, ends_first

MAILBOXES = '[domains."local.example"]\naction = "deliver"\nusers = ["anna", "bert"]\n'
HERE = 'restante.toml: domains."local.example".'


def test_two_listeners_on_one_address_are_refused(folder: Folder) -> None:
    """However it is written; the later one is named."""
    again = '[[listen]]\naddress = "[::FFFF:0]:25"\n[[listen]]\naddress = "[::ffff:0:0]:26"\n'
    assert folder.problems(again + '[[listen]]\naddress = "[::ffff:0]"\n') == [
        "restante.toml: listen[3].address: found '[::ffff:0]:25' again, allowed: each address once"
    ]


def test_a_listener_is_counted_where_it_stands_though_others_could_not_be_read(folder: Folder) -> None:
    """The numbers are the file's."""
    lines = folder.problems(f'[[listen]]\naddress = "a b"\n{LISTEN}')
    assert [line.split(": found ")[0] for line in lines] == [
        "restante.toml: listen[1].address",
        "restante.toml: listen[2].address",
    ]


def test_a_certificate_goes_with_its_key(folder: Folder) -> None:
    """Both or none."""
    (folder.path / "a.pem").touch()
    assert folder.problems('[tls]\ncertificate = "a.pem"') == [
        "restante.toml: tls.key: found nothing, allowed: a path, because tls.certificate is set (both or none)"
    ]
    assert folder.problems('[tls]\nkey = "a.pem"') == [
        "restante.toml: tls.certificate: found nothing, allowed: a path, because tls.key is set (both or none)"
    ]


def test_a_key_that_could_not_be_read_is_not_called_missing(folder: Folder) -> None:
    """One thing is wrong, and one line tells of it."""
    (folder.path / "a.pem").touch()
    (line,) = folder.problems('[tls]\ncertificate = "a.pem"\nkey = "no.pem"')
    assert line.startswith("restante.toml: tls.key: found 'no.pem' (no file ")


def test_every_other_domain_cannot_be_delivered_here(folder: Folder) -> None:
    """All the domains of the world have no one's users."""
    (line,) = folder.problems('[domains."*"]\naction = "deliver"\nusers = "*"')
    assert line == (
        """restante.toml: domains."*".action: found 'deliver', """
        """allowed: "hold", "relay" or "reject", for all domains have no one's users"""
    )


def test_an_alias_leads_to_users_or_aliases_of_its_domain(folder: Folder) -> None:
    """Not to nobody; with any user allowed, to anybody."""
    assert folder.problems(MAILBOXES + 'aliases = { info = ["anna", "carla"], help = ["info"] }') == [
        f"{HERE}aliases.info: found 'carla', allowed: users or aliases of this domain"
    ]
    folder.load('[domains."local.example"]\naction = "deliver"\nusers = "*"\naliases = { info = ["carla"] }')


def test_aliases_in_a_loop_are_refused(folder: Folder) -> None:
    """An alias that keeps a copy for the user of its own name is one too."""
    assert folder.problems(MAILBOXES + 'aliases = { a = ["b"], b = ["anna", "c"], c = ["a"] }') in (
        [f"{HERE}aliases: found a loop: {loop}, allowed: aliases that lead to users"]
        for loop in ("a → b → c → a", "b → c → a → b", "c → a → b → c")
    )
    assert folder.problems(MAILBOXES + 'aliases = { anna = ["anna", "bert"] }') == [
        f"{HERE}aliases: found a loop: anna → anna, allowed: aliases that lead to users"
    ]


def test_a_catch_all_is_an_alias_like_others_but_for_where_every_name_is_a_user(folder: Folder) -> None:
    """It leads to users or aliases; with `users = "*"` nothing would be left for it."""
    folder.load(MAILBOXES + 'aliases = { "*" = ["info"], info = ["anna"] }')
    assert folder.problems(MAILBOXES + 'aliases = { "*" = ["carla"] }') == [
        f"{HERE}aliases.\"*\": found 'carla', allowed: users or aliases of this domain"
    ]
    anybody = '[domains."local.example"]\naction = "deliver"\nusers = "*"\naliases = { "*" = ["anna"] }'
    assert folder.problems(anybody) == [
        f"""{HERE}aliases."*": found a list, allowed: nothing, because users is "*": every name is a user"""
    ]


def test_what_is_for_maildirs_is_not_for_another_store(folder: Folder) -> None:
    """It has quotas and folders of its own."""
    folder.load(MAILBOXES + 'mailboxes = "maildir"\nquota = "1GB"\ntag_folders = true')
    folder.load(MAILBOXES + 'mailboxes = "lmtp:/run/lmtp"\ntag_folders = false')
    assert folder.problems(MAILBOXES + 'mailboxes = "lmtp:/run/lmtp"\nquota = "1GB"\ntag_folders = true') == [
        f'{HERE}quota: found a size, allowed: nothing, because mailboxes is "lmtp:/run/lmtp"',
        f'{HERE}tag_folders: found true, allowed: false, because mailboxes is "lmtp:/run/lmtp"',
    ]


def test_aliases_are_not_judged_by_users_that_could_not_be_read(folder: Folder) -> None:
    """The bad name may be the one that is meant."""
    (line,) = folder.problems(
        '[domains."local.example"]\naction = "deliver"\nusers = ["anna", "b/ert"]\naliases = { info = ["bert"] }'
    )
    assert line.startswith(f"{HERE}users[1]: ")


def test_the_postmaster_is_a_user(folder: Folder) -> None:
    """Not an alias, nor somebody else."""
    assert folder.problems(MAILBOXES + 'aliases = { info = ["anna"] }\npostmaster = "info"') == [
        f"{HERE}postmaster: found 'info', allowed: a user of this domain"
    ]
    assert folder.problems(MAILBOXES + 'postmaster = "carla"') == [
        f"{HERE}postmaster: found 'carla', allowed: a user of this domain"
    ]


def test_a_postmaster_that_would_never_be_asked_for_is_refused(folder: Folder) -> None:
    """Where a user or alias is called postmaster, that is who reads it."""
    assert folder.problems(MAILBOXES + 'aliases = { postmaster = ["anna"] }\npostmaster = "bert"') == [
        f"""{HERE}postmaster: found 'bert', allowed: nothing, because "postmaster" is an alias here"""
    ]
    users = MAILBOXES.replace('"bert"', '"postmaster"')
    assert folder.problems(users + 'postmaster = "anna"') == [
        f"""{HERE}postmaster: found 'anna', allowed: nothing, because "postmaster" is a user here"""
    ]
    folder.load(users + 'postmaster = "postmaster"')


def test_a_call_has_something_to_ask_or_to_send(folder: Folder) -> None:
    """An office that is called for nothing is a mistake."""
    assert folder.problems('[calls.office]\nhost = "office.example"') == [
        "restante.toml: calls.office.domains: found nothing, allowed: a list of domains, here or in flush"
    ]
    folder.load('[calls.office]\nhost = "office.example"\nflush = ["*"]')


def test_a_call_flushes_only_what_is_held_here(folder: Folder) -> None:
    """What could be meant is named."""
    held = '[domains."test.example"]\naction = "hold"\nnext_hop = "192.0.2.25"\n'
    call = '[calls.office]\nhost = "office.example"\nflush = ["test.example", "local.example", "other.example"]'
    allowed = 'allowed: "test.example", "*"'
    assert folder.problems(held + MAILBOXES + call) == [
        f"restante.toml: calls.office.flush[1]: found 'local.example' (not a held domain), {allowed}",
        f"restante.toml: calls.office.flush[2]: found 'other.example' (not in [domains]), {allowed}",
    ]


def test_a_held_domain_that_could_not_be_read_may_be_flushed(folder: Folder) -> None:
    """It is there; what is wrong with it is told at its own place."""
    (line,) = folder.problems(
        '[domains."Test.example"]\naction = "hold"\n[calls.office]\nhost = "a.example"\nflush = ["test.example"]'
    )
    assert line.startswith('restante.toml: domains."Test.example".next_hop: found nothing')


_NAMES = st.sampled_from("abcdef")


@given(st.dictionaries(_NAMES, st.lists(_NAMES, min_size=1, max_size=3).map(tuple)))
def test_aliases_have_an_order_or_a_loop_that_is_one(aliases: dict[str, tuple[str, ...]]) -> None:
    """Each step of a loop is an alias's target; without one, what an alias leads to comes before it."""
    if (loop := alias_loop(aliases)) is not None:
        assert loop[0] == loop[-1]
        assert all(target in aliases[alias] for alias, target in itertools.pairwise(loop))
        return
    place = {name: number for number, name in enumerate(ends_first(aliases))}
    assert all(place[target] < place[alias] for alias, targets in aliases.items() for target in targets)
