"""swaks and Postfix's smtp-source put mail in: one message exactly, and very many on very many connections."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.stories.letters import letter, recognised
from tests.stories.peers import smtp_source, swaks
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost

pytestmark = pytest.mark.peer


def office_config(port: int) -> str:
    """Holds one domain and delivers another."""
    return f"""
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[domains."held.example"]
action = "hold"
next_hop = "127.0.0.1:{free_port()}"
[domains."office.example"]
action = "deliver"
users = ["anna"]
"""


def test_swaks_delivers_its_data_byte_for_byte(tmp_path: Path) -> None:
    """Dots at line starts and 8-bit text included, with every reply of the conversation 2yz or 354."""
    port = free_port()
    content = letter("by swaks", ".\n..two\n.one\nGrüße\nlast line\n")
    data = tmp_path / "data"
    data.write_bytes(content.removesuffix(b"\r\n"))  # swaks writes CR LF . CR LF behind what it is given
    with RestanteHost(tmp_path / "office", office_config(port)) as office:
        talk = swaks(port, "--from", "a@elsewhere.example", "--to", "anna@office.example", "--data", f"@{data}")
        replies = [line.split()[1] for line in talk.splitlines() if line.startswith("<")]
        assert {reply[:3] for reply in replies} == {"220", "250", "354", "221"}
        office.wait_for_mail(1)
        assert recognised(office.mail("anna@office.example"), [content]) == {content: 1}


def test_swaks_is_told_why_a_recipient_is_refused(tmp_path: Path) -> None:
    """Swaks ends with status 24, its word for a refused recipient."""
    port = free_port()
    with RestanteHost(tmp_path / "office", office_config(port)):
        to = ["--from", "a@elsewhere.example", "--to"]
        assert "550 5.1.1" in swaks(port, *to, "nobody@office.example", status=24)
        assert "550 5.7.1" in swaks(port, *to, "x@elsewhere.example", status=24)


@pytest.mark.parametrize("options", [("-s", "20"), ("-s", "20", "-d"), ("-s", "5", "-d", "-l", "200000")], ids=" ".join)
def test_smtp_source_fills_the_spool(options: tuple[str, ...], tmp_path: Path) -> None:
    """Every message that it was told 250 for waits; -d keeps connections, -l sets the size."""
    port = free_port()
    with RestanteHost(tmp_path / "office", office_config(port)) as office:
        smtp_source(port, "anna@held.example", *options, messages=200)
        assert office.waiting() == 200
        assert "[ERROR" not in office.log().upper()
