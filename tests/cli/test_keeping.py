"""`restante user` and `restante domain`: what is kept in the store, and what may not be."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import typed

from restante.cli import main
from restante.config import proofs
from restante.directory.learned import Verdict
from restante.logins.passwords import verify
from restante.model import DomainName
from restante.store.book import open_book
from restante.store.learned import LearnedFile

CONFIG = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:2525"
[domains."filed.example"]
action = "hold"
next_hop = "192.0.2.25"
release_from = ["192.0.2.25"]
[users.Filed]
password = "HASH"
domains = ["filed.example"]
""".replace("HASH", proofs.HASH.example)
FINGERPRINT = "ab" * 32


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration where it is found without being named."""
    monkeypatch.delenv("RESTANTE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "restante.toml"
    file.write_text(CONFIG)
    return file


class Shell:
    """Somebody at a prompt."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def run(self, line: str, *more: str, status: int = 0, stdin: str = "") -> tuple[str, str]:
        """`restante LINE MORE`: what it says on stdout and stderr."""
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        ended = main([*line.split(), *more])
        said = self._capsys.readouterr()
        assert ended == status, said
        return said.out, said.err

    def json(self, line: str, *more: str, stdin: str = "") -> Any:
        """`restante LINE MORE --json`: what it prints."""
        return json.loads(self.run(f"{line} --json", *more, stdin=stdin)[0])

    def users(self) -> dict[str, Any]:
        """What `restante user list` has, by name."""
        return {user["name"]: user for user in self.json("user list")}

    def domains(self) -> dict[str, Any]:
        """What `restante domain list` has, by name."""
        return {domain["name"]: domain for domain in self.json("domain list")}


