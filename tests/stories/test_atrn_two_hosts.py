"""ODMR between two restante hosts, as real processes: mail comes over the connection that the site has made."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.net.authority import Wish, self_made
from tests.stories.letters import awkward_letters, letter, recognised
from tests.stories.nat import behind_nat, run_on
from tests.stories.netns import NetHost, Network
from tests.stories.ports import free_port
from tests.stories.restante_host import RESTANTE, RestanteHost
from tests.stories.wire import send

SECRET = "9mBq2ZK-generated-for-this-site"


def office_config(mx: str, odmr: str, *, more: str = "") -> str:
    """An office that holds mail for two sites, and lets each have its own by ATRN."""
    return f"""
hostname = "office.example"
data = "data"
[[listen]]
address = "{mx}"
service = "mx"
[[listen]]
address = "{odmr}"
service = "odmr"
[domains."test.example"]
action = "hold"
next_hop = "192.0.2.99"
[domains."more.example"]
action = "hold"
next_hop = "192.0.2.99"
[domains."foreign.example"]
action = "hold"
next_hop = "192.0.2.99"
[users.test]
secret = "{SECRET}"
domains = ["test.example", "more.example"]
{more}
"""


def site_config(office: str, *, listen: str, more: str = "") -> str:
    """A site that calls by ATRN, and listens to nobody else."""
    return f"""
