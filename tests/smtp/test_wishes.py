"""The values of BY= and MT-PRIORITY=: what is one, and that a client's word is a server's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.smtp.wishes import HIGHEST, MOST_SECONDS, By, ByMode, parse_by, parse_priority

BYS = st.builds(By, st.integers(-MOST_SECONDS, MOST_SECONDS), st.just(ByMode.NOTIFY), st.booleans()) | st.builds(
    By, st.integers(1, MOST_SECONDS), st.just(ByMode.RETURN), st.booleans()
)


@given(BYS)
def test_a_time_is_read_as_it_was_written(by: By) -> None:
    """RFC 2852 §4; upper and lower case are the same."""
    assert parse_by(str(by)) == by
    assert parse_by(str(by).lower()) == by


@given(st.integers())
def test_a_time_that_is_too_far_is_written_as_the_furthest(seconds: int) -> None:
    """Nine digits are all that there is room for."""
    written = parse_by(str(By(seconds, ByMode.NOTIFY)))
    assert written.seconds == max(-MOST_SECONDS, min(seconds, MOST_SECONDS))


@pytest.mark.parametrize(
    "text", ["", "60", "60;", ";R", "60;X", "60;RR", "60;TR", "60;R ", "1234567890;R", "--1;N", "6 0;N", "\u0661;N"]
)
def test_what_is_no_time(text: str) -> None:
    """RFC 2852 §4: a sign, one to nine digits, a mode, perhaps T."""
    with pytest.raises(ValueError, match=r"is not seconds;N or seconds;R"):
        parse_by(text)


@pytest.mark.parametrize("text", ["0;R", "-0;R", "-1;RT", "+0;r"])
def test_what_is_late_cannot_be_made_to_come_back(text: str) -> None:
    """RFC 2852 §4: a mode of R takes seconds above zero."""
    with pytest.raises(ValueError, match="leaves no time"):
        parse_by(text)


@given(st.integers(-HIGHEST, HIGHEST))
def test_a_priority_is_read_as_it_was_written(priority: int) -> None:
    """RFC 6710 §3."""
    assert parse_priority(str(priority)) == priority


@pytest.mark.parametrize("text", ["", "+3", "-0", "00", "03", "-03", "10", "-10", "1.0", "\u0663", "3 "])
def test_what_is_no_priority(text: str) -> None:
    """RFC 6710 §3: no plus, no leading zero, and zero has no sign."""
    with pytest.raises(ValueError, match="is not a priority"):
        parse_priority(text)
