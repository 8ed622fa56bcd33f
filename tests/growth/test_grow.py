"""`script/bench grow` in little: the whole run on a small spool, and what it reckons with."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from bench import grow, grown, machine
from bench.machine import IN_MEMORY, file_system
from tests.here import CHECKOUT

from restante.config.load import directory_of, load
from restante.directory.entries import Held


def test_a_small_run_measures_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every goal gets its figure, and no folder is left."""
    if file_system(CHECKOUT) in IN_MEMORY:
        pytest.skip("the checkout is in memory: nothing would be measured there")
    folder = machine.RUN / f"small-{uuid.uuid4().hex[:8]}"  # whoever measures the large one is left alone
    monkeypatch.setattr(machine, "RUN", folder)
    monkeypatch.setattr(grow, "ASKED", 40)
    small = ["--items", "300", "--domains", "30", "--runs", "1", "--messages", "40", "--way", "pipelined"]
    assert grow.main([*small, "--json", str(tmp_path / "figures.json")]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["runs"].keys() == {goal.name for goal in grow.GOALS}
    assert all(value > 0 for runs in figures["runs"].values() for value in runs)
    assert "memory, server and writer" in capsys.readouterr().out
    folder.rmdir()


def test_each_domain_has_an_entry_of_its_own(tmp_path: Path) -> None:
    """A third of them lie below one domain, for the large ETRN."""
    names = [grown.domain_name(number) for number in range(9)]
    (tmp_path / "restante.toml").write_text(grown.config_text(2525, 2526, iter(names)))
    directory = directory_of(load(tmp_path / "restante.toml"))
    assert {entry.name for entry in directory.entries()} == {*names, "test.example"}
    assert all(isinstance(directory.entry(name), Held) for name in names)
    assert sum(name.endswith(f".big.{grown.ABOVE}") for name in names) == 3


def test_percentiles() -> None:
    """Of a hundred values p99 is the last but one; of few it is the last."""
    assert grow.percentile(range(1, 101), 0.99) == 99
    assert grow.percentile([3, 1, 2], 0.5) == 2
    assert grow.percentile([5], 0.99) == 5


def test_a_goal_is_a_bound_from_above_or_below() -> None:
    """Its own value will do."""
    assert grow.Goal("start", 1.0, "s").is_met(1.0)
    assert not grow.Goal("start", 1.0, "s").is_met(1.1)
    assert grow.Goal("rate", 80, "%", is_least=True).is_met(105)
    assert not grow.Goal("rate", 80, "%", is_least=True).is_met(79)
