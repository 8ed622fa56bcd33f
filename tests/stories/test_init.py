"""`restante init` makes an office, and a site of what it prints for it; nothing is edited, and mail goes both ways."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.here import PEERS
from tests.stories.letters import letter, recognised
from tests.stories.made import MadeHost, command_in, page_in, password_in
from tests.stories.nat import behind_nat
from tests.stories.netns import NetHost, Network, inside
from tests.stories.peers import Postfix, run
from tests.stories.restante_host import RestanteHost
from tests.stories.test_postfix_office import wait_until_held
from tests.stories.wire import send, typed

pytestmark = pytest.mark.netns

OFFICE, ROUTER, SITE, FAR = "192.0.2.1", "192.0.2.3", "192.0.2.130", "192.0.2.99"
FAR_HOST = f"""
hostname = "mail.far.example"
data = "data"
[[listen]]
address = "{FAR}:25"
[domains."far.example"]
action = "deliver"
users = ["ann"]
"""
AT_OFFICE = ("--listen", OFFICE, "--smarthost", FAR)
AT_SITE = ("--office-host", OFFICE, "--mailbox", "anna", "--schedule", "0 0 1 1 *", "--no-link-up")
"""There is no DNS here, so the office is named by its address; and nobody calls by himself."""


@dataclass
class Pair:
    """Both hosts, empty; the world; and who is where."""

    office: MadeHost
    site: MadeHost
    far: RestanteHost
    at_far: NetHost
    at_site: NetHost

    def there_and_back(self, site_address: str) -> None:
        """From the world to the office, to the site when it calls, and from the site to the world with that call."""
        with self.office, self.site:
            letters, own = [letter(f"letter {n}") for n in range(3)], letter("back", sender="anna@test.example")
            for content in letters:
                send(25, "ann@far.example", "anna@test.example", content, address=OFFICE, on=self.at_far)
            send(25, "anna@test.example", "ann@far.example", own, address=site_address, on=self.at_site)
            assert self.site.waiting() == 1
            self.site.cli("call", "office", "--wait")
            self.site.wait_for_mail(3)
            assert recognised(self.site.mail("anna@test.example"), letters) == dict.fromkeys(letters, 1)
            self.far.wait_for_mail(1)
            assert recognised(self.far.mail("ann@far.example"), [own]) == {own: 1}
            assert self.office.items() == self.site.items() == []


@contextmanager
def pair(folder: Path, *, nat: bool) -> Iterator[Pair]:
    """A network of three; with `nat` the site has no address that the office could reach."""
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        if nat:
            at_office, _, at_site = behind_nat(network, OFFICE, ROUTER, SITE)
        else:
            at_office, at_site = network.host(OFFICE), network.host(SITE)
            network.cable(at_office, at_site)
        at_far = network.host(FAR)
        network.cable(at_office, at_far)
        far = stack.enter_context(RestanteHost(folder / "far", FAR_HOST, on=at_far))
        made = MadeHost(folder / "office", on=at_office), MadeHost(folder / "site", on=at_site)
        yield Pair(*made, far, at_far, at_site)


def test_by_atrn_and_a_login_from_behind_a_nat(tmp_path: Path) -> None:
    """All by default: a password is made up, and the office's key is pinned."""
    with pair(tmp_path, nat=True) as hosts:
        said = hosts.office.init("--office", "--domain", "test.example", "--hostname", "office.example", *AT_OFFICE)
        site = [*command_in(said), *AT_SITE]
        hosts.site.init(*site, "--password-stdin", stdin=f"{password_in(said)}\n")
        assert "tls_pin" in hosts.site.config.read_text()
        assert password_in(said) not in hosts.office.config.read_text()
        assert (hosts.site.folder / "office.password").stat().st_mode & 0o777 == 0o600
        hosts.there_and_back("127.0.0.1")


def test_by_etrn_and_an_address(tmp_path: Path) -> None:
    """The site is set up first, and prints what makes the office."""
    with pair(tmp_path, nat=False) as hosts:
        etrn = ("--protocol", "etrn", "--proof", "address", "--listen", SITE, "--network", f"{SITE}/32")
        said = hosts.site.init("--site", "--domain", "test.example", "--hostname", "mail.test.example", *etrn, *AT_SITE)
        hosts.office.init(*command_in(said), "--hostname", "office.example", *AT_OFFICE)
        assert f'release_from = ["{SITE}"]' in hosts.office.config.read_text()
        hosts.there_and_back(SITE)


