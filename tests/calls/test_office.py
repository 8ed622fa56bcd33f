"""The conversation with an office, on the wire: in clear, encrypted, and with those that do not play by the rules."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.calls.played import BYE, GREETING, OFFICE, REFUSES, PlayedOffices, etrn

from restante.calls.office import Contact, Office
from restante.calls.office import etrn as asking
from restante.model import HostPort
from restante.net.asyncio_stream import AsyncioStream, memory_pair
from restante.net.tls import TlsLevel, TlsPolicy, self_signed, server_context
from restante.smtp.reply import Reply
from restante.transport.greeting import Manners


async def contact(
    offices: PlayedOffices, *nodes: str, tls: TlsLevel = TlsLevel.OPPORTUNISTIC, patience: float = 60
) -> tuple[Contact, list[str]]:
    """How it went, and what was heard for each node."""
    heard: list[str] = []
    connected: list[bool] = []

    def hear(node: str, reply: Reply) -> None:
        heard.append(f"{node}: {reply}")

    manners = Manners("site.example", OFFICE.host, TlsPolicy(tls), patience=patience)
    office = Office(OFFICE, offices, manners, connected=lambda: connected.append(True))
    ended = await office.contact(asking(nodes, hear))
    await offices.closed()
    return ended, heard


async def test_one_etrn_for_each_node_and_a_farewell() -> None:
    """The whole of RFC 1985."""
    offices = PlayedOffices(f"""{GREETING}
        C: ETRN test.example
        S: 250-2.0.0 wait
        S: 250 2.0.0 OK, queuing for node test.example started
        C: ETRN @example
        S: 458 4.3.0 Unable to queue messages for node @example
        C: ETRN #customers
        S: 459 4.7.1 Node #customers not allowed
        C: ETRN [192.0.2.7]
        S: 251 OK
    {BYE}""")
    ended, heard = await contact(offices, "test.example", "@example", "#customers", "[192.0.2.7]")
    assert ended == Contact()
    assert heard == [
        "test.example: 250 2.0.0 wait OK, queuing for node test.example started",
        "@example: 458 4.3.0 Unable to queue messages for node @example",
        "#customers: 459 4.7.1 Node #customers not allowed",
        "[192.0.2.7]: 251 OK",
    ]
    await offices.finished()


async def test_an_office_that_knows_no_ehlo_is_greeted_with_helo() -> None:
    """RFC 5321 §3.2; ETRN may still work, so it is asked."""
    offices = PlayedOffices("""
        S: 220 old.example
        C: EHLO site.example
        S: 500 what?
        C: HELO site.example
        S: 250 old.example
        C: ETRN test.example
        S: 252 OK
        C: QUIT
        S: 221 Bye
    """)
    assert await contact(offices, "test.example") == (Contact(), ["test.example: 252 OK"])
    await offices.finished()


@pytest.mark.parametrize(
    ("script", "problem", "is_final"),
    [
        (REFUSES, "office.example:25: Connection refused", False),
        ("", "office.example:25: hung up", False),
        ("S: 220-office", "office.example:25: hung up", False),
        ("S: 554 5.7.1 no", "office.example:25: 554 5.7.1 no", True),
        ("S: 451 not now", "office.example:25: 451 not now", False),
        ("S: 421 4.3.2 down", "office.example:25: 421 4.3.2 down", False),
        ("S: HTTP/1.1 400 Bad Request", "office.example:25: not a reply: b'HTTP/1.1 400 Bad Request'", False),
        ("S: 220-office\nS: 250 office", "office.example:25: one reply with codes 220 and 250", False),
        (f"S: {'2' * 5000}", None, False),
        (f"{GREETING}\nC: ETRN a.example\nS: 421 4.7.0 enough", "office.example:25: 421 4.7.0 enough", False),
        ("S: 220 x\nC: EHLO site.example\nS: 451 later", "office.example:25: 451 later", False),
        (
            "S: 220 x\nC: EHLO site.example\nS: 550 no\nC: HELO site.example\nS: 550 no",
            "office.example:25: 550 no",
            True,
        ),
    ],
)
async def test_what_an_office_may_do_instead(script: str, problem: str | None, is_final: bool) -> None:
    """Each has its words, and tells whether to come again."""
    ended, heard = await contact(PlayedOffices(script), "a.example", "b.example")
    assert heard == []
    assert ended.is_final is is_final
    assert ended.problem if problem is None else ended.problem == problem


async def test_a_silent_office_is_left_after_a_while() -> None:
    """However slowly it talks: the time is for a whole reply."""
    ended, _ = await contact(PlayedOffices("S: 220-wait\n..."), "a.example", patience=0.05)
    assert ended == Contact("office.example:25: the peer was silent for too long")


async def test_after_5yz_the_rest_is_not_asked() -> None:
    """RFC 1985 §5.2."""
    offices = PlayedOffices(f"{GREETING}\nC: ETRN a.example\nS: 501 Syntax\n{BYE}")
    ended, heard = await contact(offices, "a.example", "b.example", "c.example")
    assert heard == ["a.example: 501 Syntax"]
    assert ended == Contact("office.example:25: b.example, c.example: not asked after 501", is_final=True)
    await offices.finished()


async def test_where_tls_is_required_nothing_is_asked_in_clear() -> None:
    """An office, or a man in the middle, that offers no STARTTLS hears no node."""
    for level in (TlsLevel.REQUIRED, TlsLevel.VERIFY):
        ended, heard = await contact(PlayedOffices(GREETING), "a.example", tls=level)
        assert (ended.problem, ended.is_final, heard) == (
            "office.example:25: TLS is required, and STARTTLS is not offered",
            True,
            [],
        )


OFFERS = """
    S: 220 office.example
    C: EHLO site.example
    S: 250-office.example
    S: 250 STARTTLS
    C: STARTTLS
