"""Somebody at a browser: a context of its own, which notes whatever a page of ours must never do.

    with Visitor(browser, "http://127.0.0.1:8025") as visitor:
        visitor.page.goto("/")

Noted, and a failure at the end: a request to any other origin, an error or a violated policy on the console, an error
that no script has caught, a dialog, a further window, a download, and a script of a payload that ran (payloads.py).
"""

from __future__ import annotations

import re
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Download, Page, Request, WebError

Scheme = Literal["dark", "light"]
TRAP = """
Object.defineProperty(window, 'ran', {
  set(value) { console.error('a payload ran: ' + value + ' in ' + location.href) }, get() { return undefined },
})
"""
"""Payloads assign to `ran`, in whatever document they come to run."""
WAIT_MS = 20_000
"""For anything that a page should do; the machine may be busy."""


class Visitor:
    """One of them. `origin` is where the pages are; `scripts`: whether this browser runs any."""

    page: Page

    def __init__(
        self,
        browser: Browser,
        origin: str,
        *,
        scripts: bool = True,
        scheme: Scheme = "light",
        width: int = 1280,
    ) -> None:
        self.origin = origin
        self.wrong: list[str] = []
        self._allowed: list[str] = []
        self.context = browser.new_context(
            base_url=origin,
            java_script_enabled=scripts,
            color_scheme=scheme,
            viewport={"width": width, "height": 800},
            reduced_motion="reduce",
        )
        self.context.set_default_timeout(WAIT_MS)
        self.context.add_init_script(TRAP)
        self.context.on("request", self._requested)
        self.context.on("console", self._told)
        self.context.on("weberror", self._failed)
        self.context.on("dialog", self._asked)
        self.page = self.context.new_page()
        self.context.on("page", lambda page: self.wrong.append(f"a further window: {page.url}"))
        self.page.on("download", self._downloaded)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.page.wait_for_timeout(0)  # what was said in the last moment is heard
        finally:
            self.context.close()
        if error is None:
            self.assert_well()
        elif self.wrong:
            error.add_note("\n".join(("--- the browser says", *self.wrong)))

    def allow(self, pattern: str) -> None:
        """What a test brings about is no failure: a complaint that this expression finds, from now on."""
        self._allowed.append(pattern)

    def assert_well(self) -> None:
        """Nothing of all that has happened so far."""
        assert not self.wrong, "\n".join(self.wrong)

    def log_in(self, name: str, password: str, *, came_for: str = "") -> None:
        """By the form, as a person does; `came_for` is where the address of the form says that one wants to go."""
        self.page.goto(f"/login?next={quote(came_for, safe='')}" if came_for else "/login")
        self.page.fill("[name=name]", name)
        self.page.fill("[name=password]", password)
        self.page.press("[name=password]", "Enter")
        self.page.wait_for_url(lambda url: url.startswith(self.origin) and not url.startswith(f"{self.origin}/login"))

    def _note(self, complaint: str) -> None:
        if not any(re.search(pattern, complaint) for pattern in self._allowed):
            self.wrong.append(complaint)

    def _requested(self, request: Request) -> None:
        if not request.url.startswith(f"{self.origin}/"):
            self._note(f"a request to another origin: {request.method} {request.url}")

    def _told(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert") or "Content Security Policy" in message.text:
            self._note(f"on the console of {message.location.get('url')}: {message.text}")

    def _failed(self, error: WebError) -> None:
        self._note(f"an error that nobody caught: {error.error}")

    def _asked(self, dialog: Dialog) -> None:
        self._note(f"a dialog: {dialog.type} {dialog.message!r}")
        dialog.dismiss()

    def _downloaded(self, download: Download) -> None:
        self._note(f"a download: {download.url}")
