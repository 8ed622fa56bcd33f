"""Ids that sort by time and read back, and next hops as people write them."""

from __future__ import annotations

import ipaddress
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.model import (
    MAX_ITEMS_PER_MESSAGE,
    Body,
    ByMode,
    ByMx,
    Caller,
    DeliverBy,
    Envelope,
    HostPort,
    IdError,
    IdSource,
    Mailbox,
    MessageId,
    NextHopError,
    Notify,
    Principal,
    Recipient,
    Ret,
    is_item_id,
    item_id,
    message_of,
    numbered,
    parse_id,
    parse_next_hop,
    write_item_id,
    write_message_id,
)

NOW = 1_767_225_600.0
FIRST = IdSource(lambda: 0.0).next()
MESSAGES = st.integers(FIRST, (1 << 53) - 1).map(MessageId)
NUMBERS = st.integers(1, MAX_ITEMS_PER_MESSAGE)


@given(MESSAGES, NUMBERS)
def test_an_id_reads_back_as_it_was_written(message: MessageId, number: int) -> None:
    """Also in lower case and with blanks around it, as people type it; and it is known which of the two it is."""
    item = item_id(message, number)
    assert parse_id(write_message_id(message)) == message
    assert parse_id(f" {write_item_id(item).lower()}\n") == item
    assert message_of(item) == message
    assert not is_item_id(message)
    assert is_item_id(item)


@given(MESSAGES, MESSAGES, NUMBERS, NUMBERS)
def test_ids_sort_as_they_are_written(one: MessageId, other: MessageId, first: int, second: int) -> None:
    """Older messages come first, as numbers and as text; and so do their items."""
    assert (one < other) == (write_message_id(one) < write_message_id(other))
    assert (item_id(one, first) < item_id(other, second)) == ((one, first) < (other, second))


def test_a_message_s_items_are_numbered_from_one() -> None:
    """As many as may be."""
    message = MessageId(1 << 44)
    ids = numbered(message)
    assert [write_item_id(next(ids)) for _ in range(3)] == ["00G00000000-1", "00G00000000-2", "00G00000000-3"]


@pytest.mark.parametrize(
    "text",
    ["", "-1", "0QJ3K5W7T9", "0QJ3K5W7T9A-", "0QJ3K5W7T9A-0", "0QJ3K5W7T9A-1024", "0QJ3K5W7T9A-1-2", "0QJ3K5W7T9A-x",
     "0QJ3K5W7T9A-²", "0QJ3K5W7T9A-+1", "0QJ3K5W7T9I", "0QJ3K5W7T9A7", "ZZZZZZZZZZZ", "80000000000",
     "0QJ3K5W7T9A-" + "1" * 5000],
)  # fmt: skip
def test_what_is_no_id_is_refused(text: str) -> None:
    """Wrong length, a letter that is left out because it looks like a digit, no such number."""
    with pytest.raises(IdError):
        parse_id(text)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50))
def test_ids_only_ever_grow(steps: list[float]) -> None:
    """Whatever the clock does: it stands still, goes back, starts in 1970."""
    readings = iter(steps)
    source = IdSource(lambda: NOW + next(readings))
    ids = [source.next() for _ in steps]
    assert all(earlier < later for earlier, later in pairwise(ids))
    assert all(is_item_id(item_id(message, 1)) and not is_item_id(message) for message in ids)


def test_after_a_restart_with_the_clock_set_back_ids_go_on() -> None:
    """The source is told the last id that the store knows."""
    last = IdSource(lambda: NOW).next()
    assert IdSource(lambda: NOW - 86400, last).next() == last + 1
    assert IdSource(lambda: NOW + 1, last).next() > last + 1


@pytest.mark.parametrize(
    ("text", "host", "port", "written"),
    [("relay.example", "relay.example", 25, "relay.example:25"),
     ("Relay.Example:587", "relay.example", 587, "relay.example:587"),
     ("bücher.example", "xn--bcher-kva.example", 25, "xn--bcher-kva.example:25"),
     ("192.0.2.25", "192.0.2.25", 25, "192.0.2.25:25"),
     ("192.0.2.25:2525", "192.0.2.25", 2525, "192.0.2.25:2525"),
     ("[192.0.2.25]:2525", "192.0.2.25", 2525, "192.0.2.25:2525"),
     ("2001:DB8::0:25", "2001:db8::25", 25, "[2001:db8::25]:25"),
     ("[2001:db8::25]", "2001:db8::25", 25, "[2001:db8::25]:25"),
     ("[2001:db8::25]:65535", "2001:db8::25", 65535, "[2001:db8::25]:65535"),
     ("localhost:25", "localhost", 25, "localhost:25")],
)  # fmt: skip
def test_host_and_port(text: str, host: str, port: int, written: str) -> None:
    """A name or an address, with or without a port; written back, it is the same again."""
    parsed = HostPort.parse(text)
    assert parsed == HostPort(host, port)
    assert str(parsed) == written
    assert HostPort.parse(written) == parsed


