"""A real rspamd before the spool of an office: spam is refused, no mail passes unseen, signatures hold."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import smtplib
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.stories.letters import letter
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.rspamd import GTUBE, Rspamd
from tests.stories.wire import send
from tests.stories.world import World

pytestmark = pytest.mark.peer

RULES = """\
rspamd_config.BARGAIN = {
  callback = function(task) return (task:get_header('Subject') or ''):find('bargain') ~= nil end,
  score = 7.0,
}
rspamd_config.HASTE = {
  callback = function(task) return (task:get_header('Subject') or ''):find('hurry') ~= nil end,
  score = 4.5,
}
rspamd_config:register_symbol({
  name = 'WHO',
  type = 'postfilter',
  callback = function(task)
    if not task:get_recipients('smtp') then return end
    local to = {}
    for _, each in ipairs(task:get_recipients('smtp')) do table.insert(to, each.addr) end
    local told = {
      tostring(task:get_from_ip()), task:get_helo() or '', task:get_from('smtp')[1].addr,
      table.concat(to, ' '), task:get_user() or 'nobody', task:get_queue_id() or '',
    }
    task:set_milter_reply({ add_headers = { ['X-Who'] = table.concat(told, '|') } })
  end,
})
"""


def office_config(port: int, filter_port: int, more: str = "") -> str:
    """An office with mailboxes, and a filter."""
    return f"""
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
[domains."test.example"]
action = "deliver"
users = ["anna", "bert"]
[filter]
rspamd = "http://127.0.0.1:{filter_port}"
timeout = "60s"
{more}
"""


def refused(port: int, content: bytes) -> str:
    """What is said to a message that is not taken."""
    with pytest.raises(smtplib.SMTPDataError) as caught:
        send(port, "world@far.example", "anna@test.example", content)
    text = caught.value.smtp_error
    return f"{caught.value.smtp_code} {text.decode() if isinstance(text, bytes) else text}"


def in_anna_s_mailbox(office: RestanteHost) -> list[bytes]:
    """Her messages, with the line ends of the wire."""
    return [message.replace(b"\n", b"\r\n") for message in office.mail("anna@test.example")]


def test_rspamd_refuses_marks_and_lets_through(tmp_path: Path) -> None:
    """By its own words; a marked message has the mark above all else, and below it what was sent."""
    port = free_port()
    with (
        Rspamd("filter", RULES) as rspamd,
        RestanteHost(tmp_path / "office", office_config(port, rspamd.port)) as office,
    ):
        assert refused(port, letter("spam", f"{GTUBE}\n")) == "550 5.7.1 Gtube pattern"
        assert refused(port, letter("hurry up")).startswith("451 4.7.1 ")
        recipients = ["anna@test.example", "bert@test.example"]
        sent = [letter("a letter", "x\n"), letter("a bargain"), letter("a long bargain", "yz\n" * 100_000)]
        for number, content in enumerate(sent):
            send(port, "world@far.example", recipients[: 1 + number], content)
        office.wait_for_mail(5)
        plain, marked, long = sorted(in_anna_s_mailbox(office), key=len)
        office.wait_for_log("filter accepts", times=3)
        assert 'remark="reject, 15.00 of 15.00"' in office.log()

    fields, _, rest = marked.partition(b"Received: ")
    assert b"X-Spam: Yes\r\nX-Spam-Status: Yes, score=7.00 required=15.00\r\nX-Who: " in fields
    assert rest.endswith(sent[1])
    assert b"X-Spam" not in plain
    assert plain.endswith(sent[0])
    assert b"X-Spam: Yes\r\n" in long
    assert long.endswith(sent[2])
    who = fields.partition(b"X-Who: ")[2].strip().decode().split("|")
    assert who[:5] == [
        "127.0.0.1",
        "client.example",
        "world@far.example",
        "anna@test.example bert@test.example",
        "nobody",
    ]
    assert f" id {who[5]}".encode() in rest


def test_mail_waits_outside_while_rspamd_is_away_or_hangs(tmp_path: Path) -> None:
    """It is told 451, as often as it comes; the same message is taken once rspamd is back."""
    port, filter_port = free_port(), free_port()
    config = office_config(port, filter_port).replace("60s", "1s")
    content = letter("patient")
    no_verdict = "451 4.7.1 The mail filter does not answer, try again later"
    began = time.monotonic()
    with RestanteHost(tmp_path / "office", config) as office:
        assert refused(port, content) == no_verdict
        with Rspamd("filter", port=filter_port) as rspamd:
            with rspamd.hanging():
                assert refused(port, content) == no_verdict
            take(port, letter("first"))
        assert refused(port, content) == no_verdict
        with Rspamd("filter", port=filter_port):
            take(port, content)
        office.wait_for_mail(2)
        assert len(office.mail("anna@test.example")) == 2
    minutes = (time.monotonic() - began) // 60
    assert 1 <= office.log().count("filter fails") <= 1 + minutes, "it is told once a minute"


def take(port: int, content: bytes) -> None:
    """Sends it, again and again as a server does, until it is taken: the filter may be slow on a busy machine."""
    for _ in range(30):
        with contextlib.suppress(smtplib.SMTPDataError):
            send(port, "world@far.example", "anna@test.example", content)
            return
    raise AssertionError("it was never taken")


def test_a_reload_changes_who_is_asked(tmp_path: Path) -> None:
    """And what is longer than the filter's limit is taken unseen, and told."""
    port = free_port()
    spam = letter("spam", f"{GTUBE}\n")
    with Rspamd("filter", RULES) as rspamd:
        nowhere = office_config(port, free_port())
        with RestanteHost(tmp_path / "office", nowhere) as office:
            assert refused(port, spam).startswith("451 4.7.1 ")
            office.config.write_text(office_config(port, rspamd.port, 'message_size = "2KB"'))
            office.cli("reload")
            assert refused(port, spam).startswith("550 5.7.1 ")
            long = letter("long spam", f"{GTUBE}\n" * 1000)
            send(port, "world@far.example", "anna@test.example", long)
            office.wait_for_log("too long for the filter")
            office.config.write_text(nowhere.partition("[filter]")[0])
            office.cli("reload")
            send(port, "world@far.example", "anna@test.example", spam)
            office.wait_for_mail(2)


