"""Sessions of browsers: how long they last, and who ends them."""

from __future__ import annotations

from dataclasses import replace

from restante.clock import TurnedClock
from restante.directory.users import User
from restante.web.pages.sessions import IDLE_SECONDS, MOST_OF_ONE, MOST_SECONDS, MOST_SESSIONS, Sessions

ANNA = User("anna", password="$argon2id$1")


def same(name: str) -> User | None:
    """The directory has all of them as they were."""
    return replace(ANNA, name=name)


def test_a_session_is_known_by_its_secret_alone() -> None:
    """Each has its own, and its own proof for forms."""
    all_of_them = Sessions(TurnedClock())
    one, other = all_of_them.begin(ANNA), all_of_them.begin(ANNA)
    first, second = all_of_them.find(one, same), all_of_them.find(other, same)
    assert first is not None
    assert second is not None
    assert first.gave(first.form_secret)
    assert not first.gave(second.form_secret)
    for shown in ("", one[:-1], one + "A", "é"):
        assert all_of_them.find(shown, same) is None
        assert not first.gave(shown)


async def test_a_session_ends_when_it_is_not_used_and_after_a_day_s_work() -> None:
    """Whichever comes first."""
    clock = TurnedClock()
    began, all_of_them = clock.monotonic(), Sessions(clock)
    idle, busy = all_of_them.begin(ANNA), all_of_them.begin(ANNA)
    await clock.turn(IDLE_SECONDS - 1)
    assert all_of_them.find(busy, same) is not None
    await clock.turn(1)
    assert all_of_them.find(idle, same) is None
    while (left := began + MOST_SECONDS - clock.monotonic()) > 0:
        assert all_of_them.find(busy, same) is not None
        await clock.turn(min(left, IDLE_SECONDS - 1))
    assert all_of_them.find(busy, same) is None


def test_a_user_who_is_not_as_he_was_has_to_log_in_again() -> None:
    """Removed, or with another password; and he who comes back as he was, too."""
    for now in (None, replace(ANNA, password="$argon2id$2"), replace(ANNA, admin=True)):
        all_of_them = Sessions(TurnedClock())
        secret = all_of_them.begin(ANNA)
        assert all_of_them.find(secret, {"anna": now}.get) is None
        assert all_of_them.find(secret, same) is None


def test_who_logs_out_is_out() -> None:
    """The other sessions go on."""
    all_of_them = Sessions(TurnedClock())
    one, other = all_of_them.begin(ANNA), all_of_them.begin(ANNA)
    all_of_them.end(one)
    all_of_them.end("nothing")
    assert all_of_them.find(one, same) is None
    assert all_of_them.find(other, same) is not None


def test_there_are_so_many_and_no_more() -> None:
    """The ones that were not used the longest give way: of the same user first, then of all."""
    all_of_them = Sessions(TurnedClock())
    mine = [all_of_them.begin(ANNA) for _ in range(MOST_OF_ONE)]
    assert all_of_them.find(mine[0], same) is not None
    all_of_them.begin(ANNA)
    assert all_of_them.find(mine[0], same) is not None
    assert all_of_them.find(mine[1], same) is None
    for number in range(MOST_SESSIONS):
        last = all_of_them.begin(replace(ANNA, name=f"user{number}"))
    assert all_of_them.find(mine[0], same) is None
    assert all_of_them.find(last, same) is not None