hostname = "site.example"
data = "data"
[[listen]]
address = "{listen}"
service = "mx"
[domains."test.example"]
action = "deliver"
users = ["anna", "bert"]
[domains."more.example"]
action = "deliver"
users = "*"
[calls.office]
host = "{office}"
protocol = "atrn"
domains = ["test.example", "more.example"]
user = "test"
password_file = "office.password"
window = "2m"
idle = "20s"
{more}
"""


def site_host(folder: Path, config: str, on: NetHost | None = None, password: str = SECRET) -> RestanteHost:
    """A site with its password beside its configuration."""
    site = RestanteHost(folder, config, on=on)
    (folder / "office.password").write_text(f"{password}\n")
    return site


def call(site: RestanteHost, status: int = 0) -> dict[str, Any]:
    """Has it call the office; how that went."""
    view: dict[str, Any] = json.loads(site.cli("call", "office", "--wait", "--json", status=status))
    return view


def test_awkward_mail_comes_over_the_site_s_own_connection(tmp_path: Path) -> None:
    """Byte for byte, to the right users, once; a second call has nothing to fetch, and is well too."""
    mx, odmr = free_port(), free_port()
    with RestanteHost(tmp_path / "office", office_config(f"127.0.0.1:{mx}", f"127.0.0.1:{odmr}")) as office:
        sent = awkward_letters(big_octets=2_000_000)
        for number, content in enumerate(sent):
            send(mx, "ann@far.example", ("anna@test.example", "carl@more.example")[number % 2], content)
        send(mx, "ann@far.example", "x@foreign.example", letter("somebody else's"))
        config = site_config(f"127.0.0.1:{odmr}", listen=f"127.0.0.1:{free_port()}")
        with site_host(tmp_path / "site", config) as site:
            view = call(site)
            assert (view["error"], view["received"], view["step"]) == ("", len(sent), "counts")
            assert view["replies"][0].startswith("ATRN: 250 ")
            assert [item["domain"] for item in office.items()] == ["foreign.example"]
            site.wait_for_mail(len(sent))
            assert recognised(site.all_mail(), sent) == dict.fromkeys(sent, 1)

            view = call(site)
            assert (view["error"], view["received"]) == ("", 0)
            assert view["replies"][0].startswith("ATRN: 453 ")


def test_a_wrong_password_is_the_call_s_error(tmp_path: Path) -> None:
    """It is told once, not tried again and again; the mail waits."""
    mx, odmr = free_port(), free_port()
    with RestanteHost(tmp_path / "office", office_config(f"127.0.0.1:{mx}", f"127.0.0.1:{odmr}")) as office:
        send(mx, "ann@far.example", "anna@test.example", letter("one"))
        config = site_config(f"127.0.0.1:{odmr}", listen=f"127.0.0.1:{free_port()}")
        with site_host(tmp_path / "site", config, password="another-secret-than-the-office-has") as site:
            view = call(site, status=1)
            assert "the login as test was refused: 535 5.7.8" in view["error"]
            assert view["ended"] - view["started"] < 90
            assert "another-secret" not in site.log()
        assert office.waiting() == 1
        office.wait_for_log("login refused")
    assert office.log().count("login refused") == 1


def test_a_password_is_shown_to_nobody_on_the_way(tmp_path: Path) -> None:
    """SCRAM, bound to the TLS session: neither who listens nor who stands between learns or does anything."""
    made = subprocess.run(
        [str(RESTANTE), "password"], input=b"correct horse battery\n", capture_output=True, check=True
    ).stdout.decode()
    mx, odmr = free_port(), free_port()
    user = f'[users.horse]\n{made}domains = ["test.example"]\n'
    config = office_config(f"127.0.0.1:{mx}", f"127.0.0.1:{odmr}", more=user)
    with RestanteHost(tmp_path / "office", config) as office:
        send(mx, "ann@far.example", "anna@test.example", letter("one"))
        at_site = site_config(f"127.0.0.1:{odmr}", listen=f"127.0.0.1:{free_port()}", more='tls = "required"\n')
        at_site = at_site.replace('user = "test"', 'user = "horse"').replace(', "more.example"]\nuser', "]\nuser")
        with site_host(tmp_path / "site", at_site, password="correct horse battery") as site:
            view = call(site)
            assert (view["error"], view["received"]) == ("", 1)
        office.wait_for_log("mechanism=SCRAM-SHA-256-PLUS")


def test_a_certificate_is_login_enough(tmp_path: Path) -> None:
    """EXTERNAL, inside TLS: no password is anywhere."""
    pair = self_made(Wish(("site.example",)))
    pair.write(tmp_path, "pair")
    mx, odmr = free_port(), free_port()
    user = f'[users.site]\ncertificates = ["{pair.fingerprint}"]\ndomains = ["test.example"]\n'
    with RestanteHost(tmp_path / "office", office_config(f"127.0.0.1:{mx}", f"127.0.0.1:{odmr}", more=user)):
        sent = letter("one")
        send(mx, "ann@far.example", "anna@test.example", sent)
        send(mx, "ann@far.example", "carl@more.example", letter("for another login"))
        config = site_config(f"127.0.0.1:{odmr}", listen=f"127.0.0.1:{free_port()}")
        config = re.sub(r"^(user|password_file) = .*\n", "", config, flags=re.MULTILINE)
        config = config.replace('domains = ["test.example", "more.example"]\n', "")
        more = f'tls = "required"\ncertificate = "{tmp_path}/pair.pem"\nkey = "{tmp_path}/pair.key"\n'
        with RestanteHost(tmp_path / "site", config + more) as site:
            view = call(site)
            assert (view["error"], view["received"]) == ("", 1)
            site.wait_for_mail(1)
            assert recognised(site.mail("anna@test.example"), [sent]) == {sent: 1}


def test_our_own_held_mail_goes_out_in_the_same_call(tmp_path: Path) -> None:
    """Both ways at once; the office takes mail on another port than ATRN."""
    mx, odmr = free_port(), free_port()
    office = office_config(f"127.0.0.1:{mx}", f"127.0.0.1:{odmr}", more='[domains."office.example"]\n')
    office += 'action = "deliver"\nusers = ["olga"]\n'
    with RestanteHost(tmp_path / "office", office) as there:
        theirs, ours = letter("to the site"), letter("to the office")
        send(mx, "ann@far.example", "anna@test.example", theirs)
        listen = free_port()
        held = f'[domains."office.example"]\naction = "hold"\nnext_hop = "127.0.0.1:{mx}"\n'
        config = site_config(f"127.0.0.1:{odmr}", listen=f"127.0.0.1:{listen}", more='flush = ["office.example"]\n')
        with site_host(tmp_path / "site", config + held) as site:
            send(listen, "anna@test.example", "olga@office.example", ours)
            view = call(site)
            assert (view["error"], view["received"], view["sent"]) == ("", 1, 1)
            there.wait_for_mail(1)
            site.wait_for_mail(1)
            assert recognised(there.all_mail(), [ours]) == {ours: 1}
            assert recognised(site.all_mail(), [theirs]) == {theirs: 1}


@pytest.mark.peer
@pytest.mark.netns
def test_from_behind_a_nat_whose_address_changes(tmp_path: Path) -> None:
    """The office has no way to the site: ETRN would be in vain. By ATRN all comes, from whatever address."""
    with Network() as network:
        net_office, router, net_site = behind_nat(network, "192.0.2.26", "192.0.2.1", "192.0.2.130")
        config = site_config("192.0.2.26", listen="127.0.0.1:2525")
        with (
            RestanteHost(tmp_path / "office", office_config("192.0.2.26:25", "192.0.2.26"), on=net_office) as office,
            site_host(tmp_path / "site", config, on=net_site) as site,
        ):
            sent = [letter(f"number {number}") for number in range(20)]
            for content in sent[:10]:
                send(25, "ann@far.example", "anna@test.example", content, address="192.0.2.26", on=net_office)
            with pytest.raises(OSError, match="unreachable"):
                net_office.connect("192.0.2.130", 25)
            assert call(site)["received"] == 10
            office.wait_for_log("192.0.2.1 ")
            assert "192.0.2.130" not in office.log()

            for change, address, device in (
                ("add", "192.0.2.200/32", "lo"),  # from now on its address outside
                ("add", "192.0.2.1/32", "to-130"),
                ("del", "192.0.2.1/32", "lo"),
            ):
                run_on(router, f"ip addr {change} {address} dev {device}")
            run_on(router, "ip route replace 192.0.2.26/32 dev to-26")
            run_on(router, "ip route replace 192.0.2.130/32 dev to-130")
            run_on(net_office, "ip route add 192.0.2.200/32 dev to-1 src 192.0.2.26")
            for content in sent[10:]:
                send(25, "ann@far.example", "anna@test.example", content, address="192.0.2.26", on=net_office)
            assert call(site)["received"] == 10
            office.wait_for_log("192.0.2.200 ")
            site.wait_for_mail(20)
            assert recognised(site.all_mail(), sent) == dict.fromkeys(sent, 1)
            assert office.waiting() == 0
