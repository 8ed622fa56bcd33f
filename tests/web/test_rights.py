"""Who may do what: each route of the API for strangers, site users and administrators, on own and others' things."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
from tests.web.office import LOGIN, ROOT, Office, serving

from restante.model import item_id, write_item_id
from restante.spool.spool import Filter

UNKNOWN = "unknown.example"
STRANGE = ["\r\nX-Evil: yes", "\n", "\r", "\0", "\x1b[31m", "\u2028", "..", "/", "\ud7ff", "%", "'", "a" * 5000]
HOLD = {"action": "hold", "next_hop": "192.0.2.40"}
METHODS = ("get", "put", "post", "delete")


@dataclass(frozen=True)
class Rights:
    """What a route answers: a site user about his own, about what others have, about what nobody has; and root."""

    own: int
    others: int
    nobodys: int
    root: int
    body: Any = None


# What is in braces is filled with something of the domain that is meant.
MATRIX: dict[str, Rights] = {
    "GET /api/domains": Rights(200, 200, 200, 200),
    "GET /api/domains/{domain}": Rights(200, 404, 404, 200),
    "PUT /api/domains/{domain}": Rights(403, 403, 403, 409, HOLD),
    "DELETE /api/domains/{domain}": Rights(403, 403, 403, 409),
    "GET /api/domains/{domain}/recipients": Rights(200, 404, 404, 200),
    "PUT /api/domains/{domain}/recipients": Rights(200, 404, 404, 200, {"recipients": []}),
    "DELETE /api/domains/{domain}/recipients": Rights(204, 404, 404, 204),
    "GET /api/items": Rights(200, 200, 200, 200),
    "GET /api/items/{id}": Rights(200, 404, 404, 200),
    "POST /api/items/{id}:freeze": Rights(200, 404, 404, 200),
    "POST /api/items/{id}:thaw": Rights(200, 404, 404, 200),
    "POST /api/items/{id}:redirect": Rights(200, 404, 404, 200, {"where": "bert@listed.example"}),
    "POST /api/items/{id}:bounce": Rights(200, 404, 404, 200),
    "POST /api/items/{id}:remove": Rights(200, 404, 404, 200),
    "POST /api/items:freeze": Rights(200, 200, 200, 200, {"all": True}),
    "GET /api/releases": Rights(200, 404, 404, 200),
    "POST /api/releases": Rights(202, 404, 404, 202, {"domain": "{domain}"}),
    "GET /api/releases/{number}": Rights(200, 404, 404, 200),
    "GET /api/releases/{number}/rate": Rights(200, 404, 404, 200),
    "GET /api/calls": Rights(403, 403, 403, 200),
    "GET /api/calls/{name}": Rights(403, 403, 403, 200),
    "GET /api/calls/{name}/rate": Rights(403, 403, 403, 200),
    "POST /api/calls/{name}:call": Rights(403, 403, 403, 202),
    "GET /api/timeline": Rights(200, 200, 200, 200),
    "GET /api/users": Rights(403, 403, 403, 200),
    "GET /api/users/{name}": Rights(403, 403, 403, 200),
    "PUT /api/users/{name}": Rights(403, 403, 403, 409, {"admin": True}),
    "DELETE /api/users/{name}": Rights(403, 403, 403, 409),
    "GET /api/statistics": Rights(200, 200, 200, 200),
}
FOLLOWED = "GET /api/events"
"""Whose rights test_feed.py has."""
API = " /api/"
"""What else is served has tests of its own."""
WITH_DOMAIN = {"GET /api/domains", "GET /api/items", "GET /api/releases"}
"""Lists that take a domain; those of items and domains are just empty for others'."""


async def described(client: httpx2.AsyncClient) -> dict[str, Any]:
    """Every route, as the API describes it."""
    paths = (await client.get("/api/openapi.json")).json()["paths"]
    return {f"{method.upper()} {path}": what for path, of in paths.items() for method, what in of.items()}


class Things:
    """What there is of a domain: an item and a release of it."""

    def __init__(self, office: Office, domain: str, number: int) -> None:
        self._office = office
        self.domain = domain
        self._number = number

    async def asked(self, client: httpx2.AsyncClient, route: str, body: Any = None) -> httpx2.Response:
        """The answer to a route about these things."""
        message = await self._office.mail(f"bert@{self.domain}") if self._number else self._office.spool.new_id()
        method, _, path = route.partition(" ")
        names = {"domain": self.domain, "number": str(self._number or 9999), "id": write_item_id(item_id(message, 1))}
        names["name"] = "office" if "calls" in route else "test"
        for name, value in names.items():
            path = path.replace(f"{{{name}}}", value)
        params = {"domain": self.domain} if route in WITH_DOMAIN - {"GET /api/domains"} else {}
        if body is not None:
            body = {key: self.domain if value == "{domain}" else value for key, value in body.items()}
            return await client.request(method, path, json=body, params=params)
        return await client.request(method, path, params=params)


