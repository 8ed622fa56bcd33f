"""`/api/domains/{domain}/recipients`: a site sees and tells who exists in its own domains, and in no others."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

from tests.web.office import PATH, Office, serving

from restante.config.recipients import KIND
from restante.directory.learned import Verdict
from restante.facts import RecipientsSent
from restante.model import DomainName
from restante.store.book import open_book
from restante.store.learned import LearnedFile

TEST = DomainName("test.example")
LIST = {"recipients": ["bert@test.example", "Anna@TEST.example", "@sub.test.example"]}
STRANGE = ["\r\n", "\n", "\r", "\0", "\x1b[31m", "\u2028", " ", "\ud800", "\t# and a remark", "x" * 70_000]
FORMS = ["anna{}@test.example", "anna@test.example{}", "{}anna@test.example", "@test.example{}"]
NO_LISTS = [
    b"",
    b"[]",
    b"null",
    b'{"recipients": "anna@test.example"}',
    b'{"recipients": [1]}',
    b'{"recipients": [null]}',
    b'{"recipients": [], "x\\r\\ny": 1}',
    b'{"recipients": [}',
    b"[" * 100_000,
    b"\xff\xfe\x00",
    b'{"recipients": ["\xff@test.example"]}',
]
NO_PATHS = [
    "theirs.example",
    "unknown.example",
    "*",
    "%2A",
    "test.example%00",
    "test.example%0D%0AX-Evil:%20yes",
    "..%2ftheirs.example",
    "%2e%2e",
    "test.example.",
    "[127.0.0.1]",
    "a" * 300,
    "%ff%fe",
    "test.example%20",
    "\u212aelvin.example",
]


def kept(office: Office) -> str | None:
    """The list that the store has."""
    with contextlib.closing(open_book(office.data)) as book:
        return book.row(KIND, "test.example")


def revision(office: Office) -> int:
    """It grows with every change of the store."""
    with contextlib.closing(open_book(office.data)) as book:
        return book.changes(0).revision


async def test_a_list_is_replaced_and_shown(tmp_path: Path) -> None:
    """As it is kept: each address once, in lower case; the log tells who has sent it."""
    async with serving(tmp_path) as office, office.client() as client:
        answer = await client.put(PATH, json=LIST)
        assert (answer.status_code, answer.json()) == (200, {"domain": "test.example", "recipients": 3})
        [fact] = office.facts
        assert isinstance(fact, RecipientsSent)
        assert (fact.principal.login, fact.domain, fact.recipients) == ("test", "test.example", 3)
        shown = (await client.get("/api/domains/TEST.example/recipients")).json()
        addresses = ["@sub.test.example", "anna@test.example", "bert@test.example"]
        assert shown["where"] == "store"
        assert [(row["address"], row["verdict"]) for row in shown["recipients"]] == [(a, "listed") for a in addresses]
        assert (await client.put(PATH, json={"recipients": []})).json()["recipients"] == 0
        assert kept(office) == "[]"


async def test_the_same_list_again_changes_nothing(tmp_path: Path) -> None:
    """It is answered in the same way, and nobody has anything to read anew."""
    async with serving(tmp_path) as office, office.client() as client:
        first = await client.put(PATH, json=LIST)
        before = revision(office)
        again = await client.put(PATH, json={"recipients": LIST["recipients"][::-1]})
        assert (again.status_code, again.content) == (200, first.content)
        assert revision(office) == before


async def test_a_list_of_the_configuration_wins(tmp_path: Path) -> None:
    """409 for what is sent; what is shown is the file's."""
    async with serving(tmp_path) as office, office.client() as client:
        path = "/api/domains/listed.example/recipients"
        refused = await client.put(path, json={"recipients": ["anna@listed.example"]})
        assert refused.status_code == 409
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json() == {
            "title": "Conflict",
            "status": 409,
            "detail": "the configuration names a list of recipients for listed.example, which wins",
        }
        shown = (await client.get(path)).json()
        assert (shown["where"], shown["recipients"][0]["address"]) == ("file", "bert@listed.example")


async def test_a_domain_without_an_entry_of_its_own_has_no_list(tmp_path: Path) -> None:
    """Held by `*`, or with its mailboxes here: one's own domain, so one hears why."""
    async with serving(tmp_path) as office, office.client() as client:
        for domain in ("other.example", "localtest.example"):
            answer = await client.put(f"/api/domains/{domain}/recipients", json=LIST)
            assert answer.status_code == 409
            assert f"{domain} is not held here" in answer.json()["detail"]


