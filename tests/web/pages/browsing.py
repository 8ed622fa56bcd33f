"""A browser without a picture: it logs in, keeps its cookie, follows redirects, and fills in the forms of a page.

    async with logged_in(office, ROOT) as browser:
        page = await browser.get("/items")
        page = await browser.send(page.form("Freeze"), id=[...], which="chosen")    # by a button of it
        assert "1 message was frozen" in page.text

What is not said keeps the value that the page gave it. A field that a form does not have cannot be filled in.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

import httpx2
from tests.web.office import LOGIN, Office

_VOID = frozenset({"input", "meta", "link", "br", "hr", "img", "wbr", "col", "source"})
_UNSEEN = frozenset({"script", "style", "title", "option"})
_TICKED = ("checkbox", "radio")


@dataclass
class Form:
    """A form: where it goes, what is in its fields (of several of a name, all), and its buttons by their words."""

    page: str
    method: str
    action: str
    given: list[tuple[str, str]] = field(default_factory=list)
    """What is sent where nothing else is said."""
    names: set[str] = field(default_factory=set)
    offered: dict[str, list[str]] = field(default_factory=dict)
    """What may be chosen or ticked, by the field's name."""
    buttons: dict[str, tuple[str, str] | None] = field(default_factory=dict)
    button: str = ""
    """The one that is pressed."""

    def filled(self, fields: Mapping[str, str | Sequence[str]]) -> list[tuple[str, str]]:
        """What is sent when somebody has filled in these fields, and pressed the button."""
        unknown = fields.keys() - self.names
        assert not unknown, f"the form has no {unknown}, but {self.names}"
        sent = [(name, value) for name, value in self.given if name not in fields]
        for name, said in fields.items():
            values = [said] if isinstance(said, str) else list(said)
            offered = self.offered.get(name)
            assert offered is None or set(values) <= set(offered), f"{name} has {offered}, not {values}"
            sent += [(name, value) for value in values]
        pressed = self.buttons.get(self.button)
        return [*sent, pressed] if pressed is not None else sent


@dataclass(frozen=True)
class Page:
    """A page as it came: `path` with its query, `html` as octets said it, `text` as one reads it."""

    status: int
    path: str
    html: str
    text: str
    title: str
    forms: list[Form]
    links: dict[str, str]
    """Where each link goes, by its words; of several with the same words the first."""
    headers: httpx2.Headers

    def form(self, button: str) -> Form:
        """The form that has a button of these words, with that pressed."""
        found = [each for each in self.forms if button in each.buttons]
        assert found, f"no button {button!r}, but {[name for each in self.forms for name in each.buttons]}"
        found[0].button = button
        return found[0]

    def link(self, words: str) -> str:
        """Where a link goes."""
        assert words in self.links, f"no link {words!r}, but {list(self.links)}"
        return self.links[words]


