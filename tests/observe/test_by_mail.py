"""Alarms as letters, in a real spool."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

import pytest

from restante.clock import TurnedClock
from restante.directory.entries import Directory, Entry, Held, Rejected, Relayed
from restante.facts import AlarmKind
from restante.model import ByMx, DomainName, HostPort, Mailbox, Order
from restante.observe.alarms import Alarm
from restante.observe.by_mail import Letters
from restante.observe.telling import AlarmRules, NotTold, Sent
from restante.spool.spool import Spool
from restante.store.sqlite import open_spool

TEST = DomainName("test.example")
HELD = Held(TEST, HostPort("192.0.2.25"))
MISSED = Alarm(AlarmKind.CONTACT, TEST, "the site of test.example was expected and has not come", 1_767_225_600.0)
BACK = Alarm(AlarmKind.CONTACT, TEST, "the site of test.example is there again", 1_767_225_600.0, 1_767_229_200.0)
FULL = Alarm(AlarmKind.DISK, "spool", "the spool can take 7 MB more", 1_767_225_600.0)


class Desk:
    """Letters to one address, and who was told that something waits."""

    def __init__(self, spool: Spool, to: str, *entries: Entry) -> None:
        self.spool = spool
        self.arrived: list[DomainName] = []
        directory = Directory("office.example", entries)
        rules = AlarmRules(mail=Mailbox.parse(to))
        self.letters = Letters(spool, lambda: directory, self.arrived.append, lambda: rules, TurnedClock())


async def test_a_letter_to_the_operators(tmp_path: Path) -> None:
    """From the null reverse-path; each alarm with its times; and it leaves by itself."""
    spool = await open_spool(tmp_path / "spool")
    desk = Desk(spool, "ops@ops.example", HELD, Relayed("*", ByMx()))
    sent = await desk.letters.send([BACK, FULL])
    assert sent.alarms == 2
    assert desk.arrived == ["ops.example"]
    (item,) = await spool.claim([DomainName("ops.example")], Order.PRIORITY, 10, 1)
    assert item.message == sent.message
    assert item.envelope.reverse_path is None
    assert [str(each.mailbox) for each in item.envelope.recipients] == ["ops@ops.example"]
    content = await spool.content(item)
    assert isinstance(content, bytes)
    letter = email.message_from_bytes(content, policy=email.policy.default)
    assert letter["Subject"] == "Alarm: disk-nearly-full spool (and 1 more)"
    assert letter["To"] == "ops@ops.example"
    assert letter["Auto-Submitted"] == "auto-generated"
    text = letter.get_content()
    assert "All clear: the site of test.example is there again" in text
    assert "until Thu, 01 Jan 2026 01:00:00 +0000" in text
    assert "Alarm: the spool can take 7 MB more" in text
    await spool.close()


async def test_no_letter_waits_for_the_site_that_it_is_about(tmp_path: Path) -> None:
    """Nobody would come for it; all else may be written there, and that it is back."""
    spool = await open_spool(tmp_path / "spool")
    desk = Desk(spool, f"ops@{TEST}", HELD)
    assert await desk.letters.send([MISSED]) == Sent(0)
    assert spool.domains() == {}
    assert (await desk.letters.send([MISSED, FULL])).alarms == 1
    assert (await desk.letters.send([BACK])).alarms == 1
    assert spool.waiting(TEST).items == 2
    await spool.close()


async def test_the_same_where_all_others_are_held(tmp_path: Path) -> None:
    """`*` has one site, whatever the domain of the address."""
    spool = await open_spool(tmp_path / "spool")
    desk = Desk(spool, "ops@ops.example", Held("*", HostPort("192.0.2.25")))
    missed = Alarm(AlarmKind.CONTACT, "*", "it has not come", 1_767_225_600.0)
    assert await desk.letters.send([missed]) == Sent(0)
    await spool.close()


@pytest.mark.parametrize("entries", [(), (Rejected("ops.example"),)])
async def test_where_no_mail_is_sent_nothing_is_written(tmp_path: Path, entries: tuple[Entry, ...]) -> None:
    """It would wait for ever."""
    spool = await open_spool(tmp_path / "spool")
    with pytest.raises(NotTold, match=r"no mail is sent to ops\.example"):
        await Desk(spool, "ops@ops.example", *entries).letters.send([FULL])
    await spool.close()
    with pytest.raises(NotTold, match="closed"):
        await Desk(spool, "ops@ops.example", Relayed("*", ByMx())).letters.send([FULL])
