"""restante.mx.sts_fetch from a real HTTPS server, whose name a real resolver knows."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Iterator

import pytest
from tests.mx.web import WEB, Said, Web, policy, serving
from tests.net.authority import Authority, Wish, self_made
from tests.stories.world import World

from restante.model import HostPort
from restante.mx.lookup import Resolver
from restante.mx.sts import Mode, StsPolicy
from restante.mx.sts_fetch import FetchFailed, PolicyFetcher
from restante.net.stream import ResultType
from restante.net.tls import Pair
from restante.smtp.address import parse_domain

ZONE = f"""
mta-sts A {WEB}
mta-sts.two A {WEB}
mta-sts.two A 192.0.2.81
mta-sts.two AAAA 2001:db8::3f
mta-sts.closed A 192.0.2.81
mta-sts.alias CNAME mta-sts
mta-sts.mail MX 10 mx1
"""
AUTHORITY = Authority()
NAMES = tuple(f"mta-sts.{name}test.example" for name in ("", "two.", "closed.", "mail."))
DOMAIN = parse_domain("test.example")
SOUND = StsPolicy(Mode.ENFORCE, ("mx1.test.example",), 86_400)

pytestmark = [pytest.mark.peer, pytest.mark.netns]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A zone with web servers that are there, and such that are not."""
    with World() as world:
        world.zone("test.example", ZONE)
        world.elsewhere("away.example")
        world.start_dns()
        yield world


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """Certificates by what is wrong with them."""
    folder = tmp_path_factory.mktemp("pairs")
    issued = {
        "nothing": AUTHORITY.issue(Wish(NAMES)),
        "expired": AUTHORITY.issue(Wish(NAMES, -9, -1)),
        "name": AUTHORITY.issue(Wish(("test.example", "*.elsewhere.example"))),
        "self-signed": self_made(Wish(NAMES)),
        "authority": AUTHORITY.own,
    }
    return {wrong: each.write(folder, wrong) for wrong, each in issued.items()}


@pytest.fixture
def fetcher(world: World, pairs: dict[str, Pair]) -> PolicyFetcher:
    """One that trusts the authority."""
    del world
    names = Resolver([HostPort("127.0.0.1", 53)], timeout=60)
    return PolicyFetcher(names, lambda: ssl.create_default_context(cafile=str(pairs["authority"].certificate)), 60)


@pytest.fixture
def web(world: World, pairs: dict[str, Pair]) -> Iterator[Web]:
    """The server, with a good certificate and a good policy."""
    del world
    with serving(pairs["nothing"]) as web:
        web.said["test.example"] = policy("enforce", "mx1.test.example")
        yield web


async def failure(fetcher: PolicyFetcher, domain: str = "test.example") -> FetchFailed:
    """Why a policy cannot be fetched."""
    with pytest.raises(FetchFailed) as caught:
        await fetcher.fetch(parse_domain(domain))
    return caught.value


async def test_a_policy(web: Web, fetcher: PolicyFetcher) -> None:
    """From its one place, with the name that the certificate is for."""
    assert await fetcher.fetch(DOMAIN) == SOUND
    assert web.asked == ["mta-sts.test.example /.well-known/mta-sts.txt"]


async def test_the_media_type_may_have_a_charset(web: Web, fetcher: PolicyFetcher) -> None:
    """As many servers send it."""
    web.said["test.example"].headers = {"Content-Type": "Text/Plain; charset=utf-8"}
    assert await fetcher.fetch(DOMAIN) == SOUND


@pytest.mark.parametrize("wrong", ["expired", "name", "self-signed"])
async def test_a_certificate_that_is_not_good(
    wrong: str, world: World, pairs: dict[str, Pair], fetcher: PolicyFetcher
) -> None:
    """Nothing is asked for then, and the reason has a word of its own."""
    del world
    with serving(pairs[wrong]) as web:
        assert (await failure(fetcher)).result is ResultType.STS_WEBPKI_INVALID
        assert web.asked == []


