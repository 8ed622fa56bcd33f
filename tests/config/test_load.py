"""From a file to settings, or to every problem in it: one line each, in words that an operator can act upon."""

from __future__ import annotations

import ipaddress
import re
from datetime import tzinfo
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.config.written import LISTEN, TOP, Folder, notes, wrong_files

from restante.calls.plan import CallPlan
from restante.calls.window import Schedule
from restante.config.load import ConfigError, directory_of, find_config, load, plans_of
from restante.config.problems import write_key, write_value
from restante.config.settings import ACTIONS, SECTIONS, Settings
from restante.directory.entries import Delivered, Grant, Held, Recipients, Rejected, Relayed
from restante.directory.routing import Reader, readers_for
from restante.model import ByMx, Caller, HostPort, Mailbox, Order
from restante.net.tls import TlsLevel, TlsPolicy
from restante.smtp.address import DomainName

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/two-hosts"

HELD = '[domains."test.example"]\naction = "hold"\nnext_hop = "192.0.2.25"\n'
MAILBOXES = '[domains."local.example"]\naction = "deliver"\nusers = ["anna", "bert"]\n'
CALL = '[calls.office]\nhost = "office.example"\ndomains = ["local.example"]\n'


def plans(settings: Settings) -> tuple[CallPlan, ...]:
    """The calls that a file has, where the store has nothing."""
    return plans_of(settings, directory_of(settings))


WRONG = wrong_files(Path(__file__).with_name("wrong.txt"))


@pytest.mark.parametrize(("more", "line"), WRONG.values(), ids=WRONG)
def test_a_bad_value_is_told_with_its_key_and_with_what_is_allowed(folder: Folder, more: str, line: str) -> None:
    """One line, and nothing else is complained of."""
    (folder.path / "folder").mkdir()
    (folder.path / "key.pem").touch()
    (folder.path / "secret").write_text("tanstaaftanstaaf\n")
    listen = LISTEN if not more.startswith("[listen]") else ""
    lines = folder.problems(more.replace('key = "folder"', 'key = "key.pem"'), listen=listen)
    assert lines == [f"restante.toml: {line.replace('FOLDER', str(folder.path))}"]


WRONG_TOP = {
    "no host name": ('data = "d"', 'hostname: found nothing, allowed: a host name such as "office.example"'),
    "no data": ('hostname = "a.example"', "data: found nothing, allowed: the path of a folder"),
    "literal as a name": (
        'hostname = "[192.0.2.1]"\ndata = "d"',
        """hostname: found '[192.0.2.1]', allowed: a host name such as "office.example\"""",
    ),
    "cluster": (
        TOP + 'store = "postgresql://me:hunter2@db.example/mail"',
        """store: found 'postgresql://…@db.example/mail' (not available yet), allowed: "sqlite\"""",
    ),
    "no table": (TOP + "limits = 5", "limits: found 5 (an integer), allowed: a table that begins with [limits]"),
    "unknown store": (TOP + 'store = "mysql"', """store: found 'mysql', allowed: "sqlite\""""),
    "very long": (
        f'hostname = "{"x" * 500}"\ndata = "d"',
        f"hostname: found '{'x' * 60}'…, allowed: a host name such as \"office.example\"",
    ),
}


@pytest.mark.parametrize(("top", "line"), WRONG_TOP.values(), ids=WRONG_TOP)
def test_the_top_of_the_file_has_its_own_keys(folder: Folder, top: str, line: str) -> None:
    """What may be a secret in a URL is left out."""
    assert folder.problems(top=top) == [f"restante.toml: {line}"]


def test_nothing_listens_without_a_listener(folder: Folder) -> None:
    """A server that nobody can reach is not what was meant."""
    assert folder.problems(listen="") == [
        "restante.toml: listen: found nothing, allowed: one [[listen]] table at least"
    ]


