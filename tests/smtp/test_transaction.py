"""The content of one transaction: what is taken of it, and what it is refused for."""

from __future__ import annotations

import pytest

from restante.smtp.events import ContentArrived
from restante.smtp.reply import BARE_LINE_END, TOO_LARGE, Reply
from restante.smtp.transaction import Transaction


@pytest.mark.parametrize(
    ("pieces", "binary", "refusal"),
    [
        ([b"12345678\r\n"], False, None),
        ([b"12345678\r", b"\n"], False, None),
        ([b"12345678\r\n1"], False, TOO_LARGE),
        ([b"12345678\r\n", b"1"], True, TOO_LARGE),
        ([b"a\nb"], False, BARE_LINE_END),
        ([b"a\r", b"b"], False, BARE_LINE_END),
        ([b"a\r"], False, BARE_LINE_END),
        ([b"a\0"], False, BARE_LINE_END),
        ([b"a\nb\r\0"], True, None),
    ],
)
def test_content_has_a_size_and_line_ends(pieces: list[bytes], binary: bool, refusal: Reply | None) -> None:
    """Ten octets here; line ends mean nothing in BINARYMIME (RFC 3030 §3). What is refused is told no more of."""
    transaction = Transaction(10, binary=binary)
    told = [transaction.arrived(piece) for piece in pieces]
    transaction.ended()
    assert transaction.refusal is refusal
    if refusal is None:
        assert told == [ContentArrived(piece) for piece in pieces]
    assert transaction.arrived(b"") is None
