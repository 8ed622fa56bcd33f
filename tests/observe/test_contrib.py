"""The alert rules and the dashboard in contrib/ ask for what there is; promtool finds nothing wrong with the rules."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families as parse
from tests.here import CHECKOUT, PEERS, not_here
from tests.observe.test_exposition import HERE, NOW, snapshot

from restante.facts import AlarmKind
from restante.model import Waiting
from restante.observe.exposition import render
from restante.observe.families import GAUGES, HISTOGRAMS, PREFIX, TOTALS

RULES = CHECKOUT / "contrib/prometheus/restante.rules.yml"
BOARD = CHECKOUT / "contrib/grafana/restante.json"
PROMTOOL = PEERS / "usr/bin/promtool"
_METRIC = re.compile(r"\brestante_[a-z_]+")
_WITH_LABELS = re.compile(r"\b(restante_[a-z_]+)\{([^}]*)\}")
_LABEL = re.compile(r"([a-z_]+)(!?=~?)\"([^\"]*)\"")


def told() -> dict[str, list[dict[str, str]]]:
    """Each sample that is told, by its name, with its labels."""
    text, _ = render(snapshot({HERE: Waiting(2, 100, NOW - 60)}, HERE), "")
    samples: dict[str, list[dict[str, str]]] = {}
    for family in parse(text.decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample.labels)
    return samples


def expressions() -> dict[str, str]:
    """All expressions, by where they stand."""
    rules: dict[str, Any] = yaml.safe_load(RULES.read_text())
    found = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    for panel in json.loads(BOARD.read_text())["panels"]:
        found |= {f"{panel['title']} {target['refId']}": target["expr"] for target in panel["targets"]}
    return found


@pytest.mark.parametrize("where", expressions())
def test_what_is_asked_for_is_told(where: str) -> None:
    """Every metric, every label, and every value of one that is ours."""
    expression, samples = expressions()[where], told()
    names = _METRIC.findall(expression)
    assert names or where == "RestanteDown"
    assert set(names) <= set(samples)
    for name, inside in _WITH_LABELS.findall(expression):
        for label, operator, value in _LABEL.findall(inside):
            if label == "instance":
                continue
            values = {labels[label] for labels in samples[name]}
            asked = set(value.split("|")) if operator in ("=~", "!~") else {value}
            assert asked <= values, f"{name} has no {label} {asked - values}"


def test_a_dashboard_that_can_be_imported() -> None:
    """Its data source is chosen where it is imported; panels have numbers of their own and do not overlap."""
    board = json.loads(BOARD.read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert [one["name"] for one in board["templating"]["list"]] == ["datasource", "instance"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["description"], panel["title"]


def test_rules_are_what_prometheus_reads(tmp_path: Path) -> None:
    """And each alert is raised by what it is for, and by nothing that is in order."""
    if not PROMTOOL.exists():
        not_here("no promtool in .peers/ (script/peers fetches it on Debian or Ubuntu)")
    _promtool("check", "rules", str(RULES))
    test = (CHECKOUT / "tests/observe/rules.test.yml").read_text().replace("[RULES]", f"[{RULES}]")
    (tmp_path / "rules.test.yml").write_text(test)
    _promtool("test", "rules", str(tmp_path / "rules.test.yml"))


def _promtool(*argv: str) -> None:
    done = subprocess.run([PROMTOOL, *argv], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_manual_has_every_metric() -> None:
    """With its labels, and what it means, in the words of the scrape."""
    page = (CHECKOUT / "docs/monitoring.md").read_text()
    rows = set(re.findall(r"^\| `(restante_[a-z_]+)` \|(.*?)\| (.*?)(?: A histogram\.)? \|$", page, re.MULTILINE))
    told = [(f"{name}_total", family) for name, family in TOTALS.items()]
    told += [*GAUGES.items(), *HISTOGRAMS.items()]
    assert rows == {
        (PREFIX + name, f" {', '.join(f'`{label}`' for label in family.labels)} ", family.help) for name, family in told
    }
    assert {f"`{kind}`" for kind in AlarmKind} == set(re.findall(r"^\| (`[a-z]+-[a-z-]+`) \|", page, re.MULTILINE))
