"""`restante tls-report`: what it shows of a day, to people and as JSON."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from pathlib import Path

import pytest

from restante.cli import main
from restante.mx.book import open_book
from restante.mx.tlsrpt import PolicyShown, PolicyType, Row, TlsOutcome
from restante.net.stream import ResultType

CONFIG = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:2525"
"""
DAY = "2026-10-25"
STS = PolicyShown(PolicyType.STS, "test.example", ("version: STSv1",), ("mx1.test.example",))
NONE = PolicyShown(PolicyType.NONE, "other.example")
ROWS = [
    Row(DAY, STS, TlsOutcome(None, "mx1.test.example", "192.0.2.1", "192.0.2.7"), 12),
    Row(DAY, STS, TlsOutcome(ResultType.EXPIRED, "mx1.test.example", "192.0.2.1", "192.0.2.8", "it is old"), 3),
    Row(DAY, NONE, TlsOutcome(ResultType.NO_STARTTLS, "mx.other.example"), 1),
]


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration, whose server has counted that."""
    (tmp_path / "data").mkdir()
    with contextlib.closing(open_book(tmp_path / "data")) as book:
        book.add(
            [*ROWS, Row(dt.datetime.now(dt.UTC).date().isoformat(), NONE, TlsOutcome(None, "mx9.other.example"), 1)]
        )
    file = tmp_path / "office.toml"
    file.write_text(CONFIG)
    return str(file)


def test_a_day(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each kind of session."""
    assert main(["tls-report", "--date", DAY, "--config", config]) == 0
    heading, *lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert heading == ["Domain", "Policy", "Result", "MX", "host", "Sessions", "Reason"]
    assert sorted(lines) == [
        ["other.example", "no-policy-found", "starttls-not-supported", "mx.other.example", "1"],
        ["test.example", "sts", "certificate-expired", "mx1.test.example", "3", "it", "is", "old"],
        ["test.example", "sts", "good", "mx1.test.example", "12"],
    ]


def test_a_report_of_one_domain(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As RFC 8460 §4.4 has it."""
    assert main(["tls-report", "Test.Example", "--date", DAY, "--config", config, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["organization-name"] == "office.example"
    assert report["date-range"]["start-datetime"] == "2026-10-25T00:00:00Z"
    [policy] = report["policies"]
    assert policy["policy"]["policy-domain"] == "test.example"
    assert policy["summary"] == {"total-successful-session-count": 12, "total-failure-session-count": 3}
    assert [failure["result-type"] for failure in policy["failure-details"]] == ["certificate-expired"]


def test_reports_of_all_domains(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One each."""
    assert main(["tls-report", "--date", DAY, "--config", config, "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [each["policies"][0]["policy"]["policy-domain"] for each in reports] == ["other.example", "test.example"]


def test_today(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Is what is shown without a date."""
    assert main(["tls-report", "--config", config]) == 0
    assert "mx9.other.example" in capsys.readouterr().out


def test_a_day_without_sessions(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Is no error."""
    assert main(["tls-report", "--date", "2026-01-01", "--config", config]) == 0
    assert capsys.readouterr().out == "nothing was counted on 2026-01-01\n"
    assert main(["tls-report", "test.example", "--date", "2026-01-01", "--config", config, "--json"]) == 0
    assert capsys.readouterr().out == "null\n"


@pytest.mark.parametrize("arguments", [["--date", "yesterday"], ["test..example"]])
def test_what_is_no_day_and_no_domain(arguments: list[str], config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Is a mistake of usage."""
    assert main(["tls-report", *arguments, "--config", config]) == 2
    assert arguments[-1] in capsys.readouterr().err