class Browser:
    """Somebody's. `client` has the cookie."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, **query: str) -> Page:
        """A page, whatever its status, behind all redirects."""
        return page_of(await self.client.get(path, params=query or None, follow_redirects=True))

    async def follow(self, page: Page, words: str) -> Page:
        """The page behind a link."""
        return await self.get(urljoin(page.path, page.link(words)))

    async def send(self, form: Form, **fields: str | Sequence[str]) -> Page:
        """The page that comes of a form, filled in; a field named as a word of Python has `_` behind it (`from_`)."""
        sent = form.filled({name.removesuffix("_"): value for name, value in fields.items()})
        where = urljoin(form.page, form.action)
        if form.method == "get":
            answer = await self.client.get(f"{urlsplit(where).path}?{urlencode(sent)}", follow_redirects=True)
        else:
            coded = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await self.client.post(where, content=urlencode(sent), headers=coded, follow_redirects=True)
        return page_of(answer)


@contextlib.asynccontextmanager
async def logged_in(office: Office, login: tuple[str, str] = LOGIN) -> AsyncIterator[Browser]:
    """A browser in which somebody has logged in by the page for that."""
    async with office.client(None) as client:
        client.headers["Origin"] = str(client.base_url).removesuffix("/")
        browser = Browser(client)
        page = await browser.send((await browser.get("/login")).form("Log in"), name=login[0], password=login[1])
        assert (page.status, page.path) == (200, "/"), (page.status, page.text)
        yield browser


def page_of(answer: httpx2.Response) -> Page:
    """What an answer shows."""
    url = answer.url
    path = url.path + (f"?{url.query.decode()}" if url.query else "")
    reader = _Reader(path)
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        reader.feed(answer.text)
        reader.close()
        assert not reader.open, f"{reader.open} of {path} are not closed"
    return Page(
        answer.status_code,
        path,
        answer.text,
        " ".join("".join(reader.words).split()),
        " ".join("".join(reader.title).split()),
        reader.forms,
        reader.links,
        answer.headers,
    )


class _Reader(HTMLParser):
    """Reads a page; every element that is opened has to be closed, in its place."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.open: list[str] = []
        self.words: list[str] = []
        self.title: list[str] = []
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self._form: Form | None = None
        self._link: tuple[str, int] | None = None
        self._button: tuple[tuple[str, str] | None, int] | None = None
        self._select = ""
        self._area: tuple[str, list[str]] | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        its = {name: value or "" for name, value in attributes}
        assert len(its) == len(attributes), f"<{tag}> has an attribute twice: {attributes}"
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "form":
            self._form = Form(self.path, its.get("method", "get").lower(), its.get("action", ""))
            self.forms.append(self._form)
        elif tag == "a" and "href" in its:
            self._link = (its["href"], len(self.words))
        elif self._form is not None:
            self._field(self._form, tag, its)

    def _field(self, form: Form, tag: str, its: dict[str, str]) -> None:
        name = its.get("name", "")
        if tag == "button":
            self._button = ((name, its.get("value", "")) if name else None, len(self.words))
        elif tag == "option":
            self._option(form, its)
        elif tag in ("input", "select", "textarea") and name:
            form.names.add(name)
            kind = its.get("type", "text")
            if tag == "select":
                self._select = name
                form.offered[name] = []
            elif tag == "textarea":
                self._area = (name, [])
            elif kind in _TICKED:
                form.offered.setdefault(name, []).append(its.get("value", "on"))
                if "checked" in its:
                    form.given.append((name, its.get("value", "on")))
            else:
                form.given.append((name, its.get("value", "")))

    def _option(self, form: Form, its: dict[str, str]) -> None:
        assert "value" in its, "an option says its value"
        is_first = not form.offered[self._select]
        form.offered[self._select].append(its["value"])
        if is_first or "selected" in its:
            form.given[:] = [pair for pair in form.given if pair[0] != self._select]
            form.given.append((self._select, its["value"]))

    def handle_endtag(self, tag: str) -> None:
        """An element ends."""
        assert self.open and self.open[-1] == tag, f"</{tag}> ends {self.open} of {self.path}"  # noqa: PT018
        self.open.pop()
        if tag == "form":
            self._form = None
        elif tag == "a" and self._link is not None:
            where, start = self._link
            self.links.setdefault(self._said(start), where)
            self._link = None
        elif tag == "button" and self._form is not None and self._button is not None:
            pair, start = self._button
            self._form.buttons[self._said(start)] = pair
            self._button = None
        elif tag == "textarea" and self._form is not None and self._area is not None:
            self._form.given.append((self._area[0], "".join(self._area[1])))
            self._area = None
        if tag in ("p", "li", "td", "th", "dt", "dd", "h1", "h2", "h3", "label", "button", "pre", "summary", "tr"):
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        """Text."""
        if self._area is not None:
            self._area[1].append(data)
        if "title" in self.open:
            self.title.append(data)
        elif not _UNSEEN.intersection(self.open):
            self.words.append(data)

    def _said(self, start: int) -> str:
        return " ".join("".join(self.words[start:]).split())
