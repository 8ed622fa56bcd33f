"""Trying a peer as mail would, up to where mail would begin: connection, greeting, TLS as it is configured, login.

Nothing is sent, and nothing is asked for: it ends with QUIT.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from restante.errors import RestanteError
from restante.model import HostPort
from restante.net.dial import dial, dial_path
from restante.net.stream import InjectedBytes, Stream, StreamClosed, StreamTimeout, TlsSession
from restante.net.tls import context_towards
from restante.smtp.offer import Offer
from restante.smtp.reply import MalformedReply
from restante.transport.greeting import LoginRefused, Manners, TlsFailed, Unwelcome, introduce

DIAL_SECONDS = 5.0
REPLY_SECONDS = 5.0
TRIAL_SECONDS = 15.0
"""For all that is said."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """A peer that took us as far as that."""

    offer: Offer
    tls: TlsSession | None

    def __str__(self) -> str:
        """What it offers, for people."""
        offer = self.offer
        words = [self.tls.version if self.tls is not None else "in clear"]
        words += [f"AUTH {' '.join(offer.auth)}"] if offer.auth else []
        known = (("PIPELINING", offer.pipelining), ("CHUNKING", offer.chunking), ("SIZE", offer.sizes))
        return ", ".join([*words, *(word for word, is_offered in known if is_offered)])


@dataclass(eq=False)
class NotWelcome(RestanteError):
    """A peer cannot be used as it is configured; `is_absent`: nobody is there, and another time somebody may be."""

    problem: str
    is_absent: bool = False
    is_login: bool = False
    is_tls: bool = False

    def __str__(self) -> str:
        return self.problem


async def try_peer(at: HostPort | Path, manners: Manners, *, implicit_tls: bool = False) -> Welcome:
    """Goes as far as mail would, and takes leave. Raises NotWelcome."""
    try:
        stream = await (dial_path(at, timeout=DIAL_SECONDS) if isinstance(at, Path) else dial(at, timeout=DIAL_SECONDS))
    except (StreamClosed, StreamTimeout) as error:
        raise NotWelcome(str(error), is_absent=True) from None
    try:
        async with asyncio.timeout(TRIAL_SECONDS):
            return await _greet(stream, manners, implicit_tls=implicit_tls)
    except TimeoutError:
        raise NotWelcome(f"it has come to nothing in {TRIAL_SECONDS:g} s") from None
    except LoginRefused as error:
        raise NotWelcome(str(error), is_login=True) from None
    except Unwelcome as error:
        is_tls = isinstance(error, TlsFailed) or error.result is not None
        raise NotWelcome(str(error), is_tls=is_tls) from None
    except (StreamClosed, StreamTimeout, InjectedBytes, MalformedReply) as error:
        raise NotWelcome(str(error)) from None
    finally:
        stream.abort()


async def _greet(stream: Stream, manners: Manners, *, implicit_tls: bool) -> Welcome:
    if implicit_tls:
        await stream.start_tls(context_towards(manners.tls), server_side=False, server_name=manners.server_name)
    dialogue = manners.dialogue(stream)
    await introduce(dialogue, manners)
    welcome = Welcome(dialogue.engine.offer, stream.tls)
    await dialogue.leave()
    return welcome