async def test_an_authority_that_is_not_trusted(web: Web, fetcher: PolicyFetcher) -> None:
    """The system's own authorities, without ours."""
    plain = PolicyFetcher(fetcher.names, seconds=5)
    assert (await failure(plain)).result is ResultType.STS_WEBPKI_INVALID
    assert web.asked == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirect_is_followed(status: int, web: Web, fetcher: PolicyFetcher) -> None:
    """RFC 8461 §3.3, be it to the same server."""
    location = {"Location": "https://mta-sts.two.test.example/.well-known/mta-sts.txt", "Content-Type": "text/plain"}
    web.said["test.example"] = Said(web.said["test.example"].body, status, location)
    web.said["two.test.example"] = policy("none")
    assert (await failure(fetcher)).result is ResultType.STS_FETCH_ERROR
    assert len(web.asked) == 1


@pytest.mark.parametrize("status", [204, 206, 304, 404, 500, 503])
async def test_only_200_has_a_policy(status: int, web: Web, fetcher: PolicyFetcher) -> None:
    """Whatever stands below."""
    web.said["test.example"].status = status
    assert str(status) in str(await failure(fetcher))


@pytest.mark.parametrize(
    "said",
    [
        Said(b"<html>", headers={"Content-Type": "text/html"}),
        Said(policy("none").body, headers={}),
        Said(b"version: STSv1\nmode: enforce\nmax_age: 1\n"),
        Said(b"\xff"),
        Said(),
    ],
    ids=["HTML", "of no type", "no mx", "not UTF-8", "empty"],
)
async def test_what_is_no_policy(said: Said, web: Web, fetcher: PolicyFetcher) -> None:
    """Has a word of its own too."""
    web.said["test.example"] = said
    assert (await failure(fetcher)).result is ResultType.STS_INVALID


async def test_what_does_not_end_is_not_read_to_its_end(web: Web, fetcher: PolicyFetcher) -> None:
    """64 kB are enough to know."""
    web.said["test.example"] = Said(policy("none").body, drips=0)
    assert (await failure(fetcher)).result is ResultType.STS_INVALID


async def test_what_takes_too_long_is_given_up(web: Web, fetcher: PolicyFetcher) -> None:
    """Though something comes all the time."""
    web.said["test.example"] = Said(policy("none").body, drips=0.1)
    began = time.monotonic()
    hasty = PolicyFetcher(fetcher.names, fetcher.authorities, 0.7)
    assert "has not answered" in str(await failure(hasty))
    assert time.monotonic() - began < 60


async def test_each_address_is_tried(web: Web, fetcher: PolicyFetcher) -> None:
    """The server listens at one of three."""
    web.said["two.test.example"] = policy("none")
    assert (await fetcher.fetch(parse_domain("two.test.example"))).mode is Mode.NONE


async def test_an_alias_is_asked_for_by_its_own_name(web: Web, fetcher: PolicyFetcher) -> None:
    """Whose certificate is wanted too (RFC 8461 §3.3)."""
    assert (await failure(fetcher, "alias.test.example")).result is ResultType.STS_WEBPKI_INVALID
    assert web.asked == []


@pytest.mark.parametrize("domain", ["closed.test.example", "mail.test.example", "no.test.example", "away.example"])
async def test_where_no_server_is(domain: str, world: World, fetcher: PolicyFetcher) -> None:
    """No port, no address, no name, no answer of the DNS."""
    del world
    hasty = PolicyFetcher(Resolver([HostPort("127.0.0.1", 53)], timeout=1), fetcher.authorities, 60)
    assert (await failure(hasty, domain)).result is ResultType.STS_FETCH_ERROR


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"220 mta-sts.test.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nversion: STSv1\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: \xff\xfe\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 100_000 + b"\r\n",
        b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK\r\n\r\n",
        b"\x00" * 100,
    ],
    ids=["nothing", "SMTP", "cut off", "no length", "shorter", "no text", "long", "no status", "NUL"],
)
async def test_what_is_no_http(said: bytes, world: World, pairs: dict[str, Pair], fetcher: PolicyFetcher) -> None:
    """Or ends too soon: it raises nothing else."""
    del world

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(OSError):
            writer.write(said)
            await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pairs["nothing"].certificate, pairs["nothing"].key)
    server = await asyncio.start_server(answer, WEB, 443, ssl=context)
    try:
        assert (await failure(fetcher)).result in (ResultType.STS_FETCH_ERROR, ResultType.STS_INVALID)
    finally:
        server.close()
