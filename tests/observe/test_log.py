"""The log of a server: each fact a line, in the same words every time."""

from __future__ import annotations

import io
import ipaddress
import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from tests.work import Calls

from restante import facts
from restante.facts import Fact
from restante.model import DomainName, ItemId, MessageId, Principal, item_id
from restante.observe import log

MESSAGE = MessageId(700_000_000_000_000)
ITEM = item_id(MESSAGE, 1)
TEST = DomainName("test.example")
ANN = Principal(ipaddress.ip_address("192.0.2.1"))
ACCEPTED = facts.MessageAccepted(MESSAGE, ANN, "<ann@far.example>", (TEST,), 1, 4096)
DELIVERED = facts.ItemDelivered(ITEM, TEST, 3, "192.0.2.25:25", 1, 4096, "250 2.0.0 OK")
LINES: list[tuple[Fact, str]] = [
    (
        ACCEPTED,
        (
            "info message accepted id=0KWMNSNFG00 principal=192.0.2.1 from=<ann@far.example> domains=test.example "
            "recipients=1 octets=4096"
        ),
    ),
    (
        facts.ConnectionRefused(ANN.address, "421 4.3.2 Too many connections, try again later", 17),
        (
            "warning connection refused address=192.0.2.1 "
            'reason="421 4.3.2 Too many connections, try again later" times=17'
        ),
    ),
    (
        facts.CommandRefused(ANN, "RCPT TO:<x@y.example>", "550 5.7.1 no"),
        'info command refused principal=192.0.2.1 command="RCPT TO:<x@y.example>" reply="550 5.7.1 no"',
    ),
    (
        facts.LoggedIn(Principal(ANN.address, login="test"), "SCRAM-SHA-256"),
        'info logged in principal="192.0.2.1 user:test" mechanism=SCRAM-SHA-256',
    ),
    (
        facts.LoginRefused(ANN, "root", "no such user, or another password", "535 5.7.8 no"),
        (
            'warning login refused principal=192.0.2.1 login=root why="no such user, or another password" '
            'reply="535 5.7.8 no"'
        ),
    ),
    (
        facts.ReleaseDecided(ANN, "test.example", ("test.example",), "253 2.0.0 OK"),
        'info release granted principal=192.0.2.1 node=test.example granted=test.example reply="253 2.0.0 OK"',
    ),
    (
        facts.ReleaseDecided(ANN, "x.example", (), "459 4.7.1 no"),
        'info release not granted principal=192.0.2.1 node=x.example reply="459 4.7.1 no"',
    ),
    (
        facts.ReleaseStarted(3, "test.example", "operator", "192.0.2.25:25", 14, 57344),
        (
            "info release started release=3 domain=test.example requester=operator target=192.0.2.25:25 items=14 "
            "octets=57344"
        ),
    ),
    (
        DELIVERED,
        (
            "info item delivered item=0KWMNSNFG00-1 domain=test.example release=3 target=192.0.2.25:25 recipients=1 "
            'octets=4096 reply="250 2.0.0 OK"'
        ),
    ),
    (
        facts.ItemDeferred(ITEM, TEST, 3, "192.0.2.25:25", 1, "451 later"),
        (
            "info item deferred item=0KWMNSNFG00-1 domain=test.example release=3 target=192.0.2.25:25 recipients=1 "
            'reason="451 later"'
        ),
    ),
    (
        facts.ItemFailed(ITEM, TEST, 3, "192.0.2.25:25", 1, "550 no", MESSAGE),
        (
            "warning item failed item=0KWMNSNFG00-1 domain=test.example release=3 target=192.0.2.25:25 recipients=1 "
            'reason="550 no" dsn=0KWMNSNFG00'
        ),
    ),
    (
        facts.ItemExpired(ITEM, TEST, "<ann@far.example>", 1, 4096, 7, "it was too late", MESSAGE),
        (
            "warning item expired item=0KWMNSNFG00-1 domain=test.example from=<ann@far.example> recipients=1 "
            'octets=4096 attempts=7 reason="it was too late" dsn=0KWMNSNFG00'
        ),
    ),
    (
        facts.ItemLate(ITEM, TEST, "<ann@far.example>", 1, "it is late", MESSAGE),
        (
            "info item late item=0KWMNSNFG00-1 domain=test.example from=<ann@far.example> recipients=1 "
            'reason="it is late" dsn=0KWMNSNFG00'
        ),
    ),
    (
        facts.ItemReturned(ITEM, TEST, "<ann@far.example>", 1, "closed", MESSAGE),
        (
            "info item sent back item=0KWMNSNFG00-1 domain=test.example from=<ann@far.example> recipients=1 "
            "reason=closed dsn=0KWMNSNFG00"
        ),
    ),
    (
        facts.ItemRedirected(ITEM, TEST, ("a@test.example",), ("b@x.example",)),
        "info item redirected item=0KWMNSNFG00-1 domain=test.example before=a@test.example recipients=b@x.example",
    ),
    (
        facts.NoticeWithheld(ITEM, TEST, "<ann@far.example>", 2),
        "warning notice withheld item=0KWMNSNFG00-1 domain=test.example from=<ann@far.example> recipients=2",
    ),
    (
        facts.ReleaseEnded(3, "test.example", "operator", "192.0.2.25:25", 14, 0, 0, 0, 57344, 1.25, ""),
        (
            "info release ended release=3 domain=test.example requester=operator target=192.0.2.25:25 delivered=14 "
            "deferred=0 failed=0 left=0 octets=57344 seconds=1.250"
        ),
    ),
    (
        facts.CallStarted("office", "office.example:25", "schedule"),
        "info call started call=office office=office.example:25 reason=schedule",
    ),
    (
        facts.CallEnded("office", "office.example:25", 10.0, 1, 2, 3, 4, 0, "window", "no route"),
        (
            "warning call ended call=office office=office.example:25 seconds=10.000 sent=1 sent_octets=2 received=3 "
            'received_octets=4 left=0 ended_by=window error="no route"'
        ),
    ),
    (
        facts.HookEnded("office", "before", ("pon", "provider"), 1.0, ""),
        "info hook ended call=office hook=before argv=pon,provider seconds=1.000",
    ),
    (facts.ConfigurationReloaded("r.toml", ()), "info configuration reloaded file=r.toml"),
    (
        facts.ConfigurationReloaded("r.toml", ("bad",)),
        "error configuration not reloaded file=r.toml problems=bad",
    ),
    (facts.ItemChanged(ITEM, "freeze"), "info item changed item=0KWMNSNFG00-1 verb=freeze"),
    (
        facts.ItemHeldBack(ITEM, TEST, 7000, MESSAGE),
        "info item held back item=0KWMNSNFG00-1 domain=test.example octets=7000 notice=0KWMNSNFG00",
    ),
    (
        facts.ContentDamaged(MESSAGE, (ITEM, ItemId(ITEM + 1))),
        "error content damaged id=0KWMNSNFG00 items=0KWMNSNFG00-1,0KWMNSNFG00-2",
    ),
    (facts.ItemDamaged(ITEM), "error item damaged item=0KWMNSNFG00-1"),
    (facts.SpoolMended(2), "warning spool mended damaged=2"),
    (
        facts.FilterJudged(MESSAGE, True, "no action, 0.50 of 15.00", 0.125),
        'info filter accepts id=0KWMNSNFG00 accepted=True remark="no action, 0.50 of 15.00" seconds=0.125',
    ),
    (
        facts.FilterJudged(MESSAGE, False, "reject", 0.125),
        "info filter refuses id=0KWMNSNFG00 accepted=False remark=reject seconds=0.125",
    ),
    (facts.FilterPassedOver(MESSAGE, 11000), "warning too long for the filter id=0KWMNSNFG00 octets=11000"),
    (facts.FilterFailed("HTTP status 500", 3), 'warning filter fails reason="HTTP status 500" times=3'),
    (
        facts.RecipientsSent(Principal(ipaddress.ip_address("192.0.2.1"), "test"), DomainName("test.example"), 2),
        'info recipients sent principal="192.0.2.1 user:test" domain=test.example recipients=2',
    ),
    (
        facts.RecipientsTold("office", "https://office.example:8025", DomainName("test.example"), 2, ""),
        "info recipients told call=office office=https://office.example:8025 domain=test.example recipients=2",
    ),
    (
        facts.RecipientsTold("office", "https://office.example:8025", DomainName("test.example"), 2, "HTTP status 401"),
        (
            "warning recipients not told call=office office=https://office.example:8025 domain=test.example"
            ' recipients=2 error="HTTP status 401"'
        ),
    ),
    (
        facts.AlarmRaised(facts.AlarmKind.CONTACT, "test.example", "it has not called"),
        'warning alarm alarm=contact-missed subject=test.example text="it has not called"',
    ),
    (
        facts.AlarmCleared(facts.AlarmKind.DISK, "spool", "there is room"),
        'info alarm is over alarm=disk-nearly-full subject=spool text="there is room"',
    ),
    (facts.AlarmsTold("mail", 2, MESSAGE, ""), "info alarms told way=mail alarms=2 id=0KWMNSNFG00"),
    (
        facts.AlarmsTold("webhook", 2, None, "HTTP status 500"),
        'warning alarms not told way=webhook alarms=2 error="HTTP status 500"',
    ),
]


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is written, as text; afterwards the log goes to stderr again."""
    stream = io.StringIO()
    log.configure(stream, {})
    yield stream
    log.configure(environ={})


@pytest.mark.parametrize(
    ("fact", "line"), LINES, ids=lambda value: "" if isinstance(value, str) else type(value).__name__
)
def test_each_fact_has_its_line(written: io.StringIO, fact: Fact, line: str) -> None:
    """Its level, its event, its fields; what is empty is not written."""
    log.log_fact(fact)
    assert written.getvalue().partition(" ")[2] == line + "\n"


def test_every_kind_of_fact_is_among_them() -> None:
    """A new one needs words."""
    assert {type(fact) for fact, _ in LINES} == set(get_args(Fact))


def test_what_the_process_says_of_itself_is_written_at_once(written: io.StringIO) -> None:
    """`ready` stands there as a word."""
    log.say("ready", hostname="office.example")
    assert written.getvalue().split(" ", 1)[1] == "info ready hostname=office.example\n"


def test_facts_and_what_is_said_have_the_same_form(written: io.StringIO) -> None:
    """Although they come by different ways."""
    log.log_fact(facts.CallStarted("a b", "office.example:25", "x\ny"))
    log.say("call started", call="a b", office="office.example:25", reason="x\ny")
    first, second = (line.partition(" ")[2] for line in written.getvalue().splitlines())
    assert first == second


async def test_order_is_kept_between_facts_and_what_is_said(written: io.StringIO) -> None:
    """What is said takes with it what was kept back."""
    log.log_fact(DELIVERED)
    assert written.getvalue() == ""
    log.say("stopping")
    assert [line.split()[2] for line in written.getvalue().splitlines()] == ["item", "stopping"]


def test_what_libraries_log_has_the_same_form(written: io.StringIO) -> None:
    """With the traceback below it, indented."""
    logging.getLogger("asyncio").error("Task failed\n2026-01-01T00:00:00Z info ready", exc_info=ValueError("x\ny"))
    first, *trace = written.getvalue().splitlines()
    assert first.partition(" ")[2] == r"error Task failed\n2026-01-01T00:00:00Z info ready"
    assert trace == ["  ValueError: x", "  y"]


def test_json_where_the_environment_asks_for_it() -> None:
    """One object a line, of the same fields."""
    stream = io.StringIO()
    log.configure(stream, {log.FORMAT_VARIABLE: "json"})
    try:
        log.log_fact(ACCEPTED)
        log.say("ready")
    finally:
        log.configure(environ={})
    accepted, ready = map(json.loads, stream.getvalue().splitlines())
    assert ready.keys() == {"time", "level", "event"}
    del accepted["time"]
    assert accepted == {
        "level": "info",
        "event": "message accepted",
        "id": "0KWMNSNFG00",
        "principal": "192.0.2.1",
        "from": "<ann@far.example>",
        "domains": ["test.example"],
        "recipients": 1,
        "octets": 4096,
    }


@pytest.mark.parametrize("fact", [ACCEPTED, DELIVERED])
async def test_a_line_takes_no_time_worth_speaking_of(written: io.StringIO, fact: Fact) -> None:
    """Ten thousand a second are written beside the mail itself: thirteen calls of functions, a microsecond."""
    log.log_fact(fact)
    with Calls() as calls:
        for _ in range(100):
            log.log_fact(fact)
        log.flush()
    assert calls.number < 20 * 100
    assert written.getvalue()


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_where_it_listens(tmp_path: Path, *, abstract: bool) -> None:
    """By a datagram to the socket it names, a path or an abstract name."""
    name = f"restante-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}" if abstract else str(tmp_path / "notify"))
        systemd.settimeout(60)
        log.notify("READY=1", {log.SOCKET_VARIABLE: f"@{name}" if abstract else str(tmp_path / "notify")})
        assert systemd.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "vsock:2:1", "/nowhere/at/all"])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    """A server is started without systemd, too."""
    log.notify("READY=1", {log.SOCKET_VARIABLE: address})
