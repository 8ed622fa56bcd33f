"""Real messages: the mail files of CPython's own test suite, relayed from an office to a site and compared by hash.

Many are malformed as MIME; a mail server has no opinion on that. A client sends lines with CR LF, so the line ends
of the files are made so first, whatever they were; a last line without an end gets one. What then still holds a bare CR
or a NUL is no mail by RFC 5321 §2.3.8, and is refused with 554.
"""

from __future__ import annotations

import re
import smtplib
from pathlib import Path

import pytest
from tests.here import PEERS, not_here
from tests.stories.letters import recognised
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send, typed

OFFICE = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:{site_port}"
release_from = ["127.0.0.1"]
"""
SITE = """
hostname = "site.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[domains."test.example"]
action = "deliver"
users = "*"
"""


def corpus() -> dict[str, bytes]:
    """The mail files by name, as a mail program would send them."""
    files = sorted(PEERS.glob("usr/lib/python3.*/test/test_email/data/*.txt"))
    if len(files) < 40:
        not_here("no mail files of CPython in .peers/ (script/peers fetches them on Debian or Ubuntu)")
    contents = {file.stem.replace("_", "-"): re.sub(rb"\r?\n", b"\r\n", file.read_bytes()) for file in files}
    return {name: content if content.endswith(b"\r\n") else content + b"\r\n" for name, content in contents.items()}


def test_every_message_arrives_as_it_was(tmp_path: Path) -> None:
    """Each in the mailbox of its own recipient, with the hash that it was sent with."""
    port, site_port = free_port(), free_port()
    messages = corpus()
    with (
        RestanteHost(tmp_path / "office", OFFICE.format(port=port, site_port=site_port)) as office,
        RestanteHost(tmp_path / "site", SITE.format(port=site_port)) as site,
    ):
        sent = {}
        for name, content in messages.items():
            if re.search(rb"\r(?!\n)|\0", content):
                with pytest.raises(smtplib.SMTPDataError, match=r"5\.6\.0"):
                    send(port, "corpus@elsewhere.example", f"{name}@test.example", content)
            else:
                send(port, "corpus@elsewhere.example", f"{name}@test.example", content)
                sent[name] = content
        assert len(sent) >= 40

        said = typed(port, "ETRN test.example")
        assert said == [f"253 2.0.0 OK, {len(sent)} pending messages for node test.example started"]
        site.wait_for_mail(len(sent))
        office.wait_until_empty()
        for name, content in sent.items():
            assert recognised(site.mail(f"{name}@test.example"), [content]) == {content: 1}, name
        assert len(site.all_mail()) == len(sent)
