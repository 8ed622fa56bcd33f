"""What all pages have: a note of what was done is said once, on the next page that somebody reads."""

from __future__ import annotations

from pathlib import Path

from tests.web.office import serving
from tests.web.pages.browsing import logged_in

SAID = "No message was chosen"


async def test_a_note_is_said_once(tmp_path: Path) -> None:
    """To the session that did it; on a page that is read, not where a script fetches one again."""
    async with serving(tmp_path) as office, logged_in(office) as browser, logged_in(office) as other:
        answer = await browser.client.get("/items/change?verb=freeze&which=chosen")
        assert answer.status_code == 303
        assert SAID not in (await browser.client.get("/items", headers={"X-Refresh": "1"})).text
        assert SAID not in (await other.get("/items")).text
        page = await browser.get("/items")
        assert SAID in page.text
        assert 'role="status"' in page.html
        assert SAID not in (await browser.get("/items")).text