def test_all_problems_are_told_at_once(folder: Folder) -> None:
    """Of every table, of values alone and of keys that do not go together, whatever else is wrong."""
    (folder.path / "list.txt").write_text("anna@test.example\nno such\n")
    lines = folder.problems(
        """
        [limits]
        hops = 0
        message_sise = "1MB"
        [domains."test.example"]
        action = "hold"
        next_hop = "a b"
        recipients = "list.txt"
        [domains."other.example"]
        action = "hold"
        next_hop = "192.0.2.1"
        quota = "much"
        [domains."local.example"]
        action = "deliver"
        users = ["anna"]
        aliases = { info = ["bert"] }
        postmaster = "carla"
        colour = "red"
        [calls.office]
        host = "office.example"
        domains = ["local.example"]
        window = 600
        flush = ["test.example", "other.example", "local.example", "unknown.example"]
        """,
        top='data = "data"\nhostname = 5',
        listen=LISTEN + LISTEN.replace('"127', '"[::1]:25"\ntls = "always"\n#') + LISTEN,
    )
    assert [line.split(": found ")[0].removeprefix("restante.toml: ") for line in lines] == [
        "hostname",
        "listen[1].tls",
        "limits.hops",
        "limits.message_sise",
        'domains."test.example".next_hop',
        "list.txt: line 2".replace("list.txt", str(folder.path / "list.txt")),
        'domains."other.example".quota',
        'domains."local.example".colour',
        "calls.office.window",
        "listen[2].address",
        'domains."local.example".aliases.info',
        'domains."local.example".postmaster',
        "calls.office.flush[2]",
        "calls.office.flush[3]",
    ]


BROKEN = {
    "no TOML": (
        b"hostname = \n",
        "restante.toml: line 1, column 12: found what is not TOML (invalid value), allowed: TOML",
    ),
    "cut": (
        b'hostname = "office',
        "restante.toml: end of document: found what is not TOML (unterminated string), allowed: TOML",
    ),
    "a key twice": (
        b"data = 1\ndata = 2\n",
        "restante.toml: line 2, column 9: found what is not TOML (cannot overwrite a value), allowed: TOML",
    ),
    "not UTF-8": (
        b"a = 1\n# caf\xe9\n",
        "restante.toml: line 2: found an octet that is not UTF-8, allowed: text in UTF-8",
    ),
    "too deep": (
        b"a = " + b"[" * 100_000,
        "restante.toml: found lists or tables that are nested too deep, allowed: TOML",
    ),
}


