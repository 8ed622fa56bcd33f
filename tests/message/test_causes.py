"""Who is told of what, by what NOTIFY asks for."""

from __future__ import annotations

import pytest

from restante.message.causes import Action, Cause, wants
from restante.model import Envelope, Mailbox, Notify, Recipient

ANN = Mailbox.parse("ann@far.example")
BOB = Mailbox.parse("bob@test.example")
ONE_OF_EACH = (Cause.REFUSED, Cause.LATE, Cause.RELAYED, Cause.DELIVERED, Cause.PASSED)


@pytest.mark.parametrize(
    ("notify", "wanted"),
    [
        (None, [True, True, False, False, True]),
        ((Notify.NEVER,), [False, False, False, False, False]),
        ((Notify.SUCCESS,), [False, False, True, True, True]),
        ((Notify.FAILURE,), [True, False, False, False, True]),
        ((Notify.DELAY,), [False, True, False, False, True]),
        ((Notify.SUCCESS, Notify.FAILURE, Notify.DELAY), [True, True, True, True, True]),
    ],
)
def test_what_notify_asks_for(notify: tuple[Notify, ...] | None, wanted: list[bool]) -> None:
    """RFC 3461 §4.1: without it failures and delays, with it what it names, and never what it leaves out.

    That mail with a time has passed is told in any case, unless never (RFC 2852 §4.1.4.2).
    """
    recipient = Recipient(BOB, notify)
    assert [wants(Envelope(ANN, (recipient,)), recipient, cause) for cause in ONE_OF_EACH] == wanted
    assert not any(wants(Envelope(None, (recipient,)), recipient, cause) for cause in Cause)


@pytest.mark.parametrize("cause", Cause)
def test_the_status_is_of_the_action_s_class(cause: Cause) -> None:
    """RFC 3463 §2: 5 for what has failed, 4 for what is late, 2 for what is well."""
    assert cause.status[0] == {Action.FAILED: "5", Action.DELAYED: "4"}.get(cause.action, "2")