"""


async def test_starttls_refused_is_no_hindrance_where_it_is_opportunistic() -> None:
    """454 now: in clear; where it is required: not now."""
    refused = f"{OFFERS}\nS: 454 4.3.0 TLS not available"
    offices = PlayedOffices(f"{refused}\nC: ETRN a.example\nS: 251 OK\n{BYE}")
    assert await contact(offices, "a.example") == (Contact(), ["a.example: 251 OK"])
    ended, _ = await contact(PlayedOffices(refused), "a.example", tls=TlsLevel.REQUIRED)
    assert ended == Contact(f"{OFFICE}: TLS is required, and STARTTLS was answered 454 4.3.0 TLS not available")


async def test_a_handshake_that_fails_is_tried_again_in_clear_or_not_at_all() -> None:
    """RFC 7435: some protection, if it can be had; and none pretended where it was demanded."""
    broken = f"{OFFERS}\nS: 220 go ahead"
    offices = PlayedOffices(broken, etrn("251 OK", "a.example"))
    assert await contact(offices, "a.example") == (Contact(), ["a.example: 251 OK"])
    assert offices.dialled == 2
    offices = PlayedOffices(broken)
    ended, heard = await contact(offices, "a.example", tls=TlsLevel.REQUIRED)
    assert (heard, offices.dialled, ended.is_final) == ([], 1, False)
    assert "TLS" in ended.problem


async def test_bytes_injected_ahead_of_tls_end_the_conversation() -> None:
    """CVE-2011-0411, the client's side: what came in clear is not taken for what came encrypted."""
    offices = PlayedOffices(f"{OFFERS}\nS: 220 go ahead\nS: 250 injected")
    ended, heard = await contact(offices, "a.example", tls=TlsLevel.REQUIRED)
    assert heard == []
    assert "sent behind the reply to STARTTLS" in ended.problem or "ahead of the TLS" in ended.problem


@pytest.mark.parametrize("level", [TlsLevel.OPPORTUNISTIC, TlsLevel.REQUIRED, TlsLevel.VERIFY])
async def test_over_tls_all_is_said_again_inside(level: TlsLevel, tmp_path: Path) -> None:
    """A self-signed certificate will do unless it is to be verified."""
    said: list[bytes] = []
    certificate, key, _ = self_signed(tmp_path, "office.example")

    async def office(stream: AsyncioStream) -> None:
        try:
            stream.write(b"220 office\r\n")
            said.append(await stream.read(5))
            stream.write(b"250-office\r\n250 STARTTLS\r\n")
            said.append(await stream.read(5))
            stream.write(b"220 go\r\n")
            await stream.start_tls(server_context(certificate, key), server_side=True)
            while data := await stream.read(5):
                said.append(data)
                stream.write(b"251 OK\r\n")
        except Exception:  # noqa: BLE001 - the site has left the handshake
            stream.abort()
        finally:
            await stream.close()

    async def dial(host: HostPort, *, timeout: float) -> AsyncioStream:  # noqa: ARG001
        ours, theirs = await memory_pair()
        tasks.append(asyncio.create_task(office(theirs)))
        return ours

    tasks: list[asyncio.Task[None]] = []
    heard: list[str] = []
    manners = Manners("site.example", OFFICE.host, TlsPolicy(level), patience=60)
    asked = Office(OFFICE, dial, manners, connected=lambda: None)
    ended = await asked.contact(asking(["a.example"], lambda node, _: heard.append(node)))
    await asyncio.wait(tasks, timeout=60)
    await asyncio.sleep(0.01)
    if level is TlsLevel.VERIFY:
        assert (heard, ended.is_final) == ([], True)
        assert "the certificate is not trusted: self-signed certificate" in ended.problem
    else:
        assert ended == Contact()
        assert said[2:] == [b"EHLO site.example\r\n", b"ETRN a.example\r\n", b"QUIT\r\n"]
