"""A real Postfix is the site that receives a release: with all that it offers, and with less and less of it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from tests.stories.letters import awkward_letters, letter, recognised
from tests.stories.peers import Postfix
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send, typed

pytestmark = pytest.mark.peer

SITE = """
virtual_mailbox_domains = test.example
virtual_mailbox_maps = inline:{anna@test.example=anna/, bert@test.example=bert/, carla@test.example=carla/}
message_size_limit = 20000000
"""


def office_config(port: int, site_port: int) -> str:
    """An office that holds test.example for a Postfix, and where dsn reads the mail of office.example."""
    return f"""
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:{site_port}"
release_from = ["127.0.0.1"]
[domains."office.example"]
action = "deliver"
users = ["dora"]
"""


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("less", "verb"),
    [
        pytest.param("", "bdat", id="all"),
        pytest.param("chunking", "data", id="without CHUNKING"),
        pytest.param("pipelining", "(?:data|bdat)", id="without PIPELINING"),
        pytest.param("chunking, pipelining", "data", id="without CHUNKING and PIPELINING"),
    ],
)
def test_a_release_reaches_postfix_byte_for_byte(less: str, verb: str, tmp_path: Path) -> None:
    """60 messages that have broken mail servers, one refused recipient: equal bodies, each once, and one DSN."""
    port = free_port()
    with (
        Postfix("site", f"{SITE}\nsmtpd_discard_ehlo_keywords = {less}") as site,
        RestanteHost(tmp_path / "office", office_config(port, site.port)) as office,
    ):
        letters = awkward_letters()
        assert len(letters) == 60
        for content in letters:
            send(port, "dora@office.example", "anna@test.example", content)
        to_many = letter("to three, one of them unknown", ".\n.dot\nbody\n")
        send(port, "dora@office.example", [f"{user}@test.example" for user in ("bert", "nobody", "carla")], to_many)

        said = typed(port, "ETRN test.example")
        assert said == ["253 2.0.0 OK, 61 pending messages for node test.example started"]
        site.wait_for_mail(62)
        office.wait_until_empty()

        assert recognised(site.mail("anna"), letters) == dict.fromkeys(letters, 1)
        assert recognised(site.mail("bert") + site.mail("carla"), [to_many]) == {to_many: 2}
        assert site.count() == 62
        assert re.search(rf" {verb}=\d+", closed_connection(site)), site.log()
        [dsn] = office.mail("dora@office.example")
        assert_dsn_about(dsn, "nobody@test.example")


def closed_connection(site: Postfix) -> str:
    """The last line of Postfix's log with the commands of a session, which it writes as that closes."""
    end = time.monotonic() + 90
    while not (lines := re.findall(r".* disconnect from .* mail=.*", site.log())):
        assert time.monotonic() < end, f"no connection has been closed\n{site.log()}"
        time.sleep(0.1)
    return str(lines[-1])


def assert_dsn_about(dsn: bytes, recipient: str) -> None:
    """It is a DSN from the null reverse-path (RFC 3464) that says what Postfix said about this recipient alone."""
    text = dsn.decode().replace("\r\n", "\n")
    assert re.search(r"^Return-Path: *<>$", text, re.MULTILINE | re.IGNORECASE), text
    assert "multipart/report" in text
    assert re.search(rf"^Final-Recipient: *rfc822; *{recipient}$", text, re.MULTILINE | re.IGNORECASE), text
    assert re.search(r"^Action: *failed$", text, re.MULTILINE | re.IGNORECASE), text
    assert re.search(r"^Status: *5\.1\.1$", text, re.MULTILINE | re.IGNORECASE), text
    assert text.count("Final-Recipient") == 1, text


def test_mail_that_postfix_cannot_take_now_waits_for_the_next_release(tmp_path: Path) -> None:
    """4yz to one recipient: no DSN, it waits alone; once Postfix takes it, the next ETRN delivers it."""
    port = free_port()
    busy = SITE + "smtpd_recipient_restrictions = check_recipient_access inline:{{bert@test.example=450 4.2.1 later}}\n"
    site_port = free_port()
    with RestanteHost(tmp_path / "office", office_config(port, site_port)) as office:
        for user in ("anna", "bert"):
            send(port, "dora@office.example", f"{user}@test.example", letter(f"to {user}"))
        with Postfix("busy", busy, port=site_port) as site:
            typed(port, "ETRN test.example")
            site.wait_for_mail(1)
            wait_until_idle(office, items=1)
            assert [len(site.mail(user)) for user in ("anna", "bert")] == [1, 0]
        assert office.mail("dora@office.example") == []
        with Postfix("free", SITE, port=site_port) as site:
            typed(port, "ETRN test.example")
            site.wait_for_mail(1)
            office.wait_until_empty()
            assert [len(site.mail(user)) for user in ("anna", "bert")] == [0, 1]


def wait_until_idle(office: RestanteHost, *, items: int) -> None:
    """Returns once `items` items are left in the office."""
    end = time.monotonic() + 90
    while office.waiting() != items:
        assert time.monotonic() < end, f"{office.waiting()} items are left, not {items}"
        time.sleep(0.1)
