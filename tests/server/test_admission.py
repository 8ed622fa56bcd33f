"""What a held domain takes: whom its site does not know, how much may wait for it, what is too large for its link."""

from __future__ import annotations

import asyncio
import email
import email.policy

from msgspec import structs
from tests.server.office import GREETED, NEXT_HOP, PEER, Office, Peer, until

from restante.clock import TurnedClock
from restante.directory.entries import EVERY_OTHER, Held, Quota, Recipients, Relayed
from restante.facts import CommandRefused, ItemHeldBack
from restante.model import DomainName, Item, ItemState, Mailbox, write_item_id
from restante.server.usage import LOOK_SECONDS
from restante.spool.spool import INLINE_LIMIT

TEST, OTHER = DomainName("test.example"), DomainName("other.example")
ANNA = Mailbox("anna", TEST)
DAY = 86_400.0
BODY = "x" * 62 + "\r\n"
FULL = "452 4.2.2 The mailbox of test.example is full here, try again later"


async def client(office: Office, *entries: Held | Relayed) -> Peer:
    """A peer that was greeted by an office of these entries."""
    office.entries = entries
    peer = await office.connect()
    await peer.play(GREETED.replace("HELO", "EHLO").replace("S: 250 office.example", ""))
    while (await peer.hear())[0][3] == "-":
        pass
    return peer


