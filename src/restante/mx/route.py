"""A domain's way out, looked up: the questions that exchanges.py needs answered, as few as will do."""

from __future__ import annotations

import asyncio
from random import Random

from restante.model import DomainName, IPAddress
from restante.mx.exchanges import Exchange, NoWay, Oneself, choose, exchanges, literal
from restante.mx.lookup import Answer, LookupFailed, MxRecord, Names


async def route(domain: DomainName, names: Names, oneself: Oneself, random: Random) -> tuple[Exchange, ...] | NoWay:
    """The hosts to try, in order, one at least; or why there is none, and never will be. Raises LookupFailed."""
    direct = literal(domain, oneself)
    if direct is not None:
        return direct
    found = await names.mx(domain)
    hosts = choose(domain, found, oneself, random)
    if isinstance(hosts, NoWay):
        return hosts
    answers = await asyncio.gather(*(_addresses(names, record) for record in hosts))
    return exchanges(domain, zip(hosts, answers, strict=True), oneself, is_secure=found.is_secure)


async def _addresses(names: Names, record: MxRecord) -> Answer[IPAddress] | LookupFailed:
    try:
        return await names.addresses(record.host)
    except LookupFailed as failure:
        return failure