@pytest.mark.parametrize(
    "text",
    ["", ":25", "relay.example:", "relay.example:0", "relay.example:65536", "relay.example:smtp", "relay.example:+25",
     "relay.example:\uff12\uff15", "relay.example:" + "1" * 5000, "a b", "relay..example", "[2001:db8::25",
     "[2001:db8::25]:", "[2001:db8::25]25", "[relay.example]", "[]", "2001:db8::g", "user@relay.example",
     "relay.example:25:26"],
)  # fmt: skip
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    """No part is guessed at."""
    with pytest.raises(NextHopError):
        HostPort.parse(text)


def test_a_default_port_counts_only_where_none_is_written() -> None:
    """LMTP and SMTP have different ones."""
    assert HostPort.parse("relay.example", 24).port == 24
    assert HostPort.parse("relay.example:25", 24).port == 25


def test_a_next_hop_is_an_address_only_where_one_was_written() -> None:
    """A name is looked up when it is dialled, and stands for no address before."""
    assert HostPort.parse("192.0.2.25").address == ipaddress.ip_address("192.0.2.25")
    assert HostPort.parse("relay.example").address is None


def test_next_hops_that_are_words() -> None:
    """In any case of letters; with a port they are hosts."""
    assert [parse_next_hop(text) for text in ("caller", "MX", "mx:25")] == [Caller(), ByMx(), HostPort("mx")]
    assert [str(parse_next_hop(text)) for text in ("Caller", "mx")] == ["caller", "mx"]


def test_a_principal_is_told_by_all_that_it_has_proved() -> None:
    """Address, login, the beginning of a fingerprint; or that it is the operator."""
    address = ipaddress.ip_address("192.0.2.1")
    assert str(Principal(address)) == "192.0.2.1"
    assert str(Principal(address, "test", "0123456789abcdef" * 4)) == "192.0.2.1 user:test cert:0123456789abcdef"
    named = Principal(address, None, "0123456789abcdef" * 4, tuple(f"{n}.example" for n in "abcd"))
    assert str(named) == "192.0.2.1 cert:0123456789abcdef cert:a.example cert:b.example cert:c.example"
    assert str(Principal(address, operator=True)) == "operator"


BOB = Recipient(Mailbox.parse("bob@test.example"))


def test_an_envelope_of_before_is_read() -> None:
    """What the first releases wrote: every field, also those that were not given, and none that came later."""
    written = b"""{"reverse_path":{"local":"ann","domain":"far.example"},"recipients":[{"mailbox":{"local":"bob",
    "domain":"test.example"},"notify":["DELAY"],"orcpt":null}],"body":"8BITMIME","smtputf8":false,"ret":"HDRS",
    "envid":null}"""
    assert msgspec.json.decode(written, type=Envelope) == Envelope(
        Mailbox.parse("ann@far.example"), (Recipient(BOB.mailbox, (Notify.DELAY,)),), Body.EIGHT_BIT, ret=Ret.HDRS
    )


@pytest.mark.parametrize(
    ("envelope", "fields"),
    [
        (Envelope(None, (BOB,)), {"reverse_path", "recipients"}),
        (Envelope(None, (BOB,), smtputf8=True), {"reverse_path", "recipients", "smtputf8"}),
        (
            Envelope(None, (BOB,), requiretls=True, deliver_by=DeliverBy(7.5, ByMode.RETURN)),
            {"reverse_path", "recipients", "requiretls", "deliver_by"},
        ),
    ],
)
def test_an_envelope_has_only_what_was_given(envelope: Envelope, fields: set[str]) -> None:
    """It is written for each item: what is as usual costs nothing; and it reads back as it was."""
    written = msgspec.json.encode(envelope)
    assert set(msgspec.json.decode(written)) == fields
    assert msgspec.json.decode(written, type=Envelope) == envelope


@pytest.mark.parametrize(
    ("until", "is_over"),
    [
        (None, False),
        (DeliverBy(10.0, ByMode.RETURN), True),
        (DeliverBy(10.5, ByMode.RETURN), False),
        (DeliverBy(5.0, ByMode.NOTIFY), False),
    ],
)
def test_what_has_a_time_is_over_only_where_it_is_to_go_back(until: DeliverBy | None, is_over: bool) -> None:
    """RFC 2852 §4."""
    assert Envelope(None, (BOB,), deliver_by=until).is_over(10.0) == is_over
