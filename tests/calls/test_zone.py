"""The time zone is the one that every other program on the machine uses."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from restante.calls.zone import local_zone

SUMMER = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tz", "hour"),
    [("Europe/Berlin", 14), (":Europe/Berlin", 14), ("UTC", 12), ("", 12), ("UTC0", 12), ("XYZ-3", 15),
     ("CET-1CEST,M3.5.0,M10.5.0/3", 14), ("EST5EDT4", 8), ("no/such/zone", 12), ("../../etc/passwd", 12), ("\0", 12)],
)  # fmt: skip
def test_tz_is_read_as_the_c_library_reads_it(tz: str, hour: int) -> None:
    """A name, a rule, or UTC for what is neither."""
    assert SUMMER.astimezone(local_zone({"TZ": tz})).hour == hour


def test_without_tz_the_machine_s_zone_counts(tmp_path: Path) -> None:
    """/etc/localtime, whatever it is a link to; none at all is UTC."""
    localtime = tmp_path / "localtime"
    assert SUMMER.astimezone(local_zone({}, localtime)).hour == 12
    zone = next((p for p in map(Path, ("/usr/share/zoneinfo/Europe/Berlin",)) if p.exists()), None)
    if zone is None:
        pytest.skip("this machine has no zone files")
    localtime.symlink_to(zone)
    assert SUMMER.astimezone(local_zone({}, localtime)).hour == 14
    assert SUMMER.astimezone(ZoneInfo("Europe/Berlin")).hour == 14
