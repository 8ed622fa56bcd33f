"""`restante trace`: out of a log, and out of the store."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from tests.observe.test_tracing import LIFE, written

from restante.cli import main
from restante.model import DomainName, Envelope, Mailbox, Recipient, write_message_id
from restante.spool.spool import Arrival
from restante.store.sqlite import open_spool

CONFIG = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:2525"
[domains."test.example"]
action = "hold"
next_hop = "192.0.2.25"
"""
TEST = DomainName("test.example")


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration, and a log beside it."""
    (tmp_path / "restante.toml").write_text(CONFIG)
    (tmp_path / "log").write_text("".join(written(LIFE)))
    return str(tmp_path / "restante.toml")


def spooled(folder: Path) -> str:
    """The id of a message that waits there."""

    async def spool() -> str:
        opened = await open_spool(folder / "data/spool")
        message = opened.new_id()
        envelope = Envelope(None, (Recipient(Mailbox("anna", TEST)),))
        await opened.accept(Arrival(message, b"x\r\n", 3, [(TEST, envelope)], 0.0))
        await opened.close()
        return write_message_id(message)

    (folder / "data").mkdir()
    return asyncio.run(spool())


def test_what_a_log_tells(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line by line, and that the message is not here any more."""
    assert main(["trace", "0KWMNSNFG00", "--log", str(tmp_path / "log"), "--config", config]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "info message accepted id=0KWMNSNFG00" in shown[0]
    assert "warning item failed item=0KWMNSNFG00-1" in shown[6]
    assert shown[7:] == ["0KWMNSNFG00: not here now"]


def test_a_journal_is_read_from_standard_input(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And as JSON there is all of it."""
    journal = "".join(f"Nov 25 14:00:00 office restante[7]: {line}" for line in written(LIFE, "json"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(journal.encode())))
    assert main(["trace", "0KWMNSNFG00-2", "--log", "-", "--json", "--config", config]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [line["event"] for line in shown["lines"]] == [
        "message accepted", "release started", "item delivered", "release ended",
    ]  # fmt: skip
    assert shown["lines"][2]["item"] == "0KWMNSNFG00-2"
    assert shown["items"] == []


def test_what_waits_is_shown_as_it_stands(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a log, too."""
    message = spooled(tmp_path)
    assert main(["trace", message, "--config", config]) == 0
    assert f"{message}-1" in capsys.readouterr().out
    assert main(["trace", message, "--json", "--config", config]) == 0
    assert [item["id"] for item in json.loads(capsys.readouterr().out)["items"]] == [f"{message}-1"]


def test_what_is_nowhere(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 1; 2 for what is no id, or no file."""
    assert main(["trace", "0KWMNSNFG09", "--log", str(tmp_path / "log"), "--config", config]) == 1
    assert capsys.readouterr().out == "0KWMNSNFG09: not here now\n"
    assert main(["trace", "nonsense", "--config", config]) == 2
    assert main(["trace", "0KWMNSNFG09", "--log", str(tmp_path / "none"), "--config", config]) == 2
    assert "cannot be read" in capsys.readouterr().err
