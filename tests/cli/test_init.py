"""`restante init` without a terminal, on one, and where something is in its way."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.net.authority import self_made
from tests.stories.made import page_in

from restante.cli import main
from restante.config.load import load
from restante.logins.passwords import verify

RESTANTE = Path(sys.executable).with_name("restante")
OFFICE = ["init", "--office", "--domain", "test.example", "--hostname", "office.example", "--listen", "127.0.0.1:2525"]


def run(*arguments: str | Path) -> int:
    """`restante ARGUMENTS`; pytest's stdin is no terminal."""
    return main(list(map(str, arguments)))


def test_without_a_terminal_it_says_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One thing at a time, by the option that gives it; nothing is written."""
    assert run("init", "--out", tmp_path) == 2
    assert capsys.readouterr().err == "--office, --site or --both is needed\n"
    assert run("init", "--site", "--out", tmp_path) == 2
    assert capsys.readouterr().err == "--domain is needed: Domains whose mailboxes are here?\n"
    assert run("init", "--site", "--domain", "test.example", "--out", tmp_path) == 2
    assert capsys.readouterr().err == "--office-host is needed: The office, host or host:port?\n"
    assert run("init", "--site", "--domain", "test.example", "--office-host", "o.example", "--out", tmp_path) == 2
    assert capsys.readouterr().err == "--password-stdin is needed: The password of test at o.example\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--domain", "no..domain"], "no..domain:"),
        (["--listen", "office.example"], "office.example: an address of this host is meant"),
        (["--protocol", "atrn", "--proof", "address"], "an address proves nothing there"),
        (["--protocol", "etrn", "--proof", "address", "--site-address", "a.example"], "a name proves nothing"),
        (["--proof", "certificate", "--certificate", "abc"], "--certificate abc:"),
        (["--public", "here"], "--public:"),
        (["--owner", "nobody-at-all"], "there is no such user"),
        (["--hooks"], "--hooks is for a site"),
        (["--tls-key", "/dev/null"], "go together"),
        (["--page", "office.example"], "office.example: an address of this host is meant"),
        (["--no-page", "--page", "127.0.0.1"], "--no-page goes with neither"),
        (["--administrator", "Test"], "--administrator Test: the site logs in by that name"),
    ],
)
def test_what_is_no_answer_is_told(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, the option, and what was meant; nothing is written."""
    assert run(*OFFICE, "--out", tmp_path, *options) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not the file, and no secret of the one before, unless --force says so."""
    assert run(*OFFICE, "--out", tmp_path) == 0
    before = (tmp_path / "restante.toml").read_text()
    assert run(*OFFICE, "--out", tmp_path) == 2
    assert "restante.toml is there already: --force replaces it" in capsys.readouterr().err
    (tmp_path / "restante.toml").unlink()
    (tmp_path / "test.secret").write_text("mine")
    assert run(*OFFICE, "--other", "fetchmail", "--out", tmp_path) == 2
    assert (tmp_path / "test.secret").read_text() == "mine"
    assert not (tmp_path / "restante.toml").exists()
    assert run(*OFFICE, "--other", "fetchmail", "--out", tmp_path, "--force") == 0
    assert (tmp_path / "test.secret").read_text() != "mine"
    assert (tmp_path / "restante.toml").read_text() != before


def test_files_are_for_those_who_need_them(tmp_path: Path) -> None:
    """Secrets for their owner alone; the configuration, which has hashes, for the group too; the key is not remade."""
    out = tmp_path / "etc/restante"
    assert run(*OFFICE, "--other", "fetchmail", "--out", out) == 0
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in out.rglob("*")}
    assert modes == {
        "restante.toml": 0o640,
        "test.secret": 0o600,
        "data": 0o700,
        "self-signed.pem": 0o600,
        "self-signed.key": 0o600,
    }
    key = (out / "data/self-signed.key").read_bytes()
    assert run(*OFFICE, "--out", out, "--force") == 0
    assert (out / "data/self-signed.key").read_bytes() == key


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
def test_root_makes_them_for_the_servers_user(tmp_path: Path) -> None:
    """All that it writes, the data folder too, is the server's."""
    out = tmp_path / "restante"
    assert run(*OFFICE, "--other", "fetchmail", "--out", out, "--owner", "daemon") == 0
    assert {file.owner() for file in (out, *out.rglob("*"))} == {"daemon"}