async def test_everybody_may_what_the_matrix_says(tmp_path: Path) -> None:
    """And what others have looks to the octet like what nobody has."""
    async with contextlib.AsyncExitStack() as stack:
        office = await stack.enter_async_context(serving(tmp_path))
        nobody = await stack.enter_async_context(office.client(None))
        user = await stack.enter_async_context(office.client(LOGIN))
        root = await stack.enter_async_context(office.client(ROOT))
        things = []
        for domain in ("test.example", "theirs.example"):
            await office.mail(f"bert@{domain}")
            view = office.releases.request_by_operator(domain)
            await office.releases.wait(view.number)
            things.append(Things(office, domain, view.number))
        own, others = things
        nobodys = Things(office, UNKNOWN, 0)
        for route, rights in MATRIX.items():
            stranger = await own.asked(nobody, route, rights.body)
            assert stranger.status_code == 401, route
            assert (await own.asked(user, route, rights.body)).status_code == rights.own, route
            seen = await others.asked(user, route, rights.body)
            unseen = await nobodys.asked(user, route, rights.body)
            assert (seen.status_code, unseen.status_code) == (rights.others, rights.nobodys), route
            if seen.status_code >= 400:
                assert seen.content == unseen.content, route
            elif route in WITH_DOMAIN:
                assert "theirs.example" not in seen.text, route
            for thing in (own, others):
                answer = await thing.asked(root, route, rights.body)
                assert answer.status_code == rights.root, (route, answer.text)


async def test_the_matrix_has_every_route(tmp_path: Path) -> None:
    """One that is added is not forgotten here."""
    async with serving(tmp_path) as office, office.client(None) as client:
        routes = {route for route in await described(client) if API in route} - {FOLLOWED}
        verbs = {"freeze", "thaw", "remove", "bounce", "redirect"}
        tested = set()
        for route in MATRIX:
            path, _, verb = route.rpartition(":")
            tested.add(f"{path}:{{verb}}" if verb in verbs else route)
        assert routes == tested


async def test_nothing_is_done_for_strangers(tmp_path: Path) -> None:
    """Whatever they show, and whatever they ask for: the same octets, and no item has changed."""
    async with serving(tmp_path) as office, office.client(None) as client:
        await office.mail()
        seen = set()
        for route in await described(client):
            if API not in route:
                continue
            method, _, path = route.partition(" ")
            for field in ({}, {"Authorization": "Bearer rst_AAAA"}, {"Authorization": "Basic !"}):
                answer = await client.request(method, path, headers=field, json={"all": True})
                seen.add((answer.status_code, answer.content))
        assert len(seen) == 1
        assert len(await office.spool.listing(Filter())) == 1


async def test_strange_text_in_every_field_is_harmless(tmp_path: Path) -> None:
    """Ends of lines, control characters, paths: a problem, or nothing found; never an error of ours, never a field."""
    caught: list[object] = []
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: caught.append(context))
        for route, what in (await described(client)).items():
            method, _, path = route.partition(" ")
            for strange in STRANGE:
                filled = path
                query = {}
                headers = {}
                for parameter in what.get("parameters", []):
                    if parameter["in"] == "path":
                        filled = filled.replace(f"{{{parameter['name']}}}", quote(strange, safe=""))
                    elif parameter["in"] == "query":
                        query[parameter["name"]] = strange
                    elif strange.isascii() and strange.isprintable():
                        headers[parameter["name"]] = strange
                body = {"domain": strange, "to": strange, "from": strange, "text": strange, "where": strange}
                if "requestBody" not in what and route == FOLLOWED:
                    continue
                for sent in (body, {strange: strange}, strange):
                    answer = await client.request(
                        method, filled, params=query, headers=headers, json=sent if method != "GET" else None
                    )
                    assert answer.status_code < 500, (route, strange, answer.text)
                    assert "x-evil" not in answer.headers
                    if answer.status_code >= 400:
                        assert answer.headers["content-type"] == "application/problem+json", (route, strange)
                        assert answer.text.isascii()
                        assert answer.text.isprintable()
    assert caught == []


async def test_a_method_that_a_path_has_not_is_a_problem(tmp_path: Path) -> None:
    """405, with those that it has (RFC 9110 §15.5.6); and 404 for a path that there is not."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        for path in ("/api/items", "/api/statistics", "/healthz"):
            answer = await client.request("PATCH", path)
            assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
            assert "GET" in answer.headers["allow"]
        for path in ("/api", "/api/", "/api/nothing", "/api/items/"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        for path in ("/docs", "/.env"):  # that is for people
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
