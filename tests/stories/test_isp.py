"""The article's first example: an ISP's server queues for testcompany.example; the company's own server, online at
times, calls it on its schedule; the ISP decides by the address that asks, and the mail goes to the right users.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.stories.letters import letter, recognised
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send, typed

STRANGER = "127.0.0.9"


def isp_config(port: int, company_port: int) -> str:
    """The ISP: holds the company's mail, and gives it to the company's address alone."""
    return f"""
hostname = "mail.isp.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[domains."testcompany.example"]
action = "hold"
next_hop = "127.0.0.1:{company_port}"
release_from = ["127.0.0.1"]
"""


def company_config(port: int, isp_port: int, schedule: str) -> str:
    """The company's in-house server: mailboxes, and a call to the ISP."""
    return f"""
hostname = "mail.testcompany.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[domains."testcompany.example"]
action = "deliver"
users = ["anna", "bert", "carla"]
aliases = {{ sales = ["anna", "carla"] }}
[calls.isp]
host = "127.0.0.1:{isp_port}"
domains = ["testcompany.example"]
schedule = "{schedule}"
window = "1m"
idle = "3s"
"""


@pytest.mark.timeout(300)
def test_mail_that_the_isp_queued_is_in_the_users_maildirs_after_the_scheduled_call(tmp_path: Path) -> None:
    """The whole day: the world writes, a stranger gets nothing, the clock strikes, everybody has their own mail."""
    isp_port, company_port = free_port(), free_port()
    company = RestanteHost(tmp_path / "company", company_config(company_port, isp_port, "* * * * *"))
    with RestanteHost(tmp_path / "isp", isp_config(isp_port, company_port)) as isp:
        sent: dict[str, list[bytes]] = {"anna": [], "bert": [], "sales": []}
        for n in range(6):
            for user, letters in sent.items():
                letters.append(letter(f"{n} for {user}", sender="world@elsewhere.example"))
                send(isp_port, "world@elsewhere.example", f"{user}@testcompany.example", letters[-1])

        said = typed(isp_port, "ETRN testcompany.example", source=STRANGER)
        assert said == ["459 4.7.1 Node testcompany.example not allowed"]
        assert isp.waiting() == 18

        with company:  # comes online; nobody types anything from here on
            company.wait_for_mail(24, patience=200)  # 6 each, and those to sales twice
            isp.wait_until_empty()
            everything = [content for letters in sent.values() for content in letters]
            own = {
                user: recognised(company.mail(f"{user}@testcompany.example"), everything)
                for user in ("anna", "bert", "carla")
            }
            assert own["anna"] == dict.fromkeys(sent["anna"] + sent["sales"], 1)
            assert own["bert"] == dict.fromkeys(sent["bert"], 1)
            assert own["carla"] == dict.fromkeys(sent["sales"], 1)


def test_the_reply_tells_the_number_of_messages(tmp_path: Path) -> None:
    """253 with the count, then 251 once all is gone; a message for a user that is unknown there never enters."""
    isp_port, company_port = free_port(), free_port()
    with (
        RestanteHost(tmp_path / "isp", isp_config(isp_port, company_port)) as isp,
        RestanteHost(tmp_path / "company", company_config(company_port, isp_port, "0 3 1 1 *")) as company,
    ):
        for n in range(3):
            send(isp_port, "world@elsewhere.example", "bert@testcompany.example", letter(str(n)))
        said = typed(isp_port, "EHLO mail.testcompany.example", "ETRN testcompany.example")
        assert "ETRN" in {line[4:] for line in said[0].split("\n")}
        assert said[1] == "253 2.0.0 OK, 3 pending messages for node testcompany.example started"
        company.wait_for_mail(3)
        isp.wait_until_empty()
        said = typed(isp_port, "ETRN testcompany.example")
        assert said == ["251 2.0.0 OK, no messages waiting for node testcompany.example"]


def test_the_operator_can_make_the_call_by_hand(tmp_path: Path) -> None:
    """`restante call isp --wait` returns when the mail has come; into the mailboxes it goes at once."""
    isp_port, company_port = free_port(), free_port()
    with (
        RestanteHost(tmp_path / "isp", isp_config(isp_port, company_port)) as isp,
        RestanteHost(tmp_path / "company", company_config(company_port, isp_port, "0 3 1 1 *")) as company,
    ):
        letters = [letter(str(n)) for n in range(25)]
        for content in letters:
            send(isp_port, "world@elsewhere.example", "anna@testcompany.example", content)
        company.cli("call", "isp", "--wait")
        company.wait_for_mail(25)
        assert recognised(company.mail("anna@testcompany.example"), letters) == dict.fromkeys(letters, 1)
        assert isp.waiting() == 0


def test_a_site_that_is_refused_says_so_with_its_exit_status(tmp_path: Path) -> None:
    """The ISP does not know this address any more: status 1, and nothing has moved."""
    isp_port, company_port = free_port(), free_port()
    refusing = isp_config(isp_port, company_port).replace('["127.0.0.1"]', f'["{STRANGER}"]')
    with (
        RestanteHost(tmp_path / "isp", refusing) as isp,
        RestanteHost(tmp_path / "company", company_config(company_port, isp_port, "0 3 1 1 *")) as company,
    ):
        send(isp_port, "world@elsewhere.example", "anna@testcompany.example", letter("waits"))
        company.cli("call", "isp", "--wait", status=1)
        company.cli("etrn", f"127.0.0.1:{isp_port}", "testcompany.example", status=1)
        assert isp.waiting() == 1
