"""`/api/releases/N/rate` and `/api/calls/NAME/rate`: how fast it goes, and what is to be expected."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.web.office import CONTENT, ROOT, serving

RELEASES = "/api/releases"


async def test_a_release_has_a_rate_while_it_runs_and_after(tmp_path: Path) -> None:
    """Points from its start, and what is left; in the end all that has gone, and nothing to be expected."""
    async with serving(tmp_path) as office, office.client() as client:
        await office.mail()
        await office.mail()
        office.carrier.open.clear()
        begun = (await client.post(RELEASES, json={"domain": "test.example"})).json()
        path = f"{RELEASES}/{begun['number']}/rate"
        while not (running := (await client.get(path)).json())["points"]:
            await asyncio.sleep(0.01)
        assert (running["number"], running["progress"]) == (begun["number"], "running")
        assert (running["items_left"], running["octets_left"]) == (2, 2 * len(CONTENT))
        for unknown in ("octets_per_second", "seconds_left", "seconds_needed", "items_fit", "octets_fit"):
            assert running[unknown] is None, unknown
        office.carrier.open.set()
        view = await office.releases.wait(begun["number"])
        over = (await client.get(path)).json()
        assert view is not None
        assert over["progress"] == "ended"
        assert over["points"][0] == {"at": view.started, "octets": 0, "messages": 0}
        assert (over["points"][-1]["octets"], over["points"][-1]["messages"]) == (2 * len(CONTENT), 2)
        assert view.started <= over["points"][-1]["at"] <= over["now"]
        assert (over["items_left"], over["octets_per_second"]) == (None, None)
        missing = await client.get(f"{RELEASES}/9999/rate")
        assert (missing.status_code, missing.json()["detail"]) == (404, "no such release, or not yours")


async def test_a_call_has_a_rate(tmp_path: Path) -> None:
    """Before it was ever made, while it runs, and after."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        path = "/api/calls/office/rate"
        never = (await client.get(path)).json()
        assert (never["name"], never["progress"], never["received"], never["seconds_left"]) == (
            "office",
            "queued",
            [],
            None,
        )
        await client.post("/api/calls/office:call")
        running = (await client.get(path)).json()
        assert (running["progress"] == "running") == (running["seconds_left"] is not None)
        await office.caller.wait("office")
        over = (await client.get(path)).json()
        view = office.caller.view("office")
        assert view is not None
        assert over["received"] == over["sent"] == [{"at": view.started, "octets": 0, "messages": 0}]
        assert (over["progress"], over["receiving"], over["messages_left"]) == ("ended", None, None)
        assert (await client.get("/api/calls/none/rate")).status_code == 404
