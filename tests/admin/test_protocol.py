"""Lines on the control socket: what was written is read again, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.admin import protocol as p
from restante.model import CallView, ItemState, Progress, ReleaseView

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IDS = st.lists(TEXT, max_size=3).map(tuple)
REQUESTS = st.one_of(
    st.just(p.Status()),
    st.just(p.Reload()),
    st.builds(p.Queue, IDS, IDS, st.none() | st.sampled_from(ItemState), st.integers(1, 1000), st.none() | TEXT),
    st.builds(p.Show, TEXT),
    st.builds(p.Freeze, IDS, st.none() | TEXT),
    st.builds(p.Thaw, IDS, st.none() | TEXT),
    st.builds(p.Remove, IDS, st.none() | TEXT),
    st.builds(p.Release, TEXT, st.none() | TEXT, st.booleans()),
    st.builds(p.Call, TEXT, st.booleans()),
)


@given(REQUESTS)
def test_a_request_is_one_line_and_comes_through_as_it_was(request: p.AnyRequest) -> None:
    """Whatever its texts have in them."""
    line = p.write_line(request)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert p.read_request(line) == request


@given(st.binary(max_size=200))
def test_what_is_no_request_is_a_protocol_error(line: bytes) -> None:
    """And nothing worse."""
    with pytest.raises(p.ProtocolError):
        p.read_request(line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"verb":"remove","domian":"test.example"}',
        b'{"verb":"eat"}',
        b'{"domain":"test.example"}',
        b'{"verb":"queue","state":"lost"}',
        b'{"verb":"queue","limit":"all"}',
    ],
)
def test_a_typing_error_is_refused_and_not_overlooked(line: bytes) -> None:
    """`domian` would else remove what nobody meant."""
    with pytest.raises(p.ProtocolError):
        p.read_request(line)


def test_answers_of_a_later_version_may_say_more() -> None:
    """A command line may be older than the server."""
    answer = p.read_answer(b'{"answer":"reload","problems":["x"],"seconds":3}')
    assert answer == p.ReloadAnswer(("x",))


def test_every_answer_that_ends_something_knows_its_exit_status() -> None:
    """0 done, 1 could not, 2 configuration."""
    release = ReleaseView(1, "test.example", "operator", "", Progress.ENDED)
    call = CallView("office", "office.example:25", Progress.ENDED)
    table: list[tuple[int, int]] = [
        (p.ReleaseAnswer(release, 0).status, 0),
        (p.ReleaseAnswer(ReleaseView(1, "a", "b", "c", Progress.ENDED, deferred=1), 0).status, 1),
        (p.ReleaseAnswer(ReleaseView(1, "a", "b", "c", Progress.ENDED, error="no route"), 0).status, 1),
        (p.ReleaseAnswer(ReleaseView(1, "a", "b", "c", Progress.ENDED, failed=1), 0).status, 0),
        (p.ReleaseAnswer(ReleaseView(1, "a", "b", "c", Progress.RUNNING, deferred=1), 0).status, 0),
        (p.CallAnswer(call, 0).status, 0),
        (p.CallAnswer(CallView("a", "b", Progress.ENDED, error="no route"), 0).status, 1),
        (p.ChangeAnswer(("a",)).status, 0),
        (p.ChangeAnswer((), ("a",)).status, 0),
        (p.ChangeAnswer(("a",), unknown=("b",)).status, 1),
        (p.ChangeAnswer(("a",), unchanged=(p.Unchanged("b", "is on its way"),)).status, 1),
        (p.ReloadAnswer().status, 0),
        (p.ReloadAnswer(("bad",)).status, 2),
    ]
    assert [status for status, _ in table] == [wanted for _, wanted in table]
