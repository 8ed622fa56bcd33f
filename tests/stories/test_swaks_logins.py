"""swaks, Python's smtplib and `restante etrn` log in at a real office, with logins that were made as a user makes them.

One user is in the configuration, with what `restante password` printed; another is added to the store while the office
runs, by `restante user add`. The site is a real one: what was released is in its mailboxes.
"""

from __future__ import annotations

import json
import smtplib
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.net.authority import CLIENT, Authority, Wish, self_made
from tests.stories.peers import swaks
from tests.stories.ports import free_port
from tests.stories.restante_host import RESTANTE, RestanteHost
from tests.waiting import wait_until

from restante.net.tls import Pair

pytestmark = pytest.mark.peer

PASSWORD = "correct horse Grüße"
OTHER = "battery staple"
SITE, AUTHORITY = self_made(), Authority()
NAMED = AUTHORITY.issue(Wish(("gw.site.example",), use=CLIENT))
OFFICE = self_made(Wish(("office.example",)))


def printed(*argv: str, typed: str = "") -> str:
    """What `restante` prints, with something typed at it."""
    done = subprocess.run(
        [str(RESTANTE), *argv], input=typed, capture_output=True, text=True, timeout=100, check=True, encoding="utf-8"
    )
    return done.stdout


@dataclass(frozen=True, slots=True)
class Told:
    """An office and the site whose mail it holds; the office's ports by service, and a folder for files."""

    office: RestanteHost
    site: RestanteHost
    mx: int
    submission: int
    submissions: int
    folder: Path
    secret: str
    """ann's, for CRAM-MD5."""

    def pair(self, name: str) -> Pair:
        """A certificate and its key, as files."""
        return {"site": SITE, "named": NAMED}[name].write(self.folder, name)


@contextmanager
def hosts(folder: Path) -> Iterator[Told]:
    """Both, running."""
    mx, submission, submissions, site_port = (free_port() for _ in range(4))
    authority = AUTHORITY.own.write(folder, "clients").certificate
    own = OFFICE.write(folder, "office")
    config = f"""
hostname = "office.example"
data = "data"
[tls]
certificate = "{own.certificate}"
key = "{own.key}"
client_ca = "{authority}"
[[listen]]
address = "127.0.0.1:{mx}"
[[listen]]
address = "127.0.0.1:{submission}"
service = "submission"
require_tls = true
[[listen]]
address = "127.0.0.1:{submissions}"
service = "submission"
tls = "implicit"
[domains."owned.example"]
action = "hold"
next_hop = "127.0.0.1:{site_port}"
[domains."by-key.example"]
action = "hold"
next_hop = "127.0.0.1:{site_port}"
release_from = ["cert:{SITE.fingerprint}"]
[domains."by-name.example"]
action = "hold"
next_hop = "127.0.0.1:{site_port}"
release_from = ["cert:gw.site.example"]
[domains."*"]
action = "hold"
next_hop = "127.0.0.1:{free_port()}"
[users.filed]
{printed("password", typed=OTHER + chr(10))}
certificates = ["gw.site.example"]
domains = ["filed.example"]
"""
    mailboxes = "".join(
        f'[domains."{name}.example"]\naction = "deliver"\nusers = ["anna"]\n' for name in ("owned", "by-key", "by-name")
    )
    site_config = (
        f'hostname = "site.example"\ndata = "data"\n[[listen]]\naddress = "127.0.0.1:{site_port}"\n{mailboxes}'
    )
    with RestanteHost(folder / "office-host", config) as office, RestanteHost(folder / "site", site_config) as site:
        seen = office.log().count("configuration reloaded")
        config_option = ("--config", str(office.config))
        add = ("user", "add", "ann", "--domain", "owned.example", "--password-stdin", "--secret", "--json")
        secret = json.loads(printed(*add, *config_option, typed=PASSWORD + "\n"))["secret"]
        end = time.monotonic() + 90
        while office.log().count("configuration reloaded") == seen:  # the office has seen it
            assert time.monotonic() < end, office.log()
            time.sleep(0.05)
        yield Told(office, site, mx, submission, submissions, folder, secret)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """For all of this module; each test looks for what is its own."""
    with hosts(tmp_path_factory.mktemp("logins")) as both:
        yield both


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("is_implicit", [False, True], ids=["starttls", "implicit"])
def test_swaks_submits_mail(told: Told, mechanism: str, is_implicit: bool) -> None:
    """By each mechanism that it has, after STARTTLS and with TLS from the first octet, to anywhere."""
    port, tls = (told.submissions, "--tls-on-connect") if is_implicit else (told.submission, "--tls")
    password = told.secret if mechanism == "CRAM-MD5" else PASSWORD
    recipient = f"{mechanism.lower()}-{is_implicit}@far.example"
    talk = swaks(
        *(port, tls, "--auth", mechanism, "--auth-user", "ann", "--auth-password", password),
        *("--from", "ann@owned.example", "--to", recipient, "--body", "hello"),
    )
    assert "235 2.7.0" in talk
    assert "ETRN" not in talk
    assert [item for item in told.office.items() if recipient in json.dumps(item)]
    told.office.wait_for_log(f'logged in principal="127.0.0.1 user:ann" mechanism={mechanism}')


