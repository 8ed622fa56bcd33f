"""Markers that say what a test needs of the machine, and the list, at the end of a run, of what could not run."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.here import NOT_HERE, lacking, not_here


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
