"""Tables from CSV, JSON lines and command lines: the values that TOML would have, or where they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from restante.config.load import ConfigError
from restante.config.tables import form_of, from_text, read_tables


def read(tmp_path: Path, kind: str, text: str) -> dict[str, Any]:
    """The tables of a file. Raises ConfigError."""
    file = tmp_path / "import"
    file.write_text(text, "utf-8")
    return read_tables(kind, file)


def problems(tmp_path: Path, kind: str, text: str) -> list[str]:
    """What is wrong with a file, without its name."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, kind, text)
    return [line.removeprefix(f"{tmp_path}/import: ") for line in str(caught.value).splitlines()]


def test_csv_has_keys_in_its_heading(tmp_path: Path) -> None:
    """Lists have spaces, truths and numbers no quotes; an empty cell is a key that is not set."""
    text = (
        "name,action,next_hop,release_from,counts,etrn_empty,quota,users,tls_pin\n"
        'test.example,hold,192.0.2.25,"192.0.2.25 user:test",false,250,1000000,,sha256:ab\r\n'
        "\n"
        "local.example, deliver ,,,,,,anna bert,\n"
        "open.example,deliver,,,,,,*,\n"
    )
    assert read(tmp_path, "domains", text) == {
        "test.example": {
            "action": "hold",
            "next_hop": "192.0.2.25",
            "release_from": ["192.0.2.25", "user:test"],
            "counts": False,
            "etrn_empty": 250,
            "quota": "1000000",
            "tls_pin": ["sha256:ab"],
        },
        "local.example": {"action": "deliver", "users": ["anna", "bert"]},
        "open.example": {"action": "deliver", "users": "*"},
    }


def test_json_lines_have_what_toml_has(tmp_path: Path) -> None:
    """A byte order mark and empty lines are no matter."""
    text = '\ufeff{"name": "test", "domains": ["test.example"], "x": 1}\n\n{"name": "other"}\n'
    assert read(tmp_path, "users", text) == {"test": {"domains": ["test.example"], "x": 1}, "other": {}}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("name,action\na.example\n", ["line 2: found 1 cells, allowed: as many as keys"]),
        ("action\nhold\n", ["line 2: name: found nothing, allowed: a name"]),
        ("name,action\n,hold\n", ["line 2: name: found nothing, allowed: a name"]),
        ("name\na.example\na.example\n", ["line 3: name: found 'a.example' again, allowed: each name once"]),
        ('{"name": "a"}\n{"name": 5}\n{}\n', ["line 2: name: found 5, allowed: a name",
                                             "line 3: name: found nothing, allowed: a name"]),
        ('{"name": "a"}\n[]\n{"x\n', ["line 2: found a list, allowed: a JSON object on each line",
                                     "line 3: found what is not JSON, allowed: a JSON object on each line"]),
    ],
)  # fmt: skip
def test_a_line_that_is_wrong_is_told_with_its_number(tmp_path: Path, text: str, lines: list[str]) -> None:
    """All of them at once."""
    assert problems(tmp_path, "domains", text) == lines


def test_a_file_that_is_not_text_is_one_problem(tmp_path: Path) -> None:
    """Whatever it is."""
    (tmp_path / "import").write_bytes(b"name\n\xff\xfe\n")
    with pytest.raises(ConfigError, match="an octet that is not UTF-8"):
        read_tables("users", tmp_path / "import")


def test_an_empty_file_has_no_tables(tmp_path: Path) -> None:
    """Nor has one with a heading alone."""
    assert read(tmp_path, "users", "") == read(tmp_path, "users", "name,password\n") == {}


@pytest.mark.parametrize(
    ("kind", "key", "text", "value"),
    [
        ("domains", "next_hop", "192.0.2.25", "192.0.2.25"),
        ("domains", "release_from", " 192.0.2.25  user:test ", ["192.0.2.25", "user:test"]),
        ("domains", "counts", "true", True),
        ("domains", "counts", "yes", "yes"),
        ("domains", "etrn_empty", "250", 250),
        ("domains", "etrn_empty", "many", "many"),
        ("domains", "aliases", '{"info": ["anna"]}', {"info": ["anna"]}),
        ("domains", "aliases", "info", "info"),
        ("domains", "action", "hold", "hold"),
        ("domains", "colour", "red", "red"),
        ("users", "domains", "a.example b.example", ["a.example", "b.example"]),
        ("users", "certificates", "", []),
    ],
)
def test_a_text_is_the_value_that_its_key_asks_for(kind: str, key: str, text: str, value: object) -> None:
    """What makes no sense stays as it is, for the settings to refuse in their words."""
    found = from_text(form_of(kind, key), text)
    assert found == value
    assert type(found) is type(value)


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet='name,{}[]":\n\r\x00 a1"', max_size=60) | st.text(max_size=60))
def test_any_text_is_tables_or_a_problem(tmp_path: Path, text: str) -> None:
    """Never another error."""
    (tmp_path / "import").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        tables = read_tables("domains", tmp_path / "import")
    except ConfigError:
        return
    assert all(isinstance(table, dict) for table in tables.values())
