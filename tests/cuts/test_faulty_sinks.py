"""smtp-sink with each of its faults as the far end: nothing is called delivered that it has not taken."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cuts.office import Office, letter, office
from tests.cuts.sinks import sink
from tests.stories.ports import free_port

from restante.model import HostPort

pytestmark = pytest.mark.peer

MESSAGES = 12
NO_USER = ("-B", "550 5.1.1 no such user")
NO_MESSAGE = ("-B", "554 5.6.0 not such a message")
NOT_NOW = ("-b", "451 4.3.0 not now")


@dataclass(frozen=True, slots=True)
class Fault:
    """Options of smtp-sink, and how many of the messages they let be delivered, and turn into DSNs."""

    options: tuple[str, ...]
    delivered: int = 0
    reported: int = 0
    messages: int = MESSAGES

    def __str__(self) -> str:
        return " ".join(self.options) or "none"


def waits(*options: str) -> Fault:
    """Nothing is delivered, nothing bounces."""
    return Fault(options)


def takes(*options: str) -> Fault:
    """All is delivered."""
    return Fault(options, delivered=MESSAGES)


def bounces(*options: str) -> Fault:
    """All is refused for good."""
    return Fault(options, reported=MESSAGES)


FAULTS = [
    # odd, and yet all right
    takes(),
    takes("-e"),
    takes("-p"),
    takes("-P"),
    takes("-8", "-N", "-E", "-a"),
    takes("-m", "1"),
    takes("-f", "VRFY,NOOP,RSET"),
    takes("-q", "QUIT"),
    takes("-Q", "QUIT"),
    takes("-r", "QUIT"),
    takes("-f", "EHLO"),  # HELO does
    # slow
    *(Fault(options, delivered=3, messages=3) for options in (("-w", "1"), ("-H", "1"), ("-W", "EHLO:1"))),
    *(Fault(("-p", "-W", f"{command}:1"), delivered=3, messages=3) for command in ("MAIL", "RCPT", "DATA", ".")),
    # it hangs up
    *(waits("-q", command) for command in ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", ".")),
    *(waits("-p", "-q", command) for command in ("MAIL", "RCPT", "DATA", ".")),
    waits("-e", "-q", "HELO"),
    # it says 421 and hangs up
    *(waits("-Q", command) for command in ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", ".")),
    *(waits("-p", "-Q", command) for command in ("MAIL", "RCPT", "DATA", ".")),
    # not now
    *(waits("-r", command) for command in ("CONNECT", "EHLO,HELO", "MAIL", "RCPT", "DATA", ".")),
    waits(*NOT_NOW, "-r", "MAIL,RCPT,DATA,."),
    waits("-r", ".,RSET"),
    # never: only of what is said about the mail
    *(bounces(*NO_USER, "-f", command) for command in ("MAIL", "RCPT", "DATA", ".")),
    *(bounces(*NO_MESSAGE, "-f", command) for command in ("DATA", ".")),
    waits(*NO_USER, "-f", "CONNECT"),
    waits(*NO_USER, "-f", "EHLO,HELO"),
    # never, but of the conversation: a wrongly set up site bounces nothing
    *(waits("-f", command) for command in ("MAIL", "RCPT", "DATA", ".")),  # 500 5.3.0
    waits("-B", "503 5.5.1 bad sequence", "-f", "."),
    waits("-B", "530 5.7.0 authentication required", "-f", "MAIL"),
    waits("-B", "502 not implemented", "-f", "DATA"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_a_faulty_far_end(fault: Fault, tmp_path: Path) -> None:
    """What it did not take, or answered softly, waits and goes once it is well; what it refused hard is a DSN."""
    port = free_port()
    async with office(tmp_path / "spool", HostPort("127.0.0.1", port)) as sender:
        messages = await sender.mail(*(letter(number) for number in range(fault.messages)))
        with sink(port, *fault.options) as faulty:
            await sender.release()
            copies = await asyncio.to_thread(faulty.copies)
        waiting = await sender.waiting()
        assert len(sender.delivered()) == fault.delivered, [view.error for view in sender.releases.views()]
        assert len(sender.failed()) == sender.reports() == fault.reported
        assert len(waiting) == fault.messages - fault.delivered - fault.reported
        for number, message in enumerate(messages):
            assert copies[number] <= 1
            if fault.delivered:
                assert copies[number] == 1, f"{number} was called delivered"
            assert (message in waiting) == (not fault.delivered and not fault.reported)
        await drained(sender, port, len(waiting))
        assert sender.reports() == fault.reported


async def drained(sender: Office, port: int, left: int) -> None:
    """Once the far end is well, what waits comes whole, each once."""
    with sink(port) as well:
        await sender.release()
        assert not await sender.waiting()
        copies = await asyncio.to_thread(well.copies)
    assert len(copies) == copies.total() == left


async def test_a_far_end_that_aborts_amid_the_content(tmp_path: Path) -> None:
    """550 while content is on its way, then nothing is read: refused if it came as the answer, else it waits."""
    port = free_port()
    async with office(tmp_path / "spool", HostPort("127.0.0.1", port)) as sender:
        messages = await sender.mail(*(letter(number, 300_000) for number in range(4)))
        with sink(port, "-A", "0") as faulty:
            await sender.release()
            assert not await asyncio.to_thread(faulty.copies)
        assert not sender.delivered()
        waiting = await sender.waiting()
        assert len(waiting) + sender.reports() == len(messages)
        await drained(sender, port, len(waiting))


async def test_a_far_end_whose_replies_come_in_the_wrong_order(tmp_path: Path) -> None:
    """It delays the replies to RCPT, and answers what was sent behind them first: all waits, until it is well."""
    port = free_port()
    async with office(tmp_path / "spool", HostPort("127.0.0.1", port)) as sender:
        await sender.mail(*(letter(number) for number in range(MESSAGES)))
        with sink(port, "-W", "RCPT:1"):
            view = await sender.release()
        assert view is not None
        assert "is no reply to" in view.error
        assert not sender.delivered()
        await drained(sender, port, MESSAGES)


async def test_a_far_end_that_leaves_now_and_then(tmp_path: Path) -> None:
    """It takes three connections and ends: release after release, until all is there; copies are those in doubt."""
    port = free_port()
    letters = [letter(number) for number in range(60)]
    async with office(tmp_path / "spool", HostPort("127.0.0.1", port)) as sender:
        await sender.mail(*letters)
        total, rounds = 0, 0
        while await sender.waiting():
            rounds += 1
            assert rounds < 60
            before = len(sender.delivered())
            with sink(port, "-M", "7") as leaving:
                await sender.release()
                copies = await asyncio.to_thread(leaving.copies)
            total += copies.total()
            assert len(sender.delivered()) - before <= copies.total()
        assert sorted(item for item in sender.delivered()) == sorted(set(sender.delivered()))
        assert len(sender.delivered()) == len(letters) <= total
        assert not sender.reports()