def test_both_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An office for a branch, and a site of another office: what is left goes out by that one."""
    options = ["--domain", "branch.example", "--own-domain", "test.example", "--office-host", "office.example"]
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"of the branch\nour own\n")))
        assert run("init", "--both", *options, "--password-stdin", "--hooks", "--out", out) == 0
    assert (out / "office.password").read_text() == "our own\n"
    settings = load(out / "restante.toml")
    assert [entry.action for entry in settings.domains.values()] == ["hold", "deliver", "hold"]
    assert (settings.calls["office"].user, list(settings.users)) == ("test", ["branch", "admin"])
    said = capsys.readouterr().out
    assert "At the site, for restante:" in said
    assert "At the office, for restante:" in said
    assert "/etc/NetworkManager/dispatcher.d" in said
    assert sorted(file.name for file in (out / "hooks").iterdir()) == ["networkd", "networkmanager", "ppp"]
    assert all(os.access(file, os.X_OK) for file in (out / "hooks").iterdir())


@pytest.mark.parametrize(
    ("page", "url", "also"),
    [
        (None, "http://127.0.0.1:8025/", "ssh -L 8025:127.0.0.1:8025 office.example"),
        ("[::1]:8026", "http://[::1]:8026/", "ssh -L 8026:[::1]:8026 office.example"),
        ("127.0.0.2", "http://127.0.0.2:8025/", "ssh -L 127.0.0.2:8025:127.0.0.2:8025 office.example"),
        ("192.0.2.1:443", "https://192.0.2.1/", "Compare its SHA-256 fingerprint:"),
        ("0.0.0.0", "https://office.example:8025/", "Compare its SHA-256 fingerprint:"),
    ],
)
def test_it_says_where_the_page_is(
    page: str | None, url: str, also: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its URL, how it is reached from elsewhere, and a password that is shown this once: the administrator's."""
    assert run(*OFFICE, *(["--page", page] if page else []), "--out", tmp_path) == 0
    said = capsys.readouterr().out
    assert also in said
    *where, password = page_in(said)
    assert where == [url, "admin"]
    assert password not in (tmp_path / "restante.toml").read_text()
    settings = load(tmp_path / "restante.toml")
    assert settings.admin is not None
    assert settings.admin.has_tls == url.startswith("https:")
    administrator = settings.users["admin"]
    assert (administrator.admin, administrator.domains) == (True, ())
    assert verify(administrator.password, password)


def test_a_site_whose_page_others_reach_has_a_certificate_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the one that the server will show, told by what a browser tells of it."""
    options = ["--protocol", "etrn", "--proof", "address", "--office-host", "o.example", "--page", "192.0.2.1"]
    assert run("init", "--site", "--domain", "test.example", *options, "--out", tmp_path) == 0
    certificate = x509.load_pem_x509_certificate((tmp_path / "data/self-signed.pem").read_bytes())
    assert f"    {certificate.fingerprint(hashes.SHA256()).hex()}\n" in capsys.readouterr().out


def test_by_a_certificate_of_its_own_the_page_has_the_hosts_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name is what a browser can check."""
    pair = self_made().write(tmp_path, "own")
    tls = ["--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key)]
    assert run(*OFFICE, *tls, "--page", "192.0.2.1", "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert page_in(said)[0] == "https://office.example:8025/"
    assert "fingerprint" not in said


def test_without_a_page_there_is_no_administrator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--no-page: no table, no user, no word."""
    assert run(*OFFICE, "--no-page", "--out", tmp_path) == 0
    assert "browser" not in capsys.readouterr().out
    settings = load(tmp_path / "restante.toml")
    assert (settings.admin, list(settings.users)) == (None, ["test"])


def test_the_administrator_of_a_site_called_admin_has_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two users of one name there cannot be."""
    assert run(*OFFICE, "--user", "admin", "--out", tmp_path) == 0
    assert page_in(capsys.readouterr().out)[1] == "administrator"
    assert list(load(tmp_path / "restante.toml").users) == ["admin", "administrator"]


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    """Each question once, with a default; a wrong answer is asked again; a password is typed twice, and not shown."""
    typed = [
        ("What this host shall be", "a castle"),
        ("What this host shall be", "site"),
        ("Domains whose mailboxes are here", "test.example"),
        ("The name of this host", "mail.test.example"),
        ("Where mail is kept", ""),
        ("How mail is fetched", ""),
        ("How the site shows who it is", ""),
        ("Addresses for SMTP", "127.0.0.1:2525"),
        ("What runs at the other end", ""),
        ("The login at the office", ""),
        ("Who has a mailbox", "anna bert"),
        ("The office, host or host:port", "office.example"),
        ("The pin of the office's key", ""),
        ("When to call", "often"),
        ("When to call", "*/5 * * * *"),
        ("Call also when a link has come up", "n"),
        ("What is written here for elsewhere", "now"),
        ("Networks from which mail is taken", ""),
        ("A page for browsers", ""),
        ("Its address", "127.0.0.1:0"),
        ("Its address", ""),
        ("The name of its administrator", "Anna"),
        ("The password of test at office.example", "tanstaafl"),
        ("Once more", "tanstaaf"),
        ("The password of test at office.example", "tanstaafl"),
        ("Once more", "tanstaafl"),
    ]
    master, slave = pty.openpty()
    shown = ""
    with subprocess.Popen(
        [RESTANTE, "init", "--out", tmp_path], stdin=slave, stdout=subprocess.PIPE, stderr=slave, text=True
    ) as process:
        os.close(slave)
        for question, answer in typed:
            seen, end = "", ": $" if answer.startswith("tanstaaf") else ":$"  # the space comes once nothing is shown
            while not re.search(rf"{re.escape(question)}[^\n]*{end}", seen):
                assert select.select([master], [], [], 90)[0], f"{question}? {shown}{seen}"
                seen += os.read(master, 4096).decode()
            os.write(master, f"{answer}\n".encode())
            shown += seen
        said, _ = process.communicate(timeout=90)
    os.close(master)
    assert process.returncode == 0, shown
    assert "tanstaaf" not in shown + said
    settings = load(tmp_path / "restante.toml")
    assert (tmp_path / "office.password").read_text() == "tanstaafl\n"
    call = settings.calls["office"]
    assert (call.schedule, call.on, call.user, str(call.tls)) == (("*/5 * * * *",), (), "test", "verify")
    assert settings.domains["*"].action == "relay"
    assert settings.admin is not None
    assert (str(settings.admin.address), settings.users["anna"].admin) == ("127.0.0.1:8025", True)
    assert page_in(said)[:2] == ("http://127.0.0.1:8025/", "anna")
    assert "At the office, for restante:" in said