def test_by_a_certificate(tmp_path: Path) -> None:
    """The site shows the certificate that init has made, and the office knows its fingerprint."""
    with Network() as network:
        at_office, at_site = network.host(OFFICE), network.host(SITE)
        network.cable(at_office, at_site)
        office, site = MadeHost(tmp_path / "office", on=at_office), MadeHost(tmp_path / "site", on=at_site)
        by = ("--proof", "certificate", "--hostname", "mail.test.example", *AT_SITE)
        draft = site.init("--site", "--domain", "test.example", *by)
        said = office.init(*command_in(draft), "--hostname", "office.example", *AT_OFFICE)
        [pin] = re.findall(r"--pin (\S+)", said)
        site.init("--site", "--domain", "test.example", *by, "--pin", pin, "--force")
        with office, site:
            content = letter("for who shows it")
            send(25, "ann@far.example", "anna@test.example", content, address=OFFICE, on=at_site)
            site.cli("call", "office", "--wait")
            site.wait_for_mail(1)
            assert recognised(site.mail("anna@test.example"), [content]) == {content: 1}


@pytest.mark.parametrize("page", ["127.0.0.1:8025", f"{OFFICE}:443"])
def test_the_page_is_where_init_says(tmp_path: Path, page: str) -> None:
    """With what it prints somebody logs in: on this host in clear, from elsewhere over TLS, by the host's own key."""
    with Network() as network:
        at_office, at_far = network.host(OFFICE), network.host(FAR)
        network.cable(at_office, at_far)
        office = MadeHost(tmp_path / "office", on=at_office)
        options = ("--domain", "test.example", "--hostname", "office.example", "--page", page, *AT_OFFICE)
        url, name, password = page_in(office.init("--office", *options))
        browser_at = at_far if url.startswith("https:") else at_office
        trusted = ssl.create_default_context(cafile=str(office.folder / "data/self-signed.pem"))
        trusted.check_hostname = False
        client = httpx2.Client(verify=trusted, trust_env=False, timeout=60)
        with office, inside(browser_at.namespace), client as browser:
            form = {"name": name, "password": password}
            login = browser.post(f"{url}login", data=form, headers={"Origin": url.removesuffix("/")})
            assert (login.status_code, login.headers["Location"]) == (303, "/")
            start = browser.get(url)
            assert "Logged in as" in start.text
            assert "test.example" in start.text


def block(said: str, title: str) -> str:
    """The lines under one of init's titles."""
    found = re.search(rf"^{re.escape(title)}\n\n((?:    .*\n|\n)+)", said, re.MULTILINE)
    assert found, said
    return "\n".join(line.removeprefix("    ") for line in found[1].splitlines())


@pytest.mark.peer
def test_what_it_prints_for_a_postfix_office(tmp_path: Path) -> None:
    """A real Postfix with these lines holds the mail, until the site asks; somebody else asks in vain."""
    with Network() as network:
        at_office, at_site = network.host(OFFICE), network.host(SITE)
        network.cable(at_office, at_site)
        site = MadeHost(tmp_path / "site", on=at_site)
        etrn = ("--protocol", "etrn", "--proof", "address", "--listen", SITE, "--other", "postfix", *AT_SITE)
        said = site.init("--site", "--domain", "test.example", *etrn)
        main_cf, _, master_cf = block(said, "At the office, for postfix:").partition("# master.cf")
        assert "hold unix - - n - - smtp" in master_cf
        with inside(at_office.namespace), Postfix("office", main_cf, port=25, everywhere=True) as office, site:
            content = letter("held by Postfix")
            send(25, "ann@far.example", "anna@test.example", content)
            [refused] = typed(25, "ETRN test.example")
            assert refused.startswith("554 5.7.1"), refused
            wait_until_held(office, 1)
            site.cli("call", "office")
            site.wait_for_mail(1)
            assert recognised(site.mail("anna@test.example"), [content]) == {content: 1}


@pytest.mark.peer
def test_what_it_prints_for_fetchmail(tmp_path: Path) -> None:
    """A real fetchmail with these lines, and the secret of the office, has the mail for a server beside it."""
    with Network() as network:
        here = network.host(OFFICE)
        office, site = MadeHost(tmp_path / "office", on=here), MadeHost(tmp_path / "site", on=here)
        said = office.init(
            *("--office", "--domain", "test.example", "--hostname", "office.example", *AT_OFFICE),
            *("--other", "fetchmail"),
        )
        site.config.write_text(FAR_HOST.replace(FAR, "127.0.0.1").replace("far", "test").replace("ann", "anna"))
        lines = block(said, "At the site, for fetchmail:").replace("office.example", OFFICE)
        control = tmp_path / "fetchmailrc"
        control.touch(0o700)
        secret = (office.folder / "test.secret").read_text().strip()
        control.write_text(lines.partition("# crontab")[0].replace("SECRET", secret))
        with inside(here.namespace), office, site:
            content = letter("for fetchmail")
            send(25, "ann@far.example", "anna@test.example", content, address=OFFICE)
            fetchmail = (PEERS / "usr/bin/fetchmail", "-f", control, "--nodetach", "--pidfile", tmp_path / "pid", "-v")
            run(*fetchmail)
            site.wait_for_mail(1)
            assert recognised(site.mail("anna@test.example"), [content]) == {content: 1}