@pytest.mark.netns
@pytest.mark.parametrize("paragraphs", [1, 20_000])
def test_a_signature_holds_under_what_is_put_on_top(tmp_path: Path, paragraphs: int) -> None:
    """DKIM, verified by rspamd by a key from the DNS: when it comes, and again as it lies in the mailbox."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    text = " ".join(f'"{part}"' for part in ("v=DKIM1; k=rsa; p=", public[:200], public[200:]))
    content = signed(letter("a signed bargain", "Grüße, 東京.\n" * paragraphs, "world@far.example"), key)
    with World() as world:
        world.zone("far.example", f"sel._domainkey TXT {text}")
        world.start_dns()
        with (
            Rspamd("filter", RULES, nameserver="127.0.0.1:53", settings="dkim { check_local = true; }") as rspamd,
            RestanteHost(tmp_path / "office", office_config(2525, rspamd.port)) as office,
        ):
            assert set(rspamd.scan(content.replace(b"bargain", b"burgain"))["symbols"]) >= {"R_DKIM_REJECT"}
            send(2525, "world@far.example", "anna@test.example", content)
            office.wait_for_mail(1)
            [stored] = in_anna_s_mailbox(office)
            assert b"X-Spam: Yes\r\n" in stored
            assert set(rspamd.scan(stored)["symbols"]) >= {"R_DKIM_ALLOW", "BARGAIN"}


def signed(content: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """The message with a DKIM signature of far.example (RFC 6376, simple/simple)."""
    header, _, body = content.partition(b"\r\n\r\n")
    subject = next(line for line in header.split(b"\r\n") if line.startswith(b"Subject:"))
    sender = next(line for line in header.split(b"\r\n") if line.startswith(b"From:"))
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    field = (
        f"DKIM-Signature: v=1; a=rsa-sha256; d=far.example; s=sel;\r\n\th=from:subject; bh={digest};\r\n\tb=".encode()
    )
    made = key.sign(b"\r\n".join([sender, subject, field]), padding.PKCS1v15(), hashes.SHA256())
    return field + base64.b64encode(made) + b"\r\n" + content