@pytest.mark.parametrize(("octets", "line"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_understood_is_one_problem(folder: Folder, octets: bytes, line: str) -> None:
    """With the place where it stops making sense."""
    (folder.path / "restante.toml").write_bytes(octets)
    with pytest.raises(ConfigError) as caught:
        load(Path("restante.toml"))
    assert str(caught.value) == line


def test_a_file_that_is_not_there_is_a_problem(folder: Folder) -> None:
    """As is a folder in its place."""
    for name, why in (("none.toml", "No such file or directory"), (".", "Is a directory")):
        with pytest.raises(ConfigError, match=f"found a file that cannot be read \\({why}\\)"):
            load(folder.path / name)


def test_a_byte_order_mark_is_no_problem(folder: Folder) -> None:
    """Some editors write one."""
    (folder.path / "restante.toml").write_text(TOP + LISTEN, "utf-8-sig")
    assert load(Path("restante.toml")).hostname == "office.example"


def test_paths_are_relative_to_the_folder_of_the_file(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to where the program stands; what is written from the root stays so."""
    elsewhere = folder.path / "elsewhere"
    elsewhere.mkdir()
    for name in ("cert.pem", "key.pem", "elsewhere/ca.pem"):
        (folder.path / name).touch()
    folder.load(f'[tls]\ncertificate = "cert.pem"\nkey = "key.pem"\nclient_ca = "{elsewhere}/ca.pem"')
    monkeypatch.chdir("/")
    settings = load(folder.path / "restante.toml")
    assert settings.data == folder.path / "data"
    assert settings.tls.certificate == folder.path / "cert.pem"
    assert settings.tls.key == folder.path / "key.pem"
    assert settings.tls.client_ca == elsewhere / "ca.pem"


def test_what_is_not_written_has_its_default(folder: Folder) -> None:
    """The smallest file is a host that takes no mail for anybody."""
    settings = folder.load()
    assert (settings.store, settings.domains, settings.calls, notes(settings)) == ("sqlite", {}, {}, ())
    assert [(listen.service, listen.tls) for listen in settings.listen] == [("mx", "starttls")]
    assert settings.limits.model_dump() == {
        "message_size": 50 * 1024 * 1024,
        "header_size": 256 * 1024,
        "recipients": 1000,
        "hops": 50,
        "connections": 2000,
        "reserved": 100,
        "connections_per_address": 50,
        "connection_rate": 20,
        "command_timeout": 300.0,
        "min_rate": 500,
        "auth_failures": 10,
        "ahead_messages": 500,
        "ahead_octets": 4 * 1024 * 1024,
        "delivery_connections": 200,
        "releases": 50,
        "notices": 100,
    }


@pytest.mark.parametrize("name", ["site.toml", "office.toml"])
def test_the_examples_load(name: str) -> None:
    """Both hosts, with nothing to remark upon but that their administrator, whom script/server makes, is not there."""
    remark = "admin.address: nobody can log in there: no user has a password or a token"
    assert notes(load(EXAMPLES / name)) == (remark,)


def test_a_directory_has_what_the_file_says(folder: Folder) -> None:
    """Each action becomes its entry, in the file's order."""
    (folder.path / "list.txt").write_text("anna@test.example\n")
    fingerprint = "ab" * 32
    directory = directory_of(
        folder.load(f"""
            [domains."TEST.example"]
            action = "hold"
            next_hop = "[2001:db8::25]:2525"
            release_from = ["192.0.2.0/24", "user:test", "cert:{fingerprint}"]
            group = "Customers"
            order = "smallest"
            recipients = "list.txt"
            tls = "verify"
            counts = false
            etrn_empty = 250
            [domains."bücher.example"]
            action = "deliver"
            users = ["Anna", "bert"]
            aliases = {{ all = ["info", "bert"], info = ["Anna"] }}
            [domains."old.example"]
            action = "reject"
            text = "Gone"
            [domains."*"]
            action = "relay"
            [users.Test]
            certificates = ["{fingerprint}"]
            domains = ["test.example"]
            [relay]
            from = ["127.0.0.0/8", "::1"]
        """)
    )
    assert directory.hostname == "office.example"
    assert directory.relay_from == (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))
    assert list(directory.entries()) == [
        Held(
            "test.example",
            HostPort("2001:db8::25", 2525),
            grants=(
                Grant(network=ipaddress.ip_network("192.0.2.0/24")),
                Grant(login="test"),
                Grant(certificate=fingerprint),
            ),
            group="customers",
            order=Order.SMALLEST,
            counts=False,
            etrn_empty=250,
            recipients=Recipients(frozenset({"anna@test.example"})),
            tls="verify",
            owners=frozenset({"test"}),
        ),
        Delivered(
            "xn--bcher-kva.example",
            frozenset({"anna", "bert"}),
            {"all": ("anna", "bert"), "info": ("anna",)},
            postmaster="anna",
        ),
        Rejected("old.example", "Gone"),
        Relayed("*", ByMx()),
    ]


def test_a_relayed_domain_may_be_for_anyone(folder: Folder) -> None:
    """With what is known of its recipients."""
    (folder.path / "list.txt").write_text("anna@test.example\n")
    keys = 'from_anyone = true\nrecipients = "list.txt"\nunknown_for = "1h"\nnext_hop = "192.0.2.25"'
    (entry,) = directory_of(folder.load(f'[domains."test.example"]\naction = "relay"\n{keys}')).entries()
    listed = Recipients(frozenset({"anna@test.example"}))
    assert entry == Relayed(
        "test.example", HostPort("192.0.2.25"), from_anyone=True, recipients=listed, unknown_for=3600.0
    )


def test_a_held_domain_needs_no_more_than_its_next_hop(folder: Folder) -> None:
    """Then nobody may release it but the operator, and the caller's address is a next hop too."""
    directory = directory_of(folder.load('[domains."test.example"]\naction = "hold"\nnext_hop = "caller"'))
    assert list(directory.entries()) == [Held("test.example", Caller())]


@pytest.mark.parametrize(
    ("keys", "reader"),
    [
        ('users = ["anna", "postmaster"]', "postmaster"),
        ('users = ["anna", "bert"]', "anna"),
        ('users = ["anna", "bert"]\npostmaster = "Bert"', "bert"),
        ('users = ["anna", "bert"]\naliases = { Postmaster = ["bert"] }', "bert"),
        ('users = "*"', "postmaster"),
        ('users = "*"\npostmaster = "bert"', "bert"),
    ],
)
def test_somebody_reads_what_is_sent_to_postmaster(folder: Folder, keys: str, reader: str) -> None:
    """RFC 5321 §4.5.1: the user or alias of that name, else the one who is named, else the first user."""
    directory = directory_of(folder.load(f'[domains."local.example"]\naction = "deliver"\n{keys}'))
    assert readers_for(directory, Mailbox("postmaster", DomainName("local.example"))) == (Reader(reader),)


def test_many_aliases_of_aliases_cost_no_more_than_they_are(folder: Folder) -> None:
    """Each is followed once, though there are more ways through them than anybody could walk."""
    aliases = [f'a{n} = ["b{n + 1}", "a{n + 1}"]\nb{n} = ["a{n + 1}", "b{n + 1}"]' for n in range(200)]
    ends = 'a200 = ["anna"]\nb200 = ["bert"]'
    written = "\n".join([*aliases, ends])
    directory = directory_of(folder.load(f'{MAILBOXES}[domains."local.example".aliases]\n{written}'))
    found = readers_for(directory, Mailbox("a0", DomainName("local.example")))
    assert set(found) == {Reader("anna"), Reader("bert")}


def test_a_plan_has_what_the_file_says(folder: Folder) -> None:
    """Schedules in the machine's time zone; hooks as they are, a word that comes twice included."""
    (plan,) = plans(
        folder.load(f"""
            {HELD}
            [calls.office]
            host = "office.example:2525"
            domains = ["Local.example", "local.example"]
            schedule = ["@daily", "0 14 * * *"]
            on = "link-up"
            window = "20m"
            idle = "1m"
            before = ["echo", "-v", "-v"]
            after = ["poff"]
            hook_timeout = "10s"
            flush = ["TEST.example"]
            tls = "required"
        """)
    )
    assert plan == CallPlan(
        "office",
        HostPort("office.example", 2525),
        domains=(DomainName("local.example"),),
        schedule=Schedule(("0 0 * * *", "0 14 * * *"), plan.schedule.zone),
        on_link_up=True,
        window=1200.0,
        idle=60.0,
        before=("echo", "-v", "-v"),
        after=("poff",),
        hook_limit=10.0,
        flush=("test.example",),
        tls=TlsPolicy(TlsLevel.REQUIRED),
    )


def test_schedules_are_read_in_the_zone_of_the_machine(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every other program on it reads them."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    (plan,) = plans(folder.load(f'{CALL}schedule = "0 14 * * *"'))
    zone: tzinfo = plan.schedule.zone
    assert str(zone) == "Asia/Tokyo"
    assert plan == CallPlan("office", HostPort("office.example"), (DomainName("local.example"),), plan.schedule)


def test_a_star_flushes_all_that_is_held(folder: Folder) -> None:
    """The entry `*` included, and nothing that is not held."""
    held = HELD + '[domains."*"]\naction = "hold"\nnext_hop = "192.0.2.26"\n'
    (plan,) = plans(folder.load(f'{held}{MAILBOXES}{CALL}flush = ["*", "test.example"]'))
    assert plan.flush == ("test.example", "*")


def test_the_file_that_is_named_is_taken(folder: Folder) -> None:
    """On the command line, else in the environment; whether it is there is for load() to find out."""
    folder.load()
    environ = {"RESTANTE_CONFIG": "/elsewhere/restante.toml"}
    assert find_config(Path("named.toml"), environ) == Path("named.toml")
    assert find_config(None, environ) == Path("/elsewhere/restante.toml")
    assert find_config(None, {"RESTANTE_CONFIG": ""}) == Path("restante.toml")


def test_without_a_name_the_working_folder_comes_before_the_system(folder: Folder) -> None:
    """And where neither has one, all that was tried is told."""
    system = folder.path / "etc/restante.toml"
    with pytest.raises(ConfigError) as caught:
        find_config(None, {}, system)
    assert str(caught.value) == (
        "restante.toml: found no configuration: neither --config nor $RESTANTE_CONFIG names one, "
        f"and there is no ./restante.toml and no {system}, allowed: one of these"
    )
    system.parent.mkdir()
    system.touch()
    assert find_config(None, {}, system) == system
    folder.load()
    assert find_config(None, {}, system) == Path("restante.toml")


JARGON = re.compile(r"input should|not permitted|pydantic|valid (?:string|integer|dict)|field required|nonetype")
_TEXTS = st.sampled_from(["", "*", "hold", "deliver", "relay", "10m", "5MB", "a.example", "192.0.2.1", "anna", "[key]"])
_VALUES = st.recursive(
    st.integers() | st.booleans() | st.floats(allow_nan=False) | _TEXTS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=6,
)


@st.composite
def _tables(draw: st.DrawFn) -> dict[str, Any]:
    """Tables that are nearly a configuration: known keys, with values of any kind."""

    def table(keys: list[str]) -> st.SearchStrategy[Any]:
        return _VALUES | st.dictionaries(st.sampled_from(keys) | _TEXTS, _VALUES, max_size=4)

    def domain(action: str) -> st.SearchStrategy[Any]:
        return table([*ACTIONS[action].by_key()]).map(lambda t: {"action": action} | t if isinstance(t, dict) else t)

    top: dict[str, Any] = draw(st.dictionaries(st.sampled_from([*Settings.by_key()]), _VALUES, max_size=4))
    for name, section in SECTIONS.items():
        one = table([*section.by_key()])
        several: st.SearchStrategy[Any] = st.dictionaries(_TEXTS, one, max_size=2)
        if name == "listen":
            several = st.lists(one, max_size=2)
        if draw(st.booleans()):
            top[name] = draw(one | several)
    if draw(st.booleans()):
        entries = st.sampled_from([*ACTIONS]).flatmap(domain)
        top["domains"] = draw(st.dictionaries(_TEXTS | st.text(max_size=5), entries, max_size=3))
    return top


@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables=_tables())
def test_whatever_is_written_the_answer_is_settings_or_plain_words(folder: Folder, tables: dict[str, Any]) -> None:
    """Never another error, and never a word of the libraries that do the work."""
    text = "\n".join(f"{write_key((key,))} = {write_value(value)}" for key, value in tables.items())
    (folder.path / "restante.toml").write_text(text, "utf-8")
    try:
        load(Path("restante.toml"))
    except ConfigError as error:
        lines = [str(problem) for problem in error.problems]
    else:
        return
    assert lines
    for line in lines:
        assert line.isprintable(), line
        assert not JARGON.search(line.lower()), line
