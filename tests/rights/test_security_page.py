"""docs/security.md says what is: the tests that it names are there, and its defaults are the configuration's."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest
from bench.soak import RUNS
from tests.here import CHECKOUT

from restante.config.load import load
from restante.config.settings import Call, Hold, LimitsSettings, Listen, MayRelay, Relay, Section, Tls
from restante.logins.check import _THREADS, _WAITING
from restante.logins.guesses import GuessLimits
from restante.smtp.server import MAX_ERRORS

PAGE = (CHECKOUT / "docs/security.md").read_text()
SECTIONS: dict[str, type[Section]] = {
    "relay": MayRelay,
    "listen": Listen,
    "tls": Tls,
    "domains": Hold,
    "calls": Call,
    "limits": LimitsSettings,
}
ROWS = re.findall(r"^\| `([a-z_.]+)` \| `?([^`|]+?)`? \|", PAGE.partition("<!-- defaults -->")[2], re.MULTILINE)


def default(path: str) -> str:
    """A key's default as the page writes it."""
    section, _, key = path.rpartition(".")
    kind = Relay if key == "from_anyone" else SECTIONS[section or "domains"]
    form, value = kind.form_of(key), kind.model_fields[kind.by_key()[key]].default
    assert form is not None, path
    return "none" if value is None or value == () else json.dumps(form.write(value)).strip('"')


@pytest.mark.parametrize(("path", "told"), ROWS)
def test_defaults_are_the_configuration_s(path: str, told: str) -> None:
    """Each row of the table."""
    assert default(path) == told


def test_the_defaults_that_stand_in_a_row_s_words_are_so_too() -> None:
    """`limits.reserved` (100) and their like."""
    found = re.findall(r"`(limits\.[a-z_]+)` \((\d+)(?: KB)?", PAGE)
    assert len(found) == 5
    for path, told in found:
        assert re.match(rf"{told}(KB)?$", default(path)), path


def test_there_are_as_many_rows_as_were_written() -> None:
    """Else the tests above would say less than they seem to."""
    assert len(ROWS) == 16


def test_a_relay_is_as_opportunistic_as_a_held_domain() -> None:
    """The table has one row for both."""
    assert Relay.model_fields["tls"].default == Hold.model_fields["tls"].default


def test_its_examples_are_configurations(tmp_path: Path) -> None:
    """Both load as they are, but for the digests; the mail is for one certificate, at one key."""
    office, site = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE.partition("## A site")[2], re.MULTILINE)
    head = f'hostname = "office.example"\ndata = "{tmp_path}/data"\n[[listen]]\naddress = "127.0.0.1:25"\n'
    digest = "0123456789abcdef" * 4
    for name in ("site.pem", "site.key"):
        (tmp_path / name).write_text("any")
    loaded = []
    for number, text in enumerate((office, site)):
        file = tmp_path / f"{number}.toml"
        written = head + textwrap.dedent(text).replace("cert:SHA256", f"cert:{digest}").replace("HEX", digest)
        file.write_text(written + '[domains."test.example"]\naction = "deliver"\nusers = ["anna"]\n' * number)
        loaded.append(load(file))
    [held] = loaded[0].held.values()
    [call] = loaded[1].calls.values()
    assert [str(grant) for grant in held.release_from] == [f"cert:{digest}"]
    assert held.tls_pin == call.tls_pin == (digest,)
    assert held.tls == call.tls == "required"


def test_the_tests_that_it_names_are_there() -> None:
    """And the pages, and the runs of script/soak."""
    named = re.findall(r"`((?:tests|docs)/[\w/.]*)`", PAGE)
    assert len(named) > 15
    for path in named:
        assert (CHECKOUT / path).exists(), path
    runs = re.findall(r"script/soak ([a-z-]+)", PAGE)
    assert runs
    assert set(runs) <= set(RUNS)


def test_its_numbers_are_those_of_the_program() -> None:
    """Guesses, errors of a session, passwords that are checked at once."""
    limits = GuessLimits.of(LimitsSettings.model_fields["auth_failures"].default)
    assert (limits.pair, limits.account, limits.network, limits.span, limits.delay) == (10, 100, 50, 600, 5)
    assert "ten failures in ten minutes for an account from one network, a hundred from everywhere, fifty from" in PAGE
    assert MAX_ERRORS == 200
    assert "200 refusals or errors end a session" in PAGE
    assert (_THREADS, _WAITING) == (2, 64)
    assert "Two passwords are checked at once, and 64 more wait" in PAGE
