"""Hands items to a mail store by LMTP (RFC 2033): as over SMTP, but that content has a reply for each recipient."""

from __future__ import annotations

from pathlib import Path

from restante.model import LMTP_PREFIX, HostPort
from restante.transport.smtp import SmtpCarrier, SmtpMeans


class LmtpCarrier(SmtpCarrier):
    """One way to one mail store, by its port or its socket."""

    def __init__(self, store: HostPort | Path, means: SmtpMeans) -> None:
        super().__init__(store, means, lmtp=True)

    @property
    def target(self) -> str:
        """As the configuration writes it."""
        return f"{LMTP_PREFIX}{super().target}"
