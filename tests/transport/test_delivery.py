"""Which carrier a local domain's mail gets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from restante.directory.entries import Delivered
from restante.directory.routing import Reader
from restante.model import HostPort, Mailbox
from restante.net.dial import dial
from restante.transport.delivery import final_carrier
from restante.transport.smtp import SmtpMeans


def anna(mailbox: Mailbox) -> tuple[Reader, ...]:
    """Everything is hers."""
    del mailbox
    return (Reader("anna"),)


@pytest.mark.parametrize(
    ("lmtp", "target"),
    [
        (None, "maildir"),
        (Path("/run/dovecot/lmtp"), "lmtp:/run/dovecot/lmtp"),
        (HostPort("::1", 24), "lmtp:[::1]:24"),
    ],
)
def test_mail_goes_where_the_domain_s_mailboxes_are(tmp_path: Path, lmtp: HostPort | Path | None, target: str) -> None:
    """Maildirs here, or the store that is named, as the configuration writes it."""
    entry = Delivered("local.example", frozenset({"anna"}), lmtp=lmtp)
    means = SmtpMeans(dial, "site.example", time.monotonic)
    assert final_carrier(entry, tmp_path, anna, means).target == target
