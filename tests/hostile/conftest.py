"""The office under attack: a real `restante serve`, one for each module. At its end its log has no error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.hostile.office import AttackedOffice, started


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedOffice]:
    """One that takes messages of up to 128 KB."""
    with started(tmp_path_factory.mktemp("office") / "office") as office:
        yield office


@pytest.fixture(scope="module")
def roomy_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedOffice]:
    """The same, for messages of up to 50 MB."""
    with started(tmp_path_factory.mktemp("roomy") / "office", message_size="50MB") as office:
        yield office