@pytest.fixture
def shell(config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A prompt in the configuration's folder."""
    del config
    return Shell(capsys, monkeypatch)


def kept(kind: str, name: str) -> dict[str, Any]:
    """A row of the store."""
    book = open_book(Path("data"))
    row = book.row(kind, name)
    book.close()
    assert row is not None
    table: dict[str, Any] = json.loads(row)
    return table


# users


def test_a_user_is_added_with_a_password_from_stdin(shell: Shell) -> None:
    """Which is kept as argon2id and as SCRAM's keys alone."""
    said, _ = shell.run("user add Test --domain filed.example --password-stdin", stdin="correct horse\n")
    assert said == "user Test added\n"
    row = kept("users", "test")
    assert set(row) == {"domains", "password", "scram"}
    assert verify(row["password"], "correct horse")
    assert "horse" not in json.dumps(row)
    assert shell.users()["test"] == {
        "name": "test",
        "domains": ["filed.example"],
        "logs_in_with": ["password", "scram"],
        "certificates": [],
        "admin": False,
        "tokens": 0,
        "where": "store",
    }


def test_a_user_may_have_a_certificate_and_no_password(shell: Shell) -> None:
    """Of any spelling; what it is known by is shown."""
    fingerprint = ":".join(["AB"] * 32)
    shell.run("user add test --no-password --certificate", fingerprint)
    assert shell.users()["test"]["logs_in_with"] == ["certificate"]
    assert shell.users()["test"]["certificates"] == [FINGERPRINT]


def test_a_secret_is_made_printed_once_and_never_listed(shell: Shell) -> None:
    """CRAM-MD5 needs it in clear: it is nobody's password."""
    said, _ = shell.run("user add test --no-password --secret")
    secret = said.splitlines()[1].removeprefix("secret for CRAM-MD5: ")
    assert kept("users", "test") == {"secret": secret}
    assert len(secret) >= 32
    for listed in (shell.run("user list")[0], json.dumps(shell.users())):
        assert secret not in listed
        assert "cram-md5" in listed
    again = shell.json("user set test --secret")["secret"]
    assert kept("users", "test") == {"secret": again} != {"secret": secret}


def test_a_token_is_printed_once_and_can_be_revoked(shell: Shell) -> None:
    """Of users of the file, too; its hash is kept."""
    shell.run("user add test --no-password --admin --certificate", FINGERPRINT)
    token = shell.run("user token TEST")[0].strip()
    made = shell.json("user token filed --expires 90d")
    assert made["done"] == ["filed"]
    assert 89 * 86400 < made["expires"] - time.time() <= 90 * 86400
    assert {token[:4], made["token"][:4]} == {"rst_"}
    assert token not in Path("data/directory.db").read_bytes().decode("latin-1")
    listed = shell.users()
    assert [(listed[name]["tokens"], listed[name]["admin"]) for name in ("test", "filed")] == [(1, True), (1, False)]
    shell.run("user token filed --revoke")
    shell.run("user remove test")
    shell.run("user add test --no-password --certificate", FINGERPRINT)
    assert [user["tokens"] for user in shell.users().values()] == [0, 0]


def test_a_token_is_for_a_user_that_there_is(shell: Shell) -> None:
    """And for a time that makes sense."""
    assert "no user nobody" in shell.run("user token nobody", status=1)[1]
    assert "a duration such as 90d" in shell.run("user token filed --expires soon", status=2)[1]
    assert "--revoke takes no --expires" in shell.run("user token filed --revoke --expires 1d", status=2)[1]


def test_a_user_is_changed_key_by_key(shell: Shell) -> None:
    """Lists are replaced, what is not named stays, what is unset is gone."""
    shell.run("user add test --domain a.example --domain b.example --password-stdin", stdin="one\n")
    first = kept("users", "test")
    shell.run("user set TEST --domain c.example --certificate", FINGERPRINT)
    assert kept("users", "test") == first | {"domains": ["c.example"], "certificates": [FINGERPRINT]}
    shell.run("user set test --password-stdin --unset domains", stdin="two\n")
    row = kept("users", "test")
    assert verify(row["password"], "two")
    assert "domains" not in row
    shell.run("user set test --unset password --unset scram")
    assert kept("users", "test") == {"certificates": [FINGERPRINT]}
    _, why = shell.run("user set test --unset certificates", status=2)
    assert "users.test.password: found nothing, allowed: one of password, scram" in why


def test_a_user_whom_a_domain_names_is_not_removed(shell: Shell, config: Path) -> None:
    """The configuration would be refused at the next start."""
    shell.run("user add test --no-password --secret")
    shell.run("domain add kept.example --next-hop 192.0.2.1 --release-from user:test")
    config.write_text(CONFIG.replace('"192.0.2.25"]', '"user:TEST"]'))
    _, why = shell.run("user remove Test", status=1)
    assert why == "user Test may release filed.example, kept.example: change release_from there first\n"
    config.write_text(CONFIG)
    shell.run("domain set kept.example --unset release_from")
    assert shell.run("user remove Test")[0] == "user Test removed\n"
    assert set(shell.users()) == {"filed"}


def test_users_are_listed_in_a_table(shell: Shell) -> None:
    """With those of the file."""
    shell.run("user add test --no-password --secret --domain filed.example")
    assert shell.run("user list")[0].splitlines() == [
        "USER   DOMAINS        LOGS IN WITH  WHERE",
        "filed  filed.example  password      file",
        "test   filed.example  cram-md5      store",
    ]


# domains


def test_a_domain_is_added_changed_and_removed(shell: Shell) -> None:
    """Held, if nothing else is said; any key can be set."""
    shell.run("domain add Kept.example --next-hop caller --release-from user:filed --group Customers")
    assert kept("domains", "kept.example") == {
        "action": "hold", "next_hop": "caller", "release_from": ["user:filed"], "group": "Customers"
    }  # fmt: skip
    shell.run("domain set kept.example --next-hop 192.0.2.1 --set counts=false --set etrn_empty=250 --unset group")
    shell.run("domain set kept.example --set", "release_from = 192.0.2.0/24 user:filed", "--set", "expire=5d")
    assert kept("domains", "kept.example") == {
        "action": "hold", "next_hop": "192.0.2.1", "release_from": ["192.0.2.0/24", "user:filed"],
        "counts": False, "etrn_empty": 250, "expire": "5d",
    }  # fmt: skip
    shell.run("domain remove KEPT.example")
    assert set(shell.domains()) == {"filed.example"}


def test_each_kind_of_domain_can_be_kept(shell: Shell) -> None:
    """`*` too."""
    shell.run("domain add local.example --action deliver --set", "users=anna bert", "--set", 'aliases={"a": ["anna"]}')
    shell.run("domain add old.example --action reject --set", "text=Gone away")
    shell.run("domain add * --action relay --next-hop smarthost.example")
    assert kept("domains", "local.example")["aliases"] == {"a": ["anna"]}
    assert shell.run("domain list")[0].splitlines() == [
        "DOMAIN         ACTION   NEXT HOP              GROUP  MAY RELEASE               WHERE",
        "*              relay    smarthost.example:25                                   store",
        "filed.example  hold     192.0.2.25:25                192.0.2.25/32 user:filed  file",
        "local.example  deliver                                                         store",
        "old.example    reject                                                          store",
    ]
    assert {name: domain["action"] for name, domain in shell.domains().items()} == {
        "*": "relay", "filed.example": "hold", "local.example": "deliver", "old.example": "reject"
    }  # fmt: skip
    assert shell.domains()["filed.example"] == {
        "name": "filed.example",
        "action": "hold",
        "next_hop": "192.0.2.25:25",
        "group": None,
        "may_release": ["192.0.2.25/32", "user:filed"],
        "quota": None,
        "where": "file",
    }


REFUSED = {
    "user add filed --no-password --secret": (1, "restante.toml has users.filed, and wins over the store"),
    "user set filed --secret": (1, "restante.toml has users.filed, and wins over the store"),
    "user remove nobody": (1, "no user nobody in the store"),
    "user set nobody --secret": (1, "no user nobody in the store"),
    "user add test": (1, "user test is there already: `restante user set` changes it"),
    "user add a/b --no-password --secret": (2, "'a/b' is not the name of a user"),
    "user add new --no-password": (2, "users.new.password: found nothing, allowed: one of password, scram"),
    "user add new --no-password --certificate ab": (2, "users.new.certificates[0]: found 'ab', allowed: a SHA-256"),
    "user add new --no-password --secret --domain a..b": (2, "users.new.domains[0]: found 'a..b', allowed: a domain"),
    "user set test --unset colour --domain a..b": (2, "users.test.domains[0]: found 'a..b', allowed: a domain name"),
    "user add new --password-stdin": (2, "the password is empty"),
    "user import nothing.csv": (2, "nothing.csv cannot be read: No such file or directory"),
    "domain add filed.example --next-hop a.example": (1, "restante.toml has domains.filed.example, and wins"),
    "domain add kept.example --next-hop a.example": (1, "domain kept.example is there already: `restante domain set`"),
    "domain add new.example": (2, 'domains."new.example".next_hop: found nothing, allowed: host, host:port'),
    "domain add new.example --next-hop a.example --release-from user:nobody": (
        2,
        "found 'user:nobody', allowed: users",
    ),
    "domain add new.example --action keep": (2, """domains."new.example".action: found 'keep', allowed: "hold","""),
    "domain set kept.example --set colour=red": (2, 'domains."kept.example".colour: found an unknown key'),
    "domain set kept.example --set colour": (2, "--set colour: KEY=VALUE is meant"),
    "domain set kept.example --unset next_hop": (2, 'domains."kept.example".next_hop: found nothing, allowed: host'),
    "domain remove other.example": (1, "no domain other.example in the store"),
}


@pytest.mark.parametrize(("line", "status", "why"), [(line, *rest) for line, rest in REFUSED.items()], ids=REFUSED)
def test_what_is_not_in_order_is_not_written(shell: Shell, line: str, status: int, why: str) -> None:
    """It is told what was found and what is allowed; all stays as it was."""
    shell.run("user add test --no-password --secret")
    shell.run("domain add kept.example --next-hop 192.0.2.1")
    before = (kept("users", "test"), kept("domains", "kept.example"), shell.users(), shell.domains())
    said, complained = shell.run(line, status=status)
    assert said == ""
    assert why in complained
    assert before == (kept("users", "test"), kept("domains", "kept.example"), shell.users(), shell.domains())


# many


def test_domains_are_imported_from_csv(shell: Shell) -> None:
    """New ones, and others in place of what there was."""
    Path("many.csv").write_text(
        "name,action,next_hop,release_from\na.example,hold,192.0.2.1,192.0.2.1 user:filed\nb.example,hold,caller,\n"
    )
    shell.run("domain add b.example --next-hop 192.0.2.9 --group old")
    assert shell.run("domain import many.csv")[0] == "2 domains imported\n"
    assert shell.domains()["a.example"]["may_release"] == ["192.0.2.1/32", "user:filed"]
    assert kept("domains", "b.example") == {"action": "hold", "next_hop": "caller"}


def test_users_are_imported_from_json_lines(shell: Shell) -> None:
    """Passwords as hashes."""
    lines = [{"name": f"u{n}", "password": proofs.HASH.example, "domains": [f"d{n}.example"]} for n in range(300)]
    Path("many.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert shell.json("user import many.jsonl") == {"done": [line["name"] for line in lines]}
    assert shell.users()["u299"]["domains"] == ["d299.example"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name,action,next_hop\na.example,hold,192.0.2.1\nb.example,hold,a b\n", 'domains."b.example".next_hop: found'),
        ("name,action,next_hop\na.example,hold,192.0.2.1\nb.example,hold\n", "line 3: found 2 cells"),
        ("name,action,next_hop\na.example,hold,192.0.2.1\nFiled.example,hold,192.0.2.1\n", "and wins over the store"),
        ("name,action,next_hop\na.example,hold,192.0.2.1\nA.example,hold,192.0.2.1\n", "another spelling of"),
    ],
)
def test_an_import_with_one_mistake_writes_nothing(shell: Shell, text: str, why: str) -> None:
    """It can be mended and tried again."""
    Path("many.csv").write_text(text)
    _, complained = shell.run("domain import many.csv", status=1 if "wins" in why else 2)
    assert why in complained
    assert set(shell.domains()) == {"filed.example"}


def test_thousands_of_mistakes_are_not_told_one_by_one(shell: Shell) -> None:
    """The file is something else."""
    Path("many.csv").write_text("name,action\n" + "".join(f"d{n}.example,hodl\n" for n in range(2000)))
    _, complained = shell.run("domain import many.csv", status=2)
    assert len(complained.splitlines()) == 51
    assert complained.splitlines()[-1] == "and 1950 more"


# beside all else


def test_a_bad_row_is_told_and_the_rest_is_listed(shell: Shell) -> None:
    """It can be removed; changing what cannot be read is refused."""
    shell.run("domain add kept.example --next-hop 192.0.2.1")
    book = open_book(Path("data"))
    book.put("domains", [("bad.example", "{")])
    book.close()
    said, complained = shell.run("domain list")
    assert "kept.example" in said
    assert complained.startswith("skipped: ")
    assert 'domains."bad.example": found what is not JSON' in complained
    assert "skipped: " in shell.run("check")[0]
    assert "remove it, and add it anew" in shell.run("domain set bad.example --next-hop a.example", status=1)[1]
    shell.run("domain remove bad.example")
    assert shell.run("domain list")[1] == ""


def test_listing_makes_no_store(shell: Shell) -> None:
    """Whoever only looks changes nothing."""
    assert set(shell.users()) == {"filed"}
    assert shell.run("check")[0].splitlines()[0] == "restante.toml: ok"
    assert not Path("data").exists()


def test_a_store_that_cannot_be_read_is_one_line(shell: Shell) -> None:
    """And status 1."""
    Path("data").mkdir()
    Path("data/directory.db").write_text("no database")
    for line in ("user list", "domain add a.example --next-hop 192.0.2.1", "user remove filed"):
        said, complained = shell.run(line, status=1)
        assert said == ""
        assert len(complained.splitlines()) == 1


def test_the_configuration_may_stand_before_or_behind(shell: Shell, config: Path) -> None:
    """As with every other verb."""
    config.rename("other.toml")
    shell.run("--config other.toml domain add a.example --next-hop 192.0.2.1")
    shell.run("domain add b.example --next-hop 192.0.2.1 --config other.toml")
    assert "b.example" in shell.run("domain list --config other.toml")[0]
    shell.run("domain list", status=2)


# with a server


def test_a_server_sees_a_change_within_a_second_or_so(tmp_path: Path) -> None:
    """A domain and who may release it; without a restart, and after one."""
    port = free_port()
    config = f'hostname = "office.example"\ndata = "data"\n[[listen]]\naddress = "127.0.0.1:{port}"\n'

    def until(said: str) -> float:
        began = time.monotonic()
        while said not in typed(port, "ETRN kept.example")[0]:
            assert time.monotonic() - began < 20, f"no {said}"
            time.sleep(0.05)
        return time.monotonic() - began

    with RestanteHost(tmp_path / "office", config) as office:
        assert "459 4.7.1" in typed(port, "ETRN kept.example")[0]
        office.cli("domain", "add", "kept.example", "--next-hop", "127.0.0.1:9", "--release-from", "127.0.0.1")
        until("251 2.0.0")
        office.cli("domain", "set", "kept.example", "--release-from", "192.0.2.1")
        until("459 4.7.1")
        office.cli("domain", "set", "kept.example", "--release-from", "127.0.0.0/8")
        until("251 2.0.0")
        office.wait_for_log("directory.db", times=3)
        office.cli("reload")
        until("251 2.0.0")
        office.stop()
        office.start()
        assert "251 2.0.0" in typed(port, "ETRN kept.example")[0]
        office.cli("domain", "remove", "kept.example")
        until("459 4.7.1")


# recipients


def test_a_list_of_recipients_is_kept_for_a_domain(shell: Shell) -> None:
    """Of the file or of the store: set from a file, changed, shown, cleared."""
    Path("new.txt").write_text("Anna@filed.example # the boss\n\n@sub.filed.example\n")
    said, _ = shell.run("domain recipients filed.example set new.txt")
    assert said == "filed.example has a list of 2 recipients; mail for others is refused\n"
    said, _ = shell.run("domain recipients FILED.example add bert@filed.example carl@filed.example")
    assert said == "filed.example has a list of 4 recipients; mail for others is refused\n"
    assert shell.json("domain recipients filed.example remove anna@filed.example carl@filed.example") == {
        "done": ["filed.example"],
        "recipients": 2,
    }
    assert shell.json("domain recipients filed.example list") == {
        "name": "filed.example",
        "where": "store",
        "recipients": [
            {"address": "@sub.filed.example", "verdict": "listed", "since": None},
            {"address": "bert@filed.example", "verdict": "listed", "since": None},
        ],
    }
    said, _ = shell.run("domain recipients filed.example clear")
    assert said == "filed.example has no list: recipients are learned\n"
    said, _ = shell.run("domain recipients filed.example")
    assert said == "filed.example has no list, and nothing was learned of its recipients yet\n"


def test_a_domain_that_is_relayed_for_anyone_has_a_list_too(shell: Shell) -> None:
    """One that is relayed for some has none: nobody else asks who exists there."""
    shell.run("domain add front.example --action relay --set from_anyone=true --set next_hop=192.0.2.25")
    said, _ = shell.run("domain recipients front.example add anna@front.example")
    assert said == "front.example has a list of 1 recipient; mail for others is refused\n"
    assert shell.json("domain recipients front.example")["where"] == "store"
    shell.run("domain set front.example --set from_anyone=false")
    _, why = shell.run("domain recipients front.example", status=1)
    assert "front.example is neither held nor relayed from_anyone" in why


def test_what_was_learned_is_shown_with_its_age(shell: Shell) -> None:
    """What is over, or from the future, is not; of a domain that `*` holds too."""
    shell.run("domain add * --next-hop caller")
    now = time.time()
    ours, other = DomainName("filed.example"), DomainName("other.example")
    file = LearnedFile(Path("data"))
    file.write(
        {
            (ours, "nobody"): Verdict(is_unknown=True, since=now - 3600),
            (ours, "anna"): Verdict(is_unknown=False, since=now - 90 * 86400),
            (ours, "old"): Verdict(is_unknown=True, since=now - 86401),
            (ours, "late"): Verdict(is_unknown=True, since=now + 3600),
            (other, "bert"): Verdict(is_unknown=False, since=now - 5),
        }
    )
    file.close()
    said, _ = shell.run("domain recipients filed.example")
    assert [line.split() for line in said.splitlines()] == [
        ["RECIPIENT", "VERDICT", "SINCE"],
        ["anna@filed.example", "known", "90", "d", "ago"],
        ["nobody@filed.example", "unknown", "1", "h", "ago"],
    ]
    (row,) = shell.json("domain recipients other.example list")["recipients"]
    assert (row["address"], row["verdict"]) == ("bert@other.example", "known")


@pytest.mark.parametrize(
    ("line", "status", "why"),
    [
        ("filed.example add", 2, "add takes addresses"),
        ("filed.example set", 2, "set takes one file"),
        ("filed.example set a.txt b.txt", 2, "set takes one file"),
        ("filed.example list anna@filed.example", 2, "list takes nothing"),
        ("filed.example set missing.txt", 2, "missing.txt cannot be read: No such file or directory"),
        ("filed.example add anna", 2, "recipients: line 1: found 'anna', allowed: an address or @domain"),
        ("filed.example remove anna@filed.example", 1, "filed.example has no list"),
        ("unknown.example list", 1, "unknown.example is neither held nor relayed from_anyone"),
        ("listed.example add anna@listed.example", 1, "listed.example, which wins"),
        ("not..a.name list", 2, "is not the name of a domain"),
    ],
)
def test_a_list_that_cannot_be_changed_so(shell: Shell, line: str, status: int, why: str) -> None:
    """In one line, and nothing has changed."""
    Path("list.txt").write_text("anna@listed.example\n")
    shell.run("domain add listed.example --next-hop caller --set recipients=list.txt")
    assert why in shell.run(f"domain recipients {line}", status=status)[1]
    assert shell.json("domain recipients filed.example")["where"] is None
    assert shell.json("domain recipients listed.example")["where"] == "file"


def test_a_domain_takes_its_list_along(shell: Shell) -> None:
    """Another one of that name begins without; but the list of one that the file has too stays."""
    shell.run("domain add kept.example --next-hop caller")
    shell.run("domain recipients kept.example add anna@kept.example")
    shell.run("domain remove kept.example")
    shell.run("domain add kept.example --next-hop caller")
    assert shell.json("domain recipients kept.example")["where"] is None


def test_a_quota_is_shown_with_what_is_used_of_it(shell: Shell) -> None:
    """Where one is set."""
    assert "FULL" not in shell.run("domain list")[0]
    shell.run("domain add full.example --next-hop caller --set quota=2GB --set quota_items=10")
    said, _ = shell.run("domain list")
    assert said.splitlines()[0].endswith("MAY RELEASE               FULL  WHERE")
    assert "0 %" in said
    assert shell.domains()["full.example"]["quota"] == {
        "items": 0, "octets": 0, "most_items": 10, "most_octets": 2 << 30
    }  # fmt: skip
    assert shell.domains()["filed.example"]["quota"] is None
