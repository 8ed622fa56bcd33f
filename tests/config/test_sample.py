"""The sample loads, and with the manual it is all that there is to be known about the keys."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.config.written import Folder, notes

from restante.config.load import directory_of, load, plans_of
from restante.config.sample import PARTS, manual, sample
from restante.config.settings import ACTIONS, SECTIONS, Settings

MANUAL = Path(__file__).resolve().parents[2] / "docs/configuration.md"
WITH_OTHERS_ONLY = re.compile(r'^(postmaster = "anna"|tls_pin = .*|secret = .*)\n', re.MULTILINE)
COMMENTED = re.compile(r"^#(?=[a-z\[])", re.MULTILINE)


def test_the_sample_loads_as_it_stands(folder: Folder) -> None:
    """With nothing to remark upon, and an entry of each kind."""
    (folder.path / "restante.toml").write_text(sample(), "utf-8")
    settings = load(folder.path / "restante.toml")
    assert notes(settings) == ()
    assert {type(domain) for domain in settings.domains.values()} == set(ACTIONS.values())


def test_every_key_of_the_sample_can_be_switched_on(folder: Folder) -> None:
    """All that stands behind a `#` is a key with a value that is allowed; defaults change nothing."""
    for name in ("cert.pem", "key.pem", "clients.pem", "site.pem", "site.key", "office-ca.pem", "recipients.txt"):
        (folder.path / name).touch()
    (folder.path / "test.cram").write_text("tanstaaftanstaaf\n")
    text, all_on = sample(), COMMENTED.sub("", sample())
    (folder.path / "restante.toml").write_text(WITH_OTHERS_ONLY.sub("", all_on), "utf-8")
    settings = load(folder.path / "restante.toml")
    assert len(plans_of(settings, directory_of(settings))) == 1
    assert len(directory_of(settings)) == 4
    (folder.path / "restante.toml").write_text(text, "utf-8")
    assert load(folder.path / "restante.toml").limits == settings.limits


def test_the_sample_has_every_key_once() -> None:
    """Whatever is added to the settings is in it, or its table is."""
    tables = tomllib.loads(COMMENTED.sub("", sample()))
    assert set(tables) == set(Settings.by_key())
    domains = {table["action"]: table for table in tables["domains"].values()}
    assert {name: list(table) for name, table in domains.items()} == {
        name: list(section.by_key()) for name, section in ACTIONS.items()
    }
    for name, section in SECTIONS.items():
        table = tables[name][0] if name == "listen" else tables[name]
        table = next(iter(table.values())) if name in ("users", "calls") else table
        assert list(table) == list(section.by_key()), name


def test_the_manual_has_every_table() -> None:
    """The parts that it is made of are the models that there are."""
    assert {part.section for part in PARTS} == {Settings, *SECTIONS.values(), *ACTIONS.values()}


def test_the_manual_is_what_the_settings_say() -> None:
    """After a change of a key: python -c 'from restante.config.sample import manual; print(manual(), end="")'."""
    assert MANUAL.read_text("utf-8") == manual()
