"""/metrics and /readyz, over a real socket."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse
from tests.stories.ports import free_port
from tests.web.office import LOGIN, PASSWORD, Office, serving

from restante.facts import AlarmKind, AlarmRaised
from restante.model import DomainName
from restante.spool.spool import Filter


async def scraped(office: Office, login: tuple[str, str] | None = None) -> dict[str, dict[tuple[str, ...], float]]:
    """Each sample, by its name and the values of its labels."""
    async with office.client(login) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in parse(answer.text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return samples


async def test_prometheus_reads_what_there_is(tmp_path: Path) -> None:
    """From this very host it needs no login."""
    async with serving(tmp_path) as office:
        await office.mail("anna@test.example", "bert@other.example")
        office.feed.announce(AlarmRaised(AlarmKind.CONTACT, "test.example", "it has not come"))
        found = await scraped(office)
        assert found["restante_items"] == {("waiting",): 2, ("claimed",): 0, ("frozen",): 0, ("quarantined",): 0}
        assert found["restante_domain_items"] == {("test.example",): 1, ("other.example",): 1}
        assert 3500 < found["restante_oldest_item_age_seconds"][()] < 3700
        assert found["restante_alarms"]["contact-missed",] == 1
        assert found["restante_commit_seconds_count"][()] == 1
        assert found["restante_spool_free_bytes"][()] > 0
        assert found["process_resident_memory_bytes"][()] > 0
        assert found["restante_ready"] == {(): 1}
        (item,) = await office.spool.listing(_of("other.example"))
        await office.spool.freeze([item.id])
        found = await scraped(office)
        assert found["restante_items"]["waiting",] == 1


def _of(domain: str) -> Filter:
    return Filter(domains=(DomainName(domain),))


async def test_openmetrics_where_it_is_asked_for(tmp_path: Path) -> None:
    """As newer Prometheus does."""
    async with serving(tmp_path) as office, office.client(None) as client:
        answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,*/*"})
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("login", "status"), [(None, 401), (LOGIN, 403), (("root", "wrong"), 401), (("root", PASSWORD), 200)]
)
async def test_others_log_in_and_must_be_administrators(
    tmp_path: Path, login: tuple[str, str] | None, status: int
) -> None:
    """Metrics name domains, which are not each site's to know."""
    admin = f'address = "127.0.0.1:{free_port()}"\nmetrics_from = ["192.0.2.0/24"]'
    async with serving(tmp_path, admin) as office, office.client(login) as client:
        assert (await client.get("/metrics")).status_code == status


async def test_ready_is_who_takes_mail(tmp_path: Path) -> None:
    """Else 503, with the reason, while it is still alive."""
    async with serving(tmp_path) as office, office.client(None) as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        office.is_stopping = True
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "it is stopping"
        assert int(answer.headers["retry-after"]) > 0
        office.is_stopping = False
        await office.spool.close()
        answer = await client.get("/readyz")
        assert answer.json()["detail"] == "the spool takes nothing until a restart"
        assert (await client.get("/healthz")).status_code == 200
        found = await scraped(office)
        assert (found["restante_ready"], found["restante_spool_broken"]) == ({(): 0}, {(): 1})
        assert set(found["restante_items"]) == {("waiting",), ("claimed",)}