def test_swaks_is_refused(told: Told) -> None:
    """Before TLS, without a login, with a wrong password or an unknown name (in the same words), as somebody else."""
    to = ("--to", "u@far.example", "--from", "ann@owned.example")
    talk = swaks(told.submission, *to, status=None)
    assert "530 5.7.0 Must issue a STARTTLS command first" in talk
    talk = swaks(told.submission, "--tls", *to, status=None)
    assert "530 5.7.0 Authentication required" in talk
    words = []
    for name in ("ann", "nobody"):
        login = ("--auth", "PLAIN", "--auth-user", name, "--auth-password", "wrong")
        talk = swaks(told.submission, "--tls", *login, *to, status=28)
        words.append([line for line in talk.splitlines() if " 535 " in line])
    assert words[0] == words[1]
    assert words[0]
    login = ("--auth", "PLAIN", "--auth-user", "filed", "--auth-password", OTHER)
    talk = swaks(told.submission, "--tls", *login, *to, status=None)
    assert "550 5.7.1 This sender is not yours" in talk


def test_smtplib_logs_in_by_certificate(told: Told) -> None:
    """EXTERNAL, with a name that the office's authority vouches for; what was said in clear counts for nothing."""
    pair = told.pair("named")
    context = ssl.create_default_context(cafile=str(told.folder / "office.pem"))
    context.load_cert_chain(pair.certificate, pair.key)
    with smtplib.SMTP("127.0.0.1", told.submission, "client.example", timeout=90) as client:
        client._host = "office.example"  # type: ignore[attr-defined]  # the name in its certificate, which is verified
        client.starttls(context=context)
        client.ehlo()
        assert "EXTERNAL" in client.esmtp_features["auth"]
        assert client.docmd("AUTH EXTERNAL", "=") == (235, b"2.7.0 Authentication successful")
        assert not client.has_extn("etrn")
        assert not client.sendmail("any@filed.example", ["external@far.example"], b"Subject: x\r\n\r\nx\r\n")
    [item] = [item for item in told.office.items() if "external@far.example" in json.dumps(item)]
    shown = told.office.cli("show", item["id"])
    assert "user=filed" in shown
    assert "with ESMTPSA" in shown


@pytest.mark.parametrize(
    ("domain", "proof"),
    [("owned.example", "user"), ("by-key.example", "site"), ("by-name.example", "named")],
)
def test_restante_etrn_proves_who_asks(told: Told, domain: str, proof: str) -> None:
    """By a password (SCRAM with the channel bound), by a key, by a name; the mail is at the site then. Else 459."""
    swaks(told.mx, "--to", f"anna@{domain}", "--from", "x@far.example", "--header", f"Subject: {domain}")
    office = f"127.0.0.1:{told.mx}"
    refused = subprocess.run([str(RESTANTE), "etrn", office, domain], capture_output=True, text=True, check=False)
    assert f"459 4.7.1 Node {domain} not allowed" in refused.stdout
    assert refused.returncode == 1
    if proof == "user":
        file = told.folder / "password"
        file.write_text(PASSWORD + "\n", encoding="utf-8")
        options = ["--user", "ann", "--password-file", str(file), "--tls", "required"]
    else:
        pair = told.pair(proof)
        options = ["--certificate", str(pair.certificate), "--key", str(pair.key), "--tls", "required"]
    assert "253 2.0.0 OK, 1 pending messages" in printed("etrn", office, domain, *options)
    end = time.monotonic() + 90
    while not (found := told.site.mail(f"anna@{domain}")):
        assert time.monotonic() < end, told.office.log()
        time.sleep(0.05)
    assert f"Subject: {domain}\n".encode() in found[0]

    def granted() -> list[str]:
        return [line for line in told.office.log().splitlines() if "release granted" in line and domain in line]

    wait_until(granted, told.office.log)
    [line] = granted()
    assert {"user": "user:ann", "site": SITE.fingerprint[:16], "named": "cert:gw.site.example"}[proof] in line
    assert ("mechanism=SCRAM-SHA-256-PLUS" in told.office.log()) or proof != "user"
    assert "release not granted" in told.office.log()


def test_a_renewed_certificate_takes_no_restart(tmp_path: Path) -> None:
    """Files are replaced, as a renewal does; the next login is under the new one, and the process is the same."""
    with hosts(tmp_path) as told:
        pid = told.office.pid
        new = self_made(Wish(("office.example",)))
        new.write(tmp_path, "renewed")
        (tmp_path / "renewed.key").replace(tmp_path / "office.key")
        (tmp_path / "renewed.pem").replace(tmp_path / "office.pem")
        context = ssl.create_default_context(cafile=str(tmp_path / "office.pem"))
        with smtplib.SMTP("127.0.0.1", told.submission, "client.example", timeout=90) as client:
            client._host = "office.example"  # type: ignore[attr-defined]  # as above
            client.starttls(context=context)
            assert isinstance(client.sock, ssl.SSLSocket)
            assert client.sock.getpeercert(binary_form=True) == new.der
            client.ehlo()
            client.user, client.password = "filed", OTHER
            assert client.auth("PLAIN", client.auth_plain)[0] == 235
        assert told.office.pid == pid


def test_a_user_who_is_removed_logs_in_no_more(tmp_path: Path) -> None:
    """Within a second, without a restart; a new password is in force as soon, and the old one is none."""
    with hosts(tmp_path) as told:
        to = ("--to", "u@far.example", "--from", "ann@owned.example", "--tls")

        def tries(password: str) -> bool:
            login = ("--auth", "PLAIN", "--auth-user", "ann", "--auth-password", password)
            return "235 2.7.0" in swaks(told.submission, *to, *login, status=None)

        def becomes(password: str, *, right: bool) -> None:
            end = time.monotonic() + 90
            while tries(password) is not right:
                assert time.monotonic() < end, told.office.log()

        assert tries(PASSWORD)
        option = ("--config", str(told.office.config))
        printed("user", "set", "ann", "--password-stdin", *option, typed="another\n")
        becomes("another", right=True)
        assert not tries(PASSWORD)
        printed("user", "remove", "ann", *option)
        becomes("another", right=False)
