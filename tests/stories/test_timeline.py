"""A site asks, a call goes wrong: the API tells of both, and a restart forgets neither."""

from __future__ import annotations

import smtplib
from pathlib import Path
from typing import Any

import httpx2
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.web.office import HASH, PASSWORD

CONFIG = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{smtp}"
[admin]
address = "127.0.0.1:{http}"
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:{closed}"
release_from = ["127.0.0.1"]
contact = "0 3 * * *"
[calls.up]
host = "127.0.0.1:{closed}"
domains = ["test.example"]
window = "1s"
schedule = "0 4 * * *"
[users.root]
password = "{password}"
admin = true
"""


def lanes(port: int) -> tuple[Any, Any]:
    """Those of the call and of the domain."""
    answer = httpx2.get(
        f"http://127.0.0.1:{port}/api/timeline", auth=("root", PASSWORD), trust_env=False, timeout=90
    ).json()
    ((call,), (domain,)) = answer["calls"], answer["domains"]
    return call, domain


def test_what_was_is_there_after_a_restart(tmp_path: Path) -> None:
    """The contact, and the call with what became of it."""
    smtp, http = free_port(), free_port()
    config = CONFIG.format(smtp=smtp, http=http, closed=free_port(), password=HASH)
    with RestanteHost(tmp_path / "office", config) as office:
        with smtplib.SMTP("127.0.0.1", smtp, timeout=90) as client:
            client.ehlo("site.example")
            code, said = client.docmd("ETRN", "test.example")
            assert 250 <= code <= 253, said
        office.cli("call", "up", "--wait", status=None)
        call, domain = lanes(http)
        (made,) = call["calls"]
        assert (made["reason"], made["outcome"], made["received"]) == ("operator", "nothing", 0)
        assert "Connection refused" in made["error"]
        assert 0 <= made["end"] - made["start"] < 90
        assert [contact["asked"] for contact in domain["contacts"]] == [1]
        assert domain["next_contact"] in [span["start"] for span in domain["expected"]]
        assert call["next_start"] in [window["start"] for window in call["windows"]]
        office.stop()
        office.start()
        again, domain_again = lanes(http)
        assert (again["calls"], domain_again["contacts"]) == ([made], domain["contacts"])
