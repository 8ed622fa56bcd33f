"""The manual: it is current, its links lead somewhere, and its pages ask no other host for anything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from tests.here import CHECKOUT

from restante.cli.manual import pages

PAGES = pages()
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "form": "action"}
"""What a browser fetches by itself, or sends something to; a link to be clicked is not among it."""


class Page(HTMLParser):
    """The names that a built page has, what it loads, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.ids.add(found.get("id") or "")
        if where := found.get(LOADED.get(tag, "")):
            self.loads.append(where)
        if tag == "a" and (where := found.get("href")):
            self.links.append(where)
        if tag == "meta" and found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found.get("content") or ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, as script/docs builds them, where every warning is a failure."""
    folder = tmp_path_factory.mktemp("manual")
    shutil.copytree(CHECKOUT / "docs", folder / "docs", symlinks=False)
    shutil.copy(CHECKOUT / "zensical.toml", folder)
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build/manual"


@pytest.fixture(scope="module")
def built(site: Path) -> dict[Path, Page]:
    """Each page of it."""
    return {file: Page(file.read_text("utf-8")) for file in site.rglob("*.html")}


@pytest.mark.parametrize("name", PAGES)
def test_what_the_program_tells_of_itself_is_current(name: str) -> None:
    """After a change of a key, a command or a table: script/docs."""
    assert (CHECKOUT / name).read_text("utf-8") == PAGES[name]


def test_every_page_is_in_the_contents() -> None:
    """And nothing else."""
    docs = CHECKOUT / "docs"
    contents = tomllib.loads((CHECKOUT / "zensical.toml").read_text("utf-8"))["project"]["nav"]
    assert sorted(files_of(contents)) == sorted(str(file.relative_to(docs)) for file in docs.rglob("*.md"))


def files_of(contents: object) -> Iterator[str]:
    """The files that a table of contents names."""
    match contents:
        case str():
            yield contents
        case list():
            for entry in contents:
                yield from files_of(entry)
        case dict():
            yield from files_of(list(contents.values()))


def test_every_link_and_picture_is_there(site: Path, built: dict[Path, Page]) -> None:
    """In the pages as a browser has them: files, and places in them."""
    missing = []
    for file, page in built.items():
        for where in (*page.links, *page.loads):
            if urlsplit(where).scheme or where in ("", "#"):
                continue
            path, place = urldefrag(where)
            root = site if path.startswith("/") else file.parent
            target = (root / unquote(path).lstrip("/")).resolve() if path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (place and target.suffix == ".html" and unquote(place) not in built[target].ids):
                missing.append(f"{file.name}: {where}")
    assert missing == []


def test_links_of_the_readme_lead_somewhere() -> None:
    """Its readers have the files, not the pages."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", (CHECKOUT / "README.md").read_text("utf-8"))
    assert [link for link in links if not urlsplit(link).scheme and not (CHECKOUT / link).exists()] == []


def test_pages_ask_no_other_host(site: Path, built: dict[Path, Page]) -> None:
    """No font, script, style or picture of elsewhere; and the browser refuses what a script might yet ask for."""
    assert len(built) > 15
    for file, page in built.items():
        foreign = [where for where in page.loads if urlsplit(where).netloc]
        assert foreign == [], file
        assert page.policy.startswith("default-src 'self'"), file
        assert "http" not in page.policy, file
    for style in site.rglob("*.css"):
        fetched = re.findall(r"url\(\s*['\"]?([^'\")]{1,80})|@import\s+['\"]([^'\"]+)", style.read_text("utf-8"))
        assert [found for pair in fetched for found in pair if re.match(r"(https?:)?//", found)] == [], style
