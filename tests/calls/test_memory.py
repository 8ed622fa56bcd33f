"""What is remembered is there after a restart, whole; a disk that fails costs no call."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from restante.calls.memory import CallMemory, Remembered
from restante.model import CallView, Progress

KNOWN = Remembered(
    12.5, ("0 14 * * *",), 11.0, CallView("office", "office.example:25", Progress.ENDED, replies=("a: 251 OK",))
)


def test_what_is_put_is_there_after_a_restart(tmp_path: Path) -> None:
    """In a file that only its owner reads, with no draft left beside it."""
    file = tmp_path / "state" / "calls.json"
    CallMemory(file).put("office", KNOWN)
    assert CallMemory(file).get("office") == KNOWN
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_disk_that_does_not_write_costs_no_call(tmp_path: Path) -> None:
    """It is remembered as long as the process lives, and told once."""
    (tmp_path / "state").mkdir()
    told: list[str] = []
    memory = CallMemory(tmp_path / "state" / "calls.json", told.append)
    (tmp_path / "state").rmdir()
    (tmp_path / "state").write_text("not a folder")
    memory.put("office", KNOWN)
    memory.put("other", KNOWN)
    assert memory.get("office") == KNOWN
    (complaint,) = told
    assert complaint.endswith("calls.json: what is to be remembered of calls is not kept: File exists")


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe" * 500, b"[" * 100_000, b'{"office": 5}', None])
def test_a_file_that_cannot_be_read_is_as_none(damage: bytes | None, tmp_path: Path) -> None:
    """It is told once, and replaced by the next that is remembered, unless it is a folder."""
    file, told = tmp_path / "calls.json", list[str]()
    CallMemory(file).put("office", KNOWN)
    if damage is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(damage)
    memory = CallMemory(file, told.append)
    assert memory.get("office") is None
    (complaint,) = told
    assert complaint.startswith(f"{file}: what was remembered of calls is forgotten: ")
    memory.put("other", KNOWN)
    assert memory.get("other") == KNOWN
    assert len(told) == (2 if damage is None else 1)
    assert damage is None or CallMemory(file).get("other") == KNOWN


def test_a_file_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    """From before offices were told of recipients."""
    (tmp_path / "calls.json").write_text(
        """{"office":{"served":12.5,"expressions":["0 14 * * *"],"begun":11.0,"last":{"name":"office","office":
        "office.example:25","progress":"ended","reason":"","step":"","expected":null,"received":0,"received_octets":0,
        "sent":0,"sent_octets":0,"started":null,"window_ends":null,"ended":null,"replies":["a: 251 OK"],"error":""}}}"""
    )
    assert CallMemory(tmp_path / "calls.json").get("office") == KNOWN


def test_what_is_no_longer_configured_is_forgotten(tmp_path: Path) -> None:
    """A call that comes back under an old name begins afresh."""
    file = tmp_path / "calls.json"
    memory = CallMemory(file)
    memory.put("gone", KNOWN)
    memory.forget_all_but({"office"})
    memory.put("office", KNOWN)
    assert CallMemory(file).get("gone") is None


def test_a_draft_that_is_a_trap_is_not_followed(tmp_path: Path) -> None:
    """A link where the draft would be written points at nothing of ours."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "calls.json.new").symlink_to(victim)
    CallMemory(tmp_path / "calls.json").put("office", KNOWN)
    assert victim.read_text() == "precious"
