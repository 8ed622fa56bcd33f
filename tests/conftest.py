"""Hypothesis without haste, markers that say what a test needs of the machine, and the list, at the end of a run, of
what could not run.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.here import NOT_HERE, lacking, not_here

TESTS = Path(__file__).parent

# No example fails because the machine was busy with something else, and a run is the same again.
# `pytest --hypothesis-profile=default` looks for new ones.
settings.register_profile(
    "any machine", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

LONGEST = (
    "crash/test_real_server.py",
    "stories/test_isp.py",
    "web/test_conformance.py",
    "floods/test_floods.py",
    "browser/",
    "stories/test_swaks_logins.py",
    "cli/test_verbs.py",
    "cli/test_keeping.py",
    "stories/test_restart.py",
    "web/test_examples.py",
    "races/test_etrn_races.py",
    "release/test_expiry_for_years.py",
    "test_app.py",
    "cuts/test_faulty_sinks.py",
)
"""Files that take longest. They begin, so that at the end no worker is alone with one of them."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; all others as they come."""
    ranks: dict[Path, int] = {}
    for item in items:
        if item.path not in ranks:
            name = item.path.relative_to(TESTS).as_posix()
            ranks[item.path] = next((rank for rank, long in enumerate(LONGEST) if name.startswith(long)), len(LONGEST))
    items.sort(key=lambda item: ranks[item.path])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips, by name and with a reason, what this machine cannot run."""
    for marker in item.iter_markers():
        if reason := lacking(marker.name):
            not_here(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names what was not run here, with the reasons."""
    left_out: Counter[tuple[str, str]] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if NOT_HERE in reason:
            left_out[report.nodeid.partition("::")[0], reason.partition(NOT_HERE)[2]] += 1
    if left_out:
        terminalreporter.section("not run here")
        for (file, reason), tests in sorted(left_out.items()):
            terminalreporter.line(f"{file}: {tests} test{'s' * (tests > 1)}: {reason}")
