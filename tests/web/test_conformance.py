"""What the API answers is what it says of itself, whatever it is asked; and never an error of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.web.conformance import Host, ask_everything, known_of


@pytest.mark.filterwarnings("default")  # of the tool's own
def test_the_api_is_as_it_is_described(tmp_path: Path) -> None:
    """To an administrator of a real server with some mail; a longer run is `script/soak api`."""
    with Host(tmp_path / "office") as office:
        known = known_of(office.mail(*(f"message {number}" for number in range(20))))
        statuses = ask_everything(office.url, office.token(), known, examples=15)
    assert statuses.total() > 200
    assert statuses.keys() >= {200, 202, 404, 422}
    assert not [status for status in statuses if status >= 500]
