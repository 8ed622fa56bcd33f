"""What happened to one message, out of what the process remembers."""

from __future__ import annotations

import ipaddress

from restante.clock import TurnedClock
from restante.facts import (
    AlarmKind,
    AlarmRaised,
    ContentDamaged,
    Fact,
    ItemDeferred,
    ItemDelivered,
    ItemReturned,
    MessageAccepted,
    ReleaseEnded,
    ReleaseStarted,
)
from restante.model import DomainName, MessageId, Principal, item_id, write_item_id, write_message_id
from restante.web.feed import Feed
from restante.web.history import history_of

ONE, OTHER, NOTICE = MessageId(1 << 50), MessageId(2 << 50), MessageId(3 << 50)
FIRST, SECOND = item_id(ONE, 1), item_id(ONE, 2)
TEST, THEIRS = DomainName("test.example"), DomainName("theirs.example")
CARLA = Principal(ipaddress.ip_address("192.0.2.1"))


def accepted(message: MessageId) -> MessageAccepted:
    """From the world, for both domains."""
    return MessageAccepted(message, CARLA, "<carla@far.example>", (TEST, THEIRS), 2, 1000)


def started(release: int, domain: DomainName = TEST) -> ReleaseStarted:
    """Of a domain's mail."""
    return ReleaseStarted(release, domain, "operator", "192.0.2.25:25", 2, 2000)


def ended(release: int, domain: DomainName = TEST) -> ReleaseEnded:
    """With nothing left."""
    return ReleaseEnded(release, domain, "operator", "192.0.2.25:25", 2, 0, 0, 0, 2000, 1.5, "")


LIFE: list[Fact] = [
    accepted(OTHER),
    accepted(ONE),
    started(1),
    ItemDelivered(item_id(OTHER, 1), TEST, 1, "192.0.2.25:25", 1, 1000, "250 2.0.0 ok"),
    ended(1),
    started(2),
    ItemDelivered(item_id(OTHER, 3), TEST, 2, "192.0.2.25:25", 1, 1000, "250 2.0.0 ok"),
    started(3, THEIRS),
    ItemDeferred(FIRST, TEST, 2, "192.0.2.25:25", 1, "451 4.2.1 full"),
    AlarmRaised(AlarmKind.DISK, "data", "nearly full"),
    ended(2),
    ItemDelivered(SECOND, THEIRS, 3, "192.0.2.26:25", 1, 1000, "250 2.0.0 ok"),
    ended(3, THEIRS),
    ContentDamaged(ONE, (FIRST, SECOND)),
    ItemReturned(FIRST, TEST, "<carla@far.example>", 1, "closed", NOTICE, "user:root"),
]
KEPT = [(1000.0 + number, fact) for number, fact in enumerate(LIFE)]


def lines(wanted: int, within: frozenset[DomainName] | None = None) -> list[tuple[float, str]]:
    """When, and what."""
    return [(one.when - 1000, one.event) for one in history_of(KEPT, wanted, within)]  # type: ignore[arg-type]


def test_a_message_has_its_own_lines_and_those_of_releases_that_carried_it() -> None:
    """With all its items, or one; in the order of time; nothing of others."""
    of_first = [(1, "message accepted"), (5, "release started"), (8, "item deferred"), (10, "release ended")]
    of_second = [(7, "release started"), (11, "item delivered"), (12, "release ended"), (13, "content damaged")]
    last = [(13, "content damaged"), (14, "item sent back")]
    assert lines(FIRST) == [*of_first, *last]
    assert lines(SECOND) == [of_first[0], *of_second]
    assert lines(ONE) == sorted([*of_first, *of_second, last[1]])
    assert lines(MessageId(4 << 50)) == []


def test_a_notice_begins_with_what_it_is_a_notice_of() -> None:
    """That names it, but is not its own."""
    [line] = history_of(KEPT, NOTICE)
    assert (line.event, line.fields["item"], line.is_its_own) == ("item sent back", write_item_id(FIRST), False)
    assert "dsn" not in line.fields
    [*_, line] = history_of(KEPT, FIRST)
    assert (line.fields["dsn"], line.is_its_own) == (write_message_id(NOTICE), True)
    assert "item" not in line.fields


def test_a_site_s_user_reads_what_is_of_his_domains() -> None:
    """Nothing of the other items, nor of who has handed the message in."""
    own = frozenset({TEST})
    assert lines(ONE, own) == [
        (1, "message accepted"),
        (5, "release started"),
        (8, "item deferred"),
        (10, "release ended"),
        (14, "item sent back"),
    ]
    assert history_of(KEPT, ONE, own)[0].fields == {
        "from": "<carla@far.example>",
        "domains": "test.example",
        "octets": "1000",
    }
    assert not any(one.is_its_own for one in history_of(KEPT, SECOND, own))
    assert lines(ONE, frozenset()) == []


def test_a_feed_keeps_what_it_has_heard_with_its_time() -> None:
    """The newest of it."""
    feed = Feed(TurnedClock(), ring=2)
    for fact in LIFE[:3]:
        feed.heard(fact)
    assert [fact for _, fact in feed.kept()] == LIFE[1:3]
