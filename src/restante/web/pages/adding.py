"""`/add`: domains and their site, or their office, join this host; `/add/{domain}`: what to do elsewhere then, the
lines for the other end and the records of the DNS, with what is there now.

A password is made here, kept as its hashes, and shown on one page, once. What the DNS says is looked up beside all
pages (setup/looking.py): none waits for it but one that asks for it, and that for a few seconds.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response

from restante.config.problems import ConfigError
from restante.logins.passwords import keys_of, new_password, new_secret
from restante.model import DomainName
from restante.mx.lookup import Resolver
from restante.observe import log
from restante.setup.joined import Here, lacking
from restante.setup.joining import IN_FILE, Joining, Wrongs, read_delivered, read_held
from restante.setup.looking import Looks, Seen, look_up
from restante.setup.plan import Protocol, Role
from restante.setup.questions import PROOFS, PROTOCOLS
from restante.setup.records import Record
from restante.setup.told import Told, tell
from restante.web.keeper import Keeper
from restante.web.logins import asker_of, no_such_domain, own_domain
from restante.web.pages.frame import REFRESH, Frame, form_of, see
from restante.web.pages.once import Once
from restante.web.pages.sessions import MOST_SECONDS, Session
from restante.web.pages.written import written
from restante.web.problems import Problem

IN_FORCE_SECONDS = 10.0
"""For which is waited until what was written is in force; that takes one."""
FRESH_SECONDS = 20.0
"""What was looked up since is not looked up again by itself ..."""
ASKED_SECONDS = 1.0
"""... nor, where it is asked for."""
FIELDS = {
    "release_from": "others",
    "certificates": "certificate",
    "contact": "contact",
    "quota": "quota",
    "next_hop": "site",
    "users": "mailboxes",
}
"""The keys of a table, and the fields of the form that they come from."""
FORM_FIELDS = (
    *("role", "domains", "protocol", "proof", "user", "certificate", "site", "secret", "others", "contact", "quota"),
    *("mailboxes", "call", "office", "pin", "schedule"),
)
NOT_IN_FORCE = "it is kept, and in force within a moment: please load this page again"


@dataclass(frozen=True, slots=True)
class Proofs:
    """What a new login logs in with: shown once."""

    login: str
    password: str
    secret: str | None


def adding_router(frame: Frame, keeper: Keeper) -> APIRouter:
    """Its routes, for administrators."""
    router, adding = frame.router(administrators=True), _Adding(frame, keeper)

    @router.get("/add")
    async def ask(request: Request) -> Response:
        return await adding.ask(request)

    @router.post("/add")
    async def add(request: Request) -> Response:
        return await adding.add(request)

    @router.get("/add/{domain}")
    async def show(request: Request, protocol: Protocol | None = None, also: str = "", check: str = "") -> Response:
        return await adding.show(request, protocol, [each for each in also.split(",") if each], is_asked=bool(check))

    return router


class _Adding:
    """What the routes do."""

    def __init__(self, frame: Frame, keeper: Keeper) -> None:
        self._frame = frame
        self._keeper = keeper
        self._clock = frame.common.clock
        self._names = Resolver()
        self._looks = Looks(self._look_up, self._clock)
        self._proofs: Once[Proofs] = Once()
        self._done: Once[Joining] = Once()
        self._calls: Once[Mapping[str, str]] = Once(MOST_SECONDS)  # in no address: nobody's link says whom to call
        self._one_at_a_time = asyncio.Lock()

    def _here(self) -> Here:
        return Here(self._keeper.settings(), self._keeper.directory())

    # the form, and what would be done

    async def ask(self, request: Request) -> Response:
        """The form; with `review` what would be done, or the form again with what is wrong."""
        given = _given(request.query_params)
        if not request.query_params.get("review"):
            return self._form(request, given, {})
        joining = await self._read(given)
        if not isinstance(joining, Joining):
            return self._form(request, given, joining)
        return self._frame.page(
            request,
            "add_review.html",
            joining=joining,
            given=given,
            back=f"/add?{urlencode(given)}",
            tables=[written(kind, name, table) for kind, of in joining.tables.items() for name, table in of.items()],
            lacking=lacking(joining.plan, self._here()),
        )

    def _form(self, request: Request, given: Mapping[str, str], wrong: Wrongs) -> Response:
        status = 200 if not wrong else 409 if IN_FILE in wrong.get("domains", "") else 422
        return self._frame.page(
            request,
            "add.html",
            status,
            given=given,
            wrong=wrong,
            role=_role(given),
            protocols=PROTOCOLS,
            proofs=PROOFS,
            calls=sorted(self._keeper.settings().calls.items()),
        )

    async def _read(self, given: Mapping[str, str]) -> Joining | Wrongs:
        """What a form comes to, once it is seen that the store would take it."""
        read = read_held if _role(given) is Role.OFFICE else read_delivered
        joining = read(given, self._here())
        if isinstance(joining, Joining):
            kinds = {kind: of for kind, of in joining.tables.items() if kind != "users" or not joining.has_password}
            try:
                await asyncio.to_thread(self._keeper.check, kinds)
            except ConfigError as error:
                return _wrongs(error)
        return joining

    # adding

    async def add(self, request: Request) -> Response:
        """Does it, once, however often it is sent."""
        given = _given(await form_of(request))
        session, wanted = _session(request), given.get("domains", "")
        async with self._one_at_a_time:
            if (joining := self._done.look(session, wanted)) is None:
                read = await self._read(given)
                if not isinstance(read, Joining):
                    return self._form(request, given, read)
                joining = read
                proofs = await self._write(joining, asker_of(request).name)
                if proofs is not None:
                    self._proofs.put(session, joining.domains[0], proofs)
                if joining.plan.site is not None:
                    self._calls.put(session, joining.domains[0], given)
                self._done.put(session, wanted, joining)
        await self._until_in_force(joining.domains)
        return see(_page_of(joining))

    async def _write(self, joining: Joining, by: str) -> Proofs | None:
        """Raises Problem, InFile, BookUnusable."""
        proofs, keys = None, dict[str, str]()
        if joining.login is not None and joining.has_password:
            password, secret = new_password(), new_secret() if joining.has_secret else None
            keys = await asyncio.to_thread(keys_of, password)
            keys |= {"secret": secret} if secret is not None else {}
            proofs = Proofs(joining.login, password, secret)
        there = await asyncio.to_thread(self._keeper.add, joining.with_proofs(keys))
        if there:
            raise Problem(409, f"{', '.join(there)}: the store has that already; nothing has changed")
        for domain in joining.domains:
            log.say("domain kept", domain=domain, by=by)
        if joining.login is not None:
            log.say("user kept", user=joining.login, by=by)
        return proofs

    async def _until_in_force(self, domains: tuple[str, ...]) -> None:
        end = self._clock.monotonic() + IN_FORCE_SECONDS
        while self._clock.monotonic() < end:
            directory = self._keeper.directory()
            if all(directory.entry(DomainName(domain)) is not None for domain in domains):
                return
            await self._clock.sleep(0.05)

    # what to do elsewhere

    async def show(self, request: Request, protocol: Protocol | None, also: list[str], *, is_asked: bool) -> Response:
        """The lines for the other end, and the DNS; `is_asked`: the page comes when that was looked up."""
        wanted = own_domain(request)
        told = await self._told(wanted, also, protocol, self._calls.look(_session(request), wanted) or {})
        is_read = REFRESH not in request.headers
        records = told.records
        self._looks.begin(records, older_than=ASKED_SECONDS if is_asked and is_read else FRESH_SECONDS)
        if is_asked and is_read:
            await self._looks.wait(records)
        domain = told.domains[0]
        return self._frame.page(
            request,
            "added.html",
            told=told,
            domain=domain,
            looked=[(record, self._looks.last(record)) for record in records],
            is_looking=self._looks.is_looking(records),
            check=_path(request, check="1"),
            by={str(each): _path(request, protocol=each) for each in Protocol},
            proofs=self._proofs.take(_session(request), domain) if is_read else None,
        )

    async def _told(
        self, domain: DomainName, also: list[str], protocol: Protocol | None, call: Mapping[str, str]
    ) -> Told:
        """Raises Problem."""
        here = self._here()
        entry = here.directory.entry(domain)
        if entry is None:
            is_kept = await asyncio.to_thread(self._keeper.table, "domains", domain) is not None
            raise Problem(503, NOT_IN_FORCE) if is_kept else no_such_domain()
        told = await asyncio.to_thread(tell, entry, here, also, protocol, call)
        if told is None:
            raise Problem(404, "its mail is neither held here for a site nor read here")
        return told

    async def _look_up(self, record: Record) -> Seen:
        settings = self._keeper.settings()
        dns = settings.dns
        self._names.use(dns.servers, validates=dns.validates, timeout=dns.timeout)
        return await look_up(record, self._names, settings)


def _session(request: Request) -> str:
    session = request.state.session
    assert isinstance(session, Session), "nobody is logged in"
    return session.form_secret


def _given(fields: Mapping[str, str]) -> dict[str, str]:
    """What the form has, of what was sent."""
    return {name: fields[name] for name in FORM_FIELDS if name in fields}


def _role(given: Mapping[str, str]) -> Role:
    """What this host is for the domains that are added."""
    return Role.SITE if given.get("role") == Role.SITE else Role.OFFICE


def _wrongs(error: ConfigError) -> Wrongs:
    """By the field that a problem's key comes from; "" is none."""
    wrong: dict[str, str] = {}
    for problem in error.problems:
        key = next((key for key in FIELDS if re.search(rf"\.{key}(\[|$)", problem.key)), "")
        wrong.setdefault(FIELDS.get(key, ""), f"found {problem.found}, allowed: {problem.allowed}")
    return wrong


def _path(request: Request, **changed: str) -> str:
    """This page, with something else in its query."""
    query = {key: value for key, value in request.query_params.items() if key in ("also", "protocol")} | changed
    return f"{request.url.path}?{urlencode(query)}"


def _page_of(joining: Joining) -> str:
    """Where it is told what to do now."""
    office = joining.plan.office
    query = {"protocol": str(office.protocol)} if office is not None else {}
    if len(joining.domains) > 1:
        query["also"] = ",".join(joining.domains[1:])
    path = f"/add/{quote(joining.domains[0], safe='')}"
    return f"{path}?{urlencode(query)}" if query else path
