"""Real fetchmail asks our office by ETRN, as many sites' crontabs do; the office then delivers to the site."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.stories.letters import letter, recognised
from tests.stories.peers import fetchmail
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send

pytestmark = pytest.mark.peer


def office_config(port: int, site_port: int, *, more: str = "") -> str:
    """Holds two domains of one site; `more` goes into the table of each."""
    held = "\n".join(
        f"""
[domains."{domain}"]
action = "hold"
next_hop = "127.0.0.1:{site_port}"
release_from = ["127.0.0.1"]
{more}
"""
        for domain in ("one.example", "two.example")
    )
    return f"""
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
{held}
[domains."forbidden.example"]
action = "hold"
next_hop = "127.0.0.1:{site_port}"
"""


def site_config(port: int) -> str:
    """Reads the mail of both domains."""
    return f"""
hostname = "site.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[domains."one.example"]
action = "deliver"
users = ["anna"]
[domains."two.example"]
action = "deliver"
users = ["bert"]
"""


def test_fetchmail_brings_the_mail_of_its_domains(tmp_path: Path) -> None:
    """Both domains are asked for on one connection; status 0, and all mail arrives."""
    port, site_port = free_port(), free_port()
    with (
        RestanteHost(tmp_path / "office", office_config(port, site_port)) as office,
        RestanteHost(tmp_path / "site", site_config(site_port)) as site,
    ):
        letters = [letter(f"number {n}") for n in range(20)]
        for n, content in enumerate(letters):
            send(port, "world@elsewhere.example", "anna@one.example" if n % 2 else "bert@two.example", content)
        done = fetchmail(port, "one.example", "two.example", folder=tmp_path)
        assert done.returncode == 0, done
        assert "253 2.0.0 OK, 10 pending messages for node one.example started" in done.stdout
        assert "253 2.0.0 OK, 10 pending messages for node two.example started" in done.stdout
        site.wait_for_mail(20)
        office.wait_until_empty()
        assert recognised(site.mail("anna@one.example"), letters) == dict.fromkeys(letters[1::2], 1)
        assert recognised(site.mail("bert@two.example"), letters) == dict.fromkeys(letters[0::2], 1)


def test_fetchmail_stops_at_the_first_empty_domain(tmp_path: Path) -> None:
    """At 251 it asks no further: the trap that etrn_empty = 250 is for."""
    port, site_port = free_port(), free_port()
    with (
        RestanteHost(tmp_path / "office", office_config(port, site_port)) as office,
        RestanteHost(tmp_path / "site", site_config(site_port)),
    ):
        send(port, "world@elsewhere.example", "bert@two.example", letter("waits in vain"))
        done = fetchmail(port, "one.example", "two.example", folder=tmp_path)
        assert "251 2.0.0 OK, no messages waiting for node one.example" in done.stdout
        assert "ETRN two.example" not in done.stdout
        assert office.waiting() == 1


def test_etrn_empty_250_keeps_fetchmail_asking(tmp_path: Path) -> None:
    """250 for the empty domain, so that it goes on to the next, whose mail comes; status 0."""
    port, site_port = free_port(), free_port()
    with (
        RestanteHost(tmp_path / "office", office_config(port, site_port, more="etrn_empty = 250")) as office,
        RestanteHost(tmp_path / "site", site_config(site_port)) as site,
    ):
        send(port, "world@elsewhere.example", "bert@two.example", letter("comes"))
        done = fetchmail(port, "one.example", "two.example", folder=tmp_path)
        assert done.returncode == 0, done
        assert "250 2.0.0 OK, queuing for node one.example started" in done.stdout
        site.wait_for_mail(1)
        office.wait_until_empty()


@pytest.mark.parametrize("domain", ["forbidden.example", "nosuch.example"])
def test_fetchmail_fails_where_it_may_not_ask(domain: str, tmp_path: Path) -> None:
    """459 is an authorization failure to it (status 3), the same for a domain that is not there."""
    port = free_port()
    with RestanteHost(tmp_path / "office", office_config(port, free_port())):
        send(port, "world@elsewhere.example", "x@forbidden.example", letter("stays"))
        done = fetchmail(port, domain, folder=tmp_path)
        assert f"459 4.7.1 Node {domain} not allowed" in done.stdout
        assert done.returncode == 3, done