async def sent(peer: Peer, *recipients: str, octets: int = 64, mail: str = "") -> list[str]:
    """The replies to RCPT, and to the end of data, of one message."""
    names = [f"{name}@test.example" if "@" not in name else name for name in recipients or ("anna",)]
    content = ("Subject: hello\r\n\r\n" + BODY * (octets // len(BODY))).encode()
    peer.say(f"MAIL FROM:<ann@far.example>{mail}\r\n" + "".join(f"RCPT TO:<{name}>\r\n" for name in names))
    peer.say(b"BDAT %d LAST\r\n%b" % (len(content), content))
    heard = await peer.hear(2 + len(names))
    if not heard[-1].startswith("250"):
        peer.say("RSET\r\n")
        await peer.hear()
    return heard[1:]


def codes(heard: list[str]) -> list[str]:
    """The first words of replies."""
    return [line[:9] for line in heard]


# recipients


async def test_whom_the_site_has_refused_is_refused_here(office: Office) -> None:
    """For as long as the entry says, in the words of any unknown user; then mail for it is taken again."""
    peer = await client(office, Held("test.example", NEXT_HOP, unknown_for=DAY))
    office.learned.refused(ANNA, office.clock.wall())
    assert (await sent(peer, "Anna", "bert"))[:2] == ["550 5.1.1 No such user here", "250 2.1.5 Recipient OK"]
    [fact] = office.told(CommandRefused)
    assert (fact.command, fact.reply) == ("RCPT Anna@test.example", "550 5.1.1 No such user here")
    office.learned.taken(ANNA, office.clock.wall())
    assert codes(await sent(peer, "anna")) == ["250 2.1.5", "250 2.0.0"]
    office.learned.refused(ANNA, office.clock.wall() - DAY)
    assert codes(await sent(peer, "anna")) == ["250 2.1.5", "250 2.0.0"]


async def test_postmaster_is_taken_whatever_the_site_said(office: Office) -> None:
    """RFC 5321 §4.5.1."""
    peer = await client(office, Held("test.example", NEXT_HOP))
    office.learned.refused(Mailbox("postmaster", TEST), office.clock.wall())
    assert codes(await sent(peer, "Postmaster")) == ["250 2.1.5", "250 2.0.0"]


async def test_a_list_is_the_last_word(office: Office) -> None:
    """Where there is one, nothing else counts."""
    peer = await client(office, Held("test.example", NEXT_HOP, recipients=Recipients(frozenset({str(ANNA)}))))
    office.learned.refused(ANNA, office.clock.wall())
    office.learned.taken(Mailbox("bert", TEST), office.clock.wall())
    assert codes(await sent(peer, "anna", "bert")) == ["250 2.1.5", "550 5.1.1", "250 2.0.0"]


FORWARDED = Relayed("test.example", NEXT_HOP, from_anyone=True, unknown_for=DAY)


async def test_a_relayed_domain_that_anyone_may_write_to_learns_as_a_held_one(office: Office) -> None:
    """So that nothing is taken from strangers that the next hop refuses."""
    peer = await client(office, FORWARDED)
    office.learned.refused(ANNA, office.clock.wall())
    assert codes(await sent(peer, "anna", "bert")) == ["550 5.1.1", "250 2.1.5", "250 2.0.0"]
    office.learned.refused(ANNA, office.clock.wall() - DAY)
    assert codes(await sent(peer, "anna")) == ["250 2.1.5", "250 2.0.0"]


async def test_what_others_may_not_write_to_is_not_asked_about(office: Office) -> None:
    """Those who may relay get the next hop's own answer, in a report."""
    office.relay_from = (PEER,)
    peer = await client(office, structs.replace(FORWARDED, from_anyone=False))
    office.learned.refused(ANNA, office.clock.wall())
    assert codes(await sent(peer, "anna")) == ["250 2.1.5", "250 2.0.0"]


# quotas


async def test_a_full_domain_takes_no_more_items(office: Office) -> None:
    """452 4.2.2 at RCPT, for the others of the transaction nothing changes; room is made by what leaves."""
    peer = await client(office, Held("test.example", NEXT_HOP, quota=Quota(items=2)), Held("other.example", NEXT_HOP))
    for _ in range(2):
        assert codes(await sent(peer, "anna", "bert")) == ["250 2.1.5", "250 2.1.5", "250 2.0.0"]
    said = await sent(peer, "anna", "u@other.example")
    assert (said[0], codes(said[1:])) == (FULL, ["250 2.1.5", "250 2.0.0"])
    await office.spool.remove([(await office.waiting())[0].id])
    assert codes(await sent(peer, "anna")) == ["250 2.1.5", "250 2.0.0"]


async def test_the_size_that_mail_says_counts_at_once(office: Office) -> None:
    """RFC 1870: what does not fit is refused before it is sent; without a word it is refused where it has come."""
    peer = await client(office, Held("test.example", NEXT_HOP, quota=Quota(octets=4096)))
    assert (await sent(peer, mail=" SIZE=5000"))[0] == FULL
    assert await sent(peer, octets=5000) == ["250 2.1.5 Recipient OK", FULL]
    assert await office.waiting() == []
    assert codes(await sent(peer, octets=3000, mail=" SIZE=3000")) == ["250 2.1.5", "250 2.0.0"]
    assert (await sent(peer, octets=2000, mail=" SIZE=2000"))[0] == FULL
    assert codes(await sent(peer, octets=64)) == ["250 2.1.5", "250 2.0.0"]


async def test_a_message_for_a_domain_with_room_too_is_taken_for_all(office: Office) -> None:
    """One answer is given at its end, and none of it may be lost: the full one has a little more than it may."""
    peer = await client(
        office, Held("test.example", NEXT_HOP, quota=Quota(octets=4096)), Held("other.example", NEXT_HOP)
    )
    assert codes(await sent(peer, "anna", "u@other.example", octets=8000)) == ["250 2.1.5", "250 2.1.5", "250 2.0.0"]
    assert office.spool.waiting(TEST).octets > 8000
    assert (await sent(peer, "anna"))[0] == FULL


async def test_the_quota_of_all_others_is_for_each_of_them(office: Office) -> None:
    """Of `*`: one domain that is full keeps no other from its mail."""
    office.relay_from = (PEER,)
    peer = await client(office, Held(EVERY_OTHER, NEXT_HOP, quota=Quota(items=1)))
    assert codes(await sent(peer, "anna")) == ["250 2.1.5", "250 2.0.0"]
    said = await sent(peer, "anna", "u@other.example")
    assert (said[0], codes(said[1:])) == (FULL, ["250 2.1.5", "250 2.0.0"])


async def test_what_is_frozen_counts(office: Office) -> None:
    """Within about a second; and no longer once it is gone."""
    clock = office.clock = TurnedClock()
    peer = await client(office, Held("test.example", NEXT_HOP, quota=Quota(items=1)))
    assert codes(await sent(peer)) == ["250 2.1.5", "250 2.0.0"]
    (item,) = await office.waiting()

    async def comes_to(said: str) -> None:
        async with asyncio.timeout(60):
            while True:
                peer.say("MAIL FROM:<ann@far.example>\r\nRCPT TO:<anna@test.example>\r\nRSET\r\n")
                if (await peer.hear(3))[1].startswith(said):
                    return
                await clock.turn(LOOK_SECONDS)

    await comes_to("452 4.2.2")
    await office.spool.freeze([item.id])
    assert office.spool.waiting(TEST).items == 0
    await comes_to("452 4.2.2")
    await office.spool.remove([item.id])
    await comes_to("250 2.1.5")


# what is too large for the link


async def notice_and_message(office: Office) -> tuple[Item, Item]:
    """What waits, and what is frozen: one of each."""
    waiting, frozen = sorted(await office.waiting(), key=lambda item: item.state is ItemState.FROZEN)
    assert (waiting.state, frozen.state) == (ItemState.WAITING, ItemState.FROZEN)
    return waiting, frozen


async def test_what_is_too_large_is_kept_back_and_told(office: Office) -> None:
    """It is taken, and frozen; its recipients get a notice from `<>`, and nobody else. SIZE is no reason to refuse."""
    peer = await client(office, Held("test.example", NEXT_HOP, largest=4096))
    assert codes(await sent(peer, "anna", "bert", octets=8000, mail=" SIZE=8000")) == ["250 2.1.5"] * 2 + ["250 2.0.0"]
    notice, message = await notice_and_message(office)
    assert message.detail == f"too large for the link: {message.size} octets"
    assert (notice.domain, notice.envelope.reverse_path) == (TEST, None)
    names = [str(recipient.mailbox) for recipient in notice.envelope.recipients]
    assert names == ["anna@test.example", "bert@test.example"]
    read = email.message_from_bytes(await office.content(notice), policy=email.policy.default)
    assert f"  restante thaw {write_item_id(message.id)}" in read.get_content()
    assert "  Subject:  hello" in read.get_content()
    await until(lambda: office.told(ItemHeldBack))
    assert office.told(ItemHeldBack) == [ItemHeldBack(message.id, TEST, message.size, notice.message)]


async def test_only_where_it_is_too_large(office: Office) -> None:
    """The same message goes to another domain as it came; one that fits is not touched."""
    peer = await client(office, Held("other.example", NEXT_HOP), Held("test.example", NEXT_HOP, largest=4096))
    assert codes(await sent(peer, "anna", octets=3000)) == ["250 2.1.5", "250 2.0.0"]
    assert codes(await sent(peer, "u@other.example", "anna", octets=2 * INLINE_LIMIT))[-1] == "250 2.0.0"
    fits, other, frozen, notice = await office.waiting()
    assert [item.state for item in (fits, other, notice)] == [ItemState.WAITING] * 3
    assert (other.domain, notice.domain, frozen.state) == (OTHER, TEST, ItemState.FROZEN)
    read = email.message_from_bytes(await office.content(notice), policy=email.policy.default)
    assert "  Subject:  hello" in read.get_content()  # though its content was in a file, not in memory


async def test_what_was_kept_back_counts_for_the_quota_at_once(office: Office) -> None:
    """Else a domain's frozen mail could fill the disk."""
    peer = await client(office, Held("test.example", NEXT_HOP, largest=4096, quota=Quota(octets=10_000)))
    assert codes(await sent(peer, octets=8000)) == ["250 2.1.5", "250 2.0.0"]
    assert await sent(peer, octets=8000) == ["250 2.1.5 Recipient OK", FULL]


async def test_a_notice_beyond_ascii_asks_for_smtputf8(office: Office) -> None:
    """As the message did (RFC 6531)."""
    peer = await client(office, Held("test.example", NEXT_HOP, largest=4096))
    assert codes(await sent(peer, "ünï@test.example", octets=8000, mail=" SMTPUTF8"))[-1] == "250 2.0.0"
    notice, _ = await notice_and_message(office)
    assert notice.envelope.smtputf8
