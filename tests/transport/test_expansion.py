"""Recipients as the users who read them: each user once, and nobody again who has it already."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.directory.routing import Reader
from restante.model import DomainName, Envelope, Item, Mailbox, MessageId, Notify, Recipient, item_id
from restante.release import settling
from restante.transport.expansion import Expansion
from restante.transport.outcome import Deferred, Delivered, Outcome, Refused

HERE = DomainName("local.example")
ALIASES = {"info": ["anna", "bert"], "all": ["anna", "bert", "carl"], "gone": []}
TOOK = Delivered("250 2.0.0 saved")
FULL = Deferred("452 4.2.2 full")
NEVER = Refused("550 5.1.1 who?", "5.1.1")


def readers(mailbox: Mailbox) -> tuple[Reader, ...]:
    """Aliases, and users with what stands behind their plus."""
    user, _, detail = mailbox.local.partition("+")
    return tuple([Reader(name) for name in ALIASES.get(user, [])] if user in ALIASES else [Reader(user, detail)])


def item(*recipients: Recipient | str) -> Item:
    """Recipients as they are, or by local part."""
    wanted = tuple([Recipient(Mailbox(r, HERE)) if isinstance(r, str) else r for r in recipients])
    return Item(item_id(MessageId(1 << 44), 1), HERE, Envelope(Mailbox.parse("a@far.example"), wanted), 10, 0.0)


def became(given: Item, **outcomes: Outcome) -> list[tuple[str, str | None, Outcome]]:
    """Local part, ORCPT and outcome of each that is reported; by user, TOOK where nothing is said."""
    expansion = Expansion(given, readers)
    outcome = expansion.outcome({reader: outcomes.get(reader.user, TOOK) for reader in expansion.readers})
    assert [r.mailbox for r in outcome.item.envelope.recipients] == [mailbox for mailbox, _ in outcome.outcomes]
    recipients = zip(outcome.item.envelope.recipients, outcome.outcomes, strict=True)
    return [(recipient.mailbox.local, recipient.orcpt, result) for recipient, (_, result) in recipients]


def test_a_store_is_handed_each_user_once() -> None:
    """Under the address that it knows; with the detail where that is the user's own, which is another place to it."""
    expansion = Expansion(item("info", "anna", "bert+Lists", "all"), readers)
    handed = expansion.for_store().envelope.recipients
    assert [recipient.mailbox.local for recipient in handed] == ["anna", "bert", "bert+Lists", "carl"]


def test_what_dsn_asked_for_goes_along() -> None:
    """NOTIFY and ORCPT as they were given; the alias is the ORCPT where none was, as RFC 3461 §5.2.1 wants it."""
    info, help_ = Mailbox("in=fo", HERE), Mailbox("help", HERE)
    given = item(Recipient(info, (Notify.NEVER,)), Recipient(help_, (Notify.DELAY,), "rfc822;desk@far.example"), "dora")
    aliases = {info: Reader("anna"), help_: Reader("bert")}
    expansion = Expansion(given, lambda mailbox: (aliases.get(mailbox, Reader(mailbox.local)),))
    assert list(expansion.for_store().envelope.recipients) == [
        Recipient(Mailbox("anna", HERE), (Notify.NEVER,), "rfc822;in+3Dfo@local.example"),
        Recipient(Mailbox("bert", HERE), (Notify.DELAY,), "rfc822;desk@far.example"),
        Recipient(Mailbox("dora", HERE)),
    ]


def test_an_alias_beyond_ascii_gives_no_orcpt() -> None:
    """A host without SMTPUTF8 could not take it, and nobody asked for one."""
    given = item("grüße")
    expansion = Expansion(given, lambda _: (Reader("anna"),))
    assert expansion.for_store().envelope.recipients == (Recipient(Mailbox("anna", HERE)),)


@pytest.mark.parametrize(
    ("outcome", "reply"), [(TOOK, "250 2.0.0 saved"), (FULL, "452 4.2.2 full"), (NEVER, "550 5.1.1 who?")]
)
def test_an_alias_whose_users_all_fare_alike_has_one_outcome(outcome: Outcome, reply: str) -> None:
    """Nobody is told who reads it; and while all wait, the alias may still be changed."""
    alike = replace(outcome, reply=f"{reply} (and 1 more)")
    assert became(item("info"), anna=outcome, bert=outcome) == [("info", None, alike)]


def test_where_they_fare_differently_each_has_their_own() -> None:
    """In the alias's place, with the alias as ORCPT; the recipient who meant one of them alone has that one's."""
    orcpt = "rfc822;all@local.example"
    assert became(item("all", "bert"), bert=FULL, carl=NEVER) == [
        ("anna", orcpt, TOOK),
        ("bert", orcpt, FULL),
        ("carl", orcpt, NEVER),
        ("bert", None, FULL),
    ]


def test_an_alias_of_nobody_is_unknown() -> None:
    """Its users are gone since the mail was taken; the others have theirs."""
    assert became(item("gone", "anna")) == [
        ("gone", None, Refused("550 5.1.1 No such user here", "5.1.1")),
        ("anna", None, TOOK),
    ]
    assert not Expansion(item("gone"), readers).readers


_OUTCOMES = st.sampled_from([TOOK, FULL, NEVER])


@given(
    st.lists(st.sampled_from(["info", "all", "anna", "bert", "carl", "gone"]), min_size=1, max_size=5),
    st.lists(st.tuples(_OUTCOMES, _OUTCOMES, _OUTCOMES), max_size=6),
)
def test_over_all_attempts_every_user_gets_it_once_or_is_reported(
    recipients: list[str], attempts: list[tuple[Outcome, Outcome, Outcome]]
) -> None:
    """Whatever each attempt brings: who took it is not asked again; in the end nobody is left out."""
    waits: Item | None = item(*recipients)
    meant = {user for name in recipients for user in ALIASES.get(name, [name])}
    ends: dict[str, list[str]] = {user: [] for user in meant}
    for outcomes in [*attempts, (TOOK, TOOK, TOOK)]:
        if waits is None:
            break
        attempt = dict(zip(("anna", "bert", "carl"), outcomes, strict=True))
        expansion = Expansion(waits, readers)
        results = {reader: attempt[reader.user] for reader in expansion.readers}
        for reader, result in results.items():
            if not isinstance(result, Deferred):
                ends[reader.user].append(type(result).__name__)
        remaining = settling.settlement(settling.sort(expansion.outcome(results)), 0.0).remaining
        waits = None if remaining is None else replace(waits, envelope=remaining)
    assert waits is None
    assert all(len(end) == 1 for end in ends.values()), ends