async def test_what_was_learned_is_shown_with_its_age_in_pages(tmp_path: Path) -> None:
    """Only what is in force: a refusal that is too old is none."""
    now = time.time()
    async with serving(tmp_path) as office, office.client() as client:
        file = LearnedFile(office.data)
        told = {"anna": Verdict(False, now - 90), "nobody": Verdict(True, now - 60), "gone": Verdict(True, 5.0)}
        file.write({(TEST, local): verdict for local, verdict in told.items()})
        file.close()
        shown = (await client.get(PATH)).json()
        assert shown == {
            "domain": "test.example",
            "where": "learned",
            "recipients": [
                {"address": "anna@test.example", "verdict": "known", "since": now - 90},
                {"address": "nobody@test.example", "verdict": "unknown", "since": now - 60},
            ],
            "next": None,
        }
        first = (await client.get(PATH, params={"limit": 1})).json()
        second = (await client.get(PATH, params={"limit": 1, "after": first["next"]})).json()
        assert [one["address"] for one in second["recipients"]] == ["nobody@test.example"]
        assert second["next"] is None


async def test_every_bad_line_is_told_and_nothing_changes(tmp_path: Path) -> None:
    """With where it stands in what was sent (RFC 6901)."""
    async with serving(tmp_path) as office, office.client() as client:
        await client.put(PATH, json=LIST)
        before = kept(office)
        answer = await client.put(PATH, json={"recipients": ["anna@test.example", "a b", "# x", "@", "b@[1.2.3.4"]})
        assert answer.status_code == 422
        assert answer.json()["errors"][:2] == [
            {"detail": "found 'a b', allowed: an address or @domain", "pointer": "#/recipients/1"},
            {"detail": "found '# x', allowed: an address or @domain", "pointer": "#/recipients/2"},
        ]
        assert [one["pointer"][-1] for one in answer.json()["errors"]] == ["1", "2", "3", "4"]
        assert kept(office) == before


async def test_of_thousands_of_bad_lines_the_first_are_told(tmp_path: Path) -> None:
    """And how many there are besides."""
    async with serving(tmp_path) as office, office.client() as client:
        answer = await client.put(PATH, json={"recipients": ["x"] * 3000})
        assert len(answer.json()["errors"]) == 51
        assert "2950 more such lines" in answer.json()["errors"][-1]["detail"]


async def test_a_body_that_is_no_list_is_a_problem(tmp_path: Path) -> None:
    """Never an error of ours, and nothing of it in the answer but names that are harmless."""
    async with serving(tmp_path) as office, office.client() as client:
        for body in NO_LISTS:
            answer = await client.put(PATH, content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in (400, 422), answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert "\r" not in answer.text
        assert kept(office) is None


async def test_what_is_strange_in_an_address_makes_a_bad_line(tmp_path: Path) -> None:
    """Ends of lines, control characters, white space: nothing is cut off and taken."""
    lines = [form.format(strange) for form in FORMS for strange in STRANGE] + [""]
    async with serving(tmp_path) as office, office.client() as client:
        body = json.dumps({"recipients": lines}).encode()
        answer = await client.put(PATH, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text
        assert [one["pointer"] for one in answer.json()["errors"]] == [f"#/recipients/{n}" for n in range(len(lines))]
        assert answer.text.isascii()
        assert len(answer.text) < 200 * len(lines)
        assert kept(office) is None


async def test_others_domains_and_unknown_ones_look_alike(tmp_path: Path) -> None:
    """The same octets, whatever is asked, whoever it is whose they are."""
    async with serving(tmp_path) as office, office.client() as client:
        seen = set()
        for path in NO_PATHS:
            for answer in (
                await client.get(f"/api/domains/{path}/recipients"),
                await client.put(f"/api/domains/{path}/recipients", json=LIST),
            ):
                assert answer.status_code == 404
                if "/" not in path and "%2f" not in path and not path.startswith("%2e"):
                    seen.add(answer.content)
                assert "x-evil" not in answer.headers
        assert seen == {b'{"title": "Not Found", "status": 404, "detail": "no such domain, or not yours"}'}
        assert not (office.data / "directory.db").exists()


async def test_a_flood_of_lists_is_held_up(tmp_path: Path) -> None:
    """Ten a minute: each is written, and read by whoever watches."""
    async with serving(tmp_path) as office, office.client() as client:
        answers = [await client.put(PATH, json={"recipients": [f"u{n}@test.example"]}) for n in range(11)]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429]
        assert answers[-1].headers["retry-after"] == "60"
        assert kept(office) == '["u9@test.example"]'


async def test_the_api_describes_itself(tmp_path: Path) -> None:
    """Without a login, and with every status that is answered."""
    async with serving(tmp_path) as office, office.client(None) as client:
        described = (await client.get("/api/openapi.json")).json()
        put = described["paths"]["/api/domains/{domain}/recipients"]["put"]
        assert set(put["responses"]) >= {"200", "401", "404", "409", "413", "422", "429"}
        assert "application/problem+json" in put["responses"]["422"]["content"]
        assert put["security"] == [{"HTTPBasic": []}, {"HTTPBearer": []}]
        for page in ("/docs", "/redoc", "/docs/oauth2-redirect"):
            assert (await client.get(page)).status_code == 404
