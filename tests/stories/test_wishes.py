"""What a sender wishes for besides delivery, from one restante to the next: TLS all the way, a time, a priority."""

from __future__ import annotations

import json
import smtplib
import ssl
from pathlib import Path
from typing import Any

import pytest
from tests.net.authority import Wish, self_made
from tests.stories.letters import letter
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost

from restante.net.tls_layers import pin_of

SITE_KEY = self_made(Wish(("site.example",)))

OFFICE = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[relay]
from = ["127.0.0.0/8"]
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:{site}"
tls = "{tls}"
{pin}
"""

SITE = """
hostname = "site.example"
data = "data"
[tls]
certificate = "{certificate}"
key = "{key}"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[relay]
from = ["127.0.0.0/8"]
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:1"
"""


class Hosts:
    """An office, and a site that keeps what it gets, so that it can be looked at; the office knows the site's key."""

    def __init__(self, folder: Path) -> None:
        self.port, self._site_port = free_port(), free_port()
        pair = SITE_KEY.write(folder, "site-key")
        config = SITE.format(certificate=pair.certificate, key=pair.key, port=self._site_port)
        self.site = RestanteHost(folder / "site", config)
        self.office = RestanteHost(folder / "office", self.office_config("opportunistic"))

    def office_config(self, tls: str) -> str:
        """The office's, with that level towards the site."""
        pin = f'tls_pin = ["sha256:{pin_of(SITE_KEY.certificate)}"]' if tls == "required" else ""
        return OFFICE.format(port=self.port, site=self._site_port, tls=tls, pin=pin)

    def shown(self, host: RestanteHost) -> list[dict[str, Any]]:
        """All that waits in a host, as `restante show` tells it, in the order in which it came."""
        ids = [item["id"] for item in host.items()]
        return [shown for each in ids for shown in json.loads(host.cli("show", each, "--json"))["items"]]


def write(port: int, content: bytes, *wishes: str, to: str = "bert", tls: bool = False) -> None:
    """A message from anna, with these parameters of MAIL. Raises smtplib.SMTPSenderRefused."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=90) as client:
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.starttls(context=context)
        client.sendmail("anna@far.example", f"{to}@test.example", content, mail_options=wishes)


def test_a_message_with_requiretls_waits_until_its_next_hop_is_proven_and_then_goes_on_with_it(tmp_path: Path) -> None:
    """In clear it is not even taken (RFC 8689 §2). A site whose certificate may be anybody's hears nothing of it."""
    hosts = Hosts(tmp_path)
    with hosts.site as site, hosts.office as office:
        with pytest.raises(smtplib.SMTPSenderRefused) as caught:
            write(hosts.port, letter("too open"), "REQUIRETLS")
        assert (caught.value.smtp_code, caught.value.smtp_error[:6]) == (530, b"5.7.10")
        write(hosts.port, letter("private"), "REQUIRETLS", "BY=3600;R", tls=True)
        write(hosts.port, letter("open"), tls=True)

        office.cli("release", "test.example", "--wait", status=1)
        [waiting] = hosts.shown(office)
        assert waiting["requiretls"]
        assert waiting["item"]["detail"].startswith("450 4.7.10 ")
        [arrived] = hosts.shown(site)
        assert not arrived["requiretls"]

        office.config.write_text(hosts.office_config("required"))
        office.cli("reload")
        office.cli("release", "test.example", "--wait")
        assert office.waiting() == 0
        _, private = hosts.shown(site)
        assert private["requiretls"]
        assert private["comes_back"]
        assert abs(private["deliver_by"] - waiting["deliver_by"]) < 5


def test_what_is_urgent_leaves_first_and_is_so_at_the_next_hop_too(tmp_path: Path) -> None:
    """RFC 6710: a window that is too short has it first; within one level mail goes in its own order."""
    hosts = Hosts(tmp_path)
    asked = [0, -4, 4, None, 9, 4, -9, 0]
    with hosts.office as office:
        for number, priority in enumerate(asked):
            wishes = () if priority is None else (f"MT-PRIORITY={priority}",)
            write(hosts.port, letter("urgent or not"), *wishes, to=f"user{number}")
        with hosts.site as site:
            office.cli("release", "test.example", "--wait")
            came = [(item["priority"], item["recipients"][0].partition("@")[0]) for item in site.items()]
            assert [priority for priority, _ in came] == [9, 4, 4, 0, 0, 0, -4, -9]
            assert [user for _, user in came] == [f"user{number}" for number in (4, 2, 5, 0, 3, 7, 1, 6)]
