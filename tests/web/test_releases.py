"""`/api/releases` and `/api/calls`: what went, and what is made to go now."""

from __future__ import annotations

from pathlib import Path

from tests.web.office import ROOT, Office, serving

from restante.model import HostPort

RELEASES = "/api/releases"
TEST = {"domain": "test.example"}


async def ended(office: Office, number: int) -> None:
    """Returns once a release has ended."""
    await office.releases.wait(number)


async def test_a_domain_is_released_by_its_owner(tmp_path: Path) -> None:
    """To its next hop; the release is told as it stands, and in the end, how it ended."""
    async with serving(tmp_path) as office, office.client() as client:
        await office.mail()
        answer = await client.post(RELEASES, json=TEST)
        begun = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (202, f"{RELEASES}/{begun['number']}")
        assert (begun["domain"], begun["requester"], begun["items"]) == ("test.example", "127.0.0.1 user:test", 1)
        await ended(office, begun["number"])
        shown = (await client.get(answer.headers["location"])).json()
        assert (shown["progress"], shown["delivered"], shown["error"]) == ("ended", 1, "")
        listed = (await client.get(RELEASES, params={"domain": "test.example"})).json()["releases"]
        assert listed == [shown]
        assert (await client.get(RELEASES, params={"domain": "listed.example"})).json()["releases"] == []


async def test_a_repeat_with_its_key_is_the_same_release(tmp_path: Path) -> None:
    """Also when that has ended; with another body, or for somebody else, the key is another one."""
    async with serving(tmp_path) as office, office.client() as client, office.client(ROOT) as root:
        key = {"Idempotency-Key": "6f0c"}
        first = (await client.post(RELEASES, json=TEST, headers=key)).json()["number"]
        await ended(office, first)
        assert (await client.post(RELEASES, json=TEST, headers=key)).json()["number"] == first
        other = await client.post(RELEASES, json={"domain": "listed.example"}, headers=key)
        assert (other.status_code, other.json()["detail"]) == (
            422,
            "this Idempotency-Key was used for another request",
        )
        assert (await root.post(RELEASES, json=TEST, headers=key)).json()["number"] > first
        assert (await client.post(RELEASES, json=TEST)).json()["number"] > first + 1


async def test_what_cannot_be_released_is_a_problem(tmp_path: Path) -> None:
    """What is not held by an entry of its own is not one's to release, nor is another way than the next hop."""
    async with serving(tmp_path) as office, office.client() as client, office.client(ROOT) as root:
        for body, mine, roots in (
            ({"domain": "other.example"}, 403, 409),
            ({"domain": "localtest.example"}, 403, 202),
            ({"domain": "sends.example"}, 404, 202),
            ({"domain": "unknown.example"}, 404, 409),
            ({"domain": "test.example", "to": "192.0.2.99:2525"}, 403, 202),
            ({"domain": "test.example", "to": "a b"}, 422, 422),
            ({"domain": "test.example", "to": "a\r\nb"}, 422, 422),
            ({"domain": "test.example\r\n"}, 404, 404),
            ({"domain": "test.example\0"}, 404, 404),
            ({"domain": "*"}, 404, 202),
            ({"domain": 1}, 422, 422),
            ({}, 422, 422),
        ):
            assert (await client.post(RELEASES, json=body)).status_code == mine, body
            assert (await root.post(RELEASES, json=body)).status_code == roots, body
        assert office.carrier.to in (None, HostPort("192.0.2.99", 2525))
        assert (await client.post(RELEASES, json=TEST, headers={"Idempotency-Key": "x" * 256})).status_code == 422


async def test_calls_are_told_and_made(tmp_path: Path) -> None:
    """With when they are due, and how those before have ended."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        listed = (await client.get("/api/calls")).json()["calls"]
        assert [(call["name"], call["progress"], call["started"]) for call in listed] == [("office", "queued", None)]
        assert 0 < listed[0]["next_start"] - office.clock.wall() <= 25 * 3600
        assert (await client.get("/api/calls/office")).json()["past"] == []
        begun = await client.post("/api/calls/office:call")
        assert (begun.status_code, begun.json()["reason"]) == (202, "operator")
        assert begun.headers["location"] == "/api/calls/office"
        await office.caller.wait("office")
        shown = (await client.get("/api/calls/office")).json()
        assert (shown["progress"], shown["error"]) == ("ended", "127.0.0.1:9: Connection refused")
        assert [call["started"] for call in shown["past"]] == [shown["started"]]
        for answer in (await client.get("/api/calls/none"), await client.post("/api/calls/none:call")):
            assert (answer.status_code, answer.json()["detail"]) == (404, "no call 'none' is configured")
