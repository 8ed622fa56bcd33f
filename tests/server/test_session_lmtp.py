"""A session of the service `lmtp`: its answers for each recipient, its word in the Received field, no more rights."""

from __future__ import annotations

from tests.server.office import Office, Peer

from restante.facts import MessageAccepted
from restante.smtp.services import Service
from restante.spool.spool import SpoolFull


async def greeted(office: Office) -> Peer:
    """A peer of the service, greeted."""
    office.service = Service.LMTP
    peer = await office.connect()
    await peer.play("S: 220 office.example LMTP restante")
    peer.say("LHLO client.example\r\n")
    while (await peer.hear())[0][3] == "-":
        pass
    return peer


async def test_a_message_is_one_and_is_answered_for_each_recipient(office: Office) -> None:
    """One commit, the same words for all; RFC 3848 and RFC 6531 have the protocol's name in the trace."""
    peer = await greeted(office)
    for parameters in ("", " SMTPUTF8"):
        peer.say(f"MAIL FROM:<ann@far.example>{parameters}\r\nRCPT TO:<anna@test.example>\r\n")
        peer.say("RCPT TO:<nobody@localtest.example>\r\nRCPT TO:<bert@other.example>\r\nBDAT 3 LAST\r\nx\r\n")
        heard = await peer.hear(6)
        assert [line[:3] for line in heard] == ["250", "250", "550", "250", "250", "250"]
        assert heard[4] == heard[5]
        assert "queued as" in heard[5]
    assert [fact.recipients for fact in office.told(MessageAccepted)] == [2, 2]
    contents = [await office.content(item) for item in await office.waiting()]
    assert [b" with LMTP id " in content for content in contents] == [True, True, False, False]
    assert [b" with UTF8LMTP id " in content for content in contents] == [False, False, True, True]


async def test_a_stranger_may_send_no_further_than_at_mx(office: Office) -> None:
    """Nor has it ETRN, nor a login; without a recipient there is no content."""
    peer = await greeted(office)
    await peer.play(
        """
        C: MAIL FROM:<ann@far.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<bert@elsewhere.example>
        S: 550 5.7.1 Relay access denied
        C: DATA
        S: 503 5.5.1 Bad sequence of commands
        C: RSET
        S: 250 2.0.0 OK
        C: ETRN test.example
        S: 502 5.5.1 Command not implemented
        C: AUTH PLAIN AHRlc3QAeA==
        S: 502 5.5.1 Command not implemented
        """
    )


async def test_a_disk_that_is_full_is_told_to_each(office: Office) -> None:
    """For no recipient was anything stored."""
    office.held.error = SpoolFull(1, 0)
    peer = await greeted(office)
    peer.say("MAIL FROM:<ann@far.example>\r\nRCPT TO:<anna@test.example>\r\nRCPT TO:<bert@other.example>\r\n")
    peer.say("DATA\r\nx\r\n.\r\nNOOP\r\n")
    assert [line[:3] for line in await peer.hear(7)] == ["250", "250", "250", "354", "452", "452", "250"]
    assert await office.waiting() == []
