"""The lines, as text, of the two facts of which there may be ten thousand a second, written out field by field.

They are what log.py's table of all facts would give, in a third of the time; a test holds them equal. No text of
these facts is ever empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from restante.facts import ItemDelivered, MessageAccepted
from restante.model import write_item_id, write_message_id
from restante.observe.lines import plain, stamp


def _accepted(fact: MessageAccepted) -> str:
    return (
        f"{stamp()} info message accepted id={write_message_id(fact.message)} principal={plain(str(fact.principal))}"
        f" from={plain(fact.reverse_path)} domains={plain(','.join(fact.domains))}"
        f" recipients={fact.recipients} octets={fact.octets}\n"
    )


def _delivered(fact: ItemDelivered) -> str:
    return (
        f"{stamp()} info item delivered item={write_item_id(fact.item)} domain={plain(fact.domain)}"
        f" release={fact.release} target={plain(fact.target)}"
        f" recipients={fact.recipients} octets={fact.octets} reply={plain(fact.reply)}\n"
    )


HOT: Mapping[type, Callable[[Any], str]] = {MessageAccepted: _accepted, ItemDelivered: _delivered}
"""By the kind of fact what writes its line, with its end."""
