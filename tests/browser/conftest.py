"""One Chromium for each file of tests: Playwright's loop must not be there while other tests run theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.chromium import chromium
from tests.browser.visitor import WAIT_MS

expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser without a past."""
    with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running
