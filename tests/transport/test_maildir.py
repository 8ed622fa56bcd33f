"""Mail that is in a mailbox when it is reported to be, whole, once; and everything that can go wrong before."""

from __future__ import annotations

import asyncio
import errno
import mailbox
import os
import subprocess
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.here import not_here

from restante.directory.routing import Reader
from restante.errors import RestanteError
from restante.model import Body, DomainName, Envelope, Item, Mailbox, MessageId, Recipient, item_id
from restante.release import settling
from restante.transport import maildirsize
from restante.transport.maildir import BATCH, MaildirCarrier
from restante.transport.outcome import CarryEnd, Deferred, Delivered, ItemOutcome, Parcel, Refused

HERE = DomainName("localtest.example")
SENDER = Mailbox.parse("ann@far.example")
CONTENT = b"Received: from far.example\r\n\tby here\r\nSubject: hello\r\n\r\nDear Anna,\r\nbye\r\n"
STORED = CONTENT.replace(b"\r\n", b"\n")
ARRIVED = 1_767_225_600.25


class Queue:
    """A feed of parcels that were put into it."""

    def __init__(self, parcels: Iterable[Parcel]) -> None:
        self.parcels = deque(parcels)

    async def next(self) -> Parcel | None:
        """The next, or None."""
        return self.parcels.popleft() if self.parcels else None

    def put_back(self, parcel: Parcel) -> None:
        """Never asked for here."""
        raise AssertionError(parcel)


def readers(address: Mailbox) -> tuple[Reader, ...]:
    """The directory's part: two users, an alias for both, and nobody else."""
    anna, bob = Reader("anna"), Reader("bob")
    known = {"anna": (anna,), "bob": (bob,), "info": (anna, bob), "..": (Reader(".."),)}
    user, _, detail = address.local.partition("+")
    return (Reader(user, detail),) if detail else known.get(address.key, ())


def item(*locals_: str, number: int = 1, sender: Mailbox | None = SENDER, body: Body | None = None) -> Item:
    """An item for recipients in our domain."""
    recipients = tuple(Recipient(Mailbox(local, HERE)) for local in locals_)
    identifier = item_id(MessageId(number << 40), 1)
    return Item(identifier, HERE, Envelope(sender, recipients, body), len(CONTENT), ARRIVED + number)


def carrier(root: Path, *, quota: int | None = None, tag_folders: bool = False) -> MaildirCarrier:
    return MaildirCarrier(root, readers, hostname="site.example", quota=quota, tag_folders=tag_folders)


async def deliver(
    root: Path, *parcels: Parcel, quota: int | None = None, tag_folders: bool = False
) -> tuple[CarryEnd, list[ItemOutcome]]:
    """All of them, by a new carrier."""
    outcomes: list[ItemOutcome] = []
    end = await carrier(root, quota=quota, tag_folders=tag_folders).carry(Queue(parcels), outcomes.append)
    return end, outcomes


def files(root: Path, user: str, folder: str = "new") -> list[bytes]:
    """What is in a user's mailbox, in order of names."""
    path = root / HERE / user / folder
    return [file.read_bytes() for file in sorted(path.iterdir())] if path.exists() else []


def streamed(pieces: Iterable[bytes], error: Exception | None = None) -> Callable[[], AsyncIterator[bytes]]:
    """Content that comes in pieces, and perhaps ends in an error."""

    async def opened() -> AsyncIterator[bytes]:
        for piece in pieces:
            await asyncio.sleep(0)
            yield piece
        if error is not None:
            raise error

    return opened


async def test_a_message_lands_in_its_user_s_mailbox(tmp_path: Path) -> None:
    """Return-Path and Delivered-To, then the content with Unix line ends; Python's own Maildir reader finds it."""
    end, outcomes = await deliver(tmp_path, Parcel(item("Anna"), CONTENT))
    assert end == CarryEnd()
    assert [result for o in outcomes for result in o.outcomes] == [
        (Mailbox("Anna", HERE), Delivered("250 2.0.0 delivered to anna"))
    ]
    assert files(tmp_path, "anna") == [
        b"Return-Path: <ann@far.example>\nDelivered-To: anna@localtest.example\n" + STORED
    ]
    assert files(tmp_path, "anna", "tmp") == []
    (message,) = mailbox.Maildir(tmp_path / HERE / "anna", create=False)
    assert message["subject"] == "hello"
    assert message.get_payload() == "Dear Anna,\nbye\n"


async def test_a_file_s_name_tells_when_the_item_arrived_and_which_it_is(tmp_path: Path) -> None:
    """Seconds, microseconds and id, host, as Maildir readers sort and compare them; and its octets, for Maildir++."""
    await deliver(tmp_path, Parcel(item("anna"), CONTENT))
    assert [p.name for p in (tmp_path / HERE / "anna" / "new").iterdir()] == [
        "1767225601.M250000R00100000000-1.site.example,S=135"
    ]


async def test_the_null_reverse_path_is_kept(tmp_path: Path) -> None:
    """A DSN's envelope sender is `<>` in the mailbox too."""
    await deliver(tmp_path, Parcel(item("anna", sender=None), CONTENT))
    assert files(tmp_path, "anna")[0].startswith(b"Return-Path: <>\n")


async def test_an_alias_for_two_users_gives_each_a_copy_of_his_own(tmp_path: Path) -> None:
    """And whoever is meant by several recipients of an item gets it once."""
    _, outcomes = await deliver(tmp_path, Parcel(item("info", "anna", "anna+lists"), CONTENT))
    assert [outcome for _, outcome in outcomes[0].outcomes] == [
        Delivered("250 2.0.0 delivered to anna (and 1 more)"),
        Delivered("250 2.0.0 delivered to anna"),
        Delivered("250 2.0.0 delivered to anna"),
    ]
    assert [b"Delivered-To: anna@localtest.example\n" in file for file in files(tmp_path, "anna")] == [True]
    assert [b"Delivered-To: bob@localtest.example\n" in file for file in files(tmp_path, "bob")] == [True]


async def test_a_user_who_is_gone_meanwhile_is_refused(tmp_path: Path) -> None:
    """Only that recipient: the other one gets the message."""
    _, outcomes = await deliver(tmp_path, Parcel(item("nobody", "bob"), CONTENT))
    assert [outcome for _, outcome in outcomes[0].outcomes] == [
        Refused("550 5.1.1 No such user here", "5.1.1"),
        Delivered("250 2.0.0 delivered to bob"),
    ]
    assert not (tmp_path / HERE / "nobody").exists()


async def test_a_user_s_name_does_not_leave_the_domain_s_folder(tmp_path: Path) -> None:
    """`..` is a user like any other."""
    await deliver(tmp_path / "mailboxes", Parcel(item(".."), CONTENT))
    assert len(files(tmp_path / "mailboxes", "%2E.")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mailboxes"]


async def test_binary_content_keeps_every_octet(tmp_path: Path) -> None:
    """BINARYMIME (RFC 3030): CRLF, lone CR and LF, NUL; the fields that we add end in CRLF like the rest."""
    content = b"Content-Type: application/octet-stream\r\n\r\n\0\r\n\r\n\n\r"
    await deliver(tmp_path, Parcel(item("anna", body=Body.BINARY), content))
    assert files(tmp_path, "anna") == [
        b"Return-Path: <ann@far.example>\r\nDelivered-To: anna@localtest.example\r\n" + content
    ]


@pytest.mark.parametrize("size", [1, 2, 7, 65536])
async def test_large_content_is_streamed(tmp_path: Path, size: int) -> None:
    """Whatever the pieces, the same file; a CRLF that is cut in two is one LF."""
    pieces = [CONTENT[at : at + size] for at in range(0, len(CONTENT), size)]
    _, outcomes = await deliver(tmp_path, Parcel(item("info"), streamed(pieces)))
    assert [type(outcome) for _, outcome in outcomes[0].outcomes] == [Delivered]
    assert files(tmp_path, "anna")[0].endswith(b"localtest.example\n" + STORED)
    assert files(tmp_path, "bob")[0].endswith(b"localtest.example\n" + STORED)


async def test_many_items_small_and_large_are_all_delivered_once(tmp_path: Path) -> None:
    """The books balance: as many outcomes and files as items, each of its own content."""
    parcels = []
    for number in range(1, 5 * BATCH):
        content = b"Subject: %d\r\n\r\n" % number
        whole = item("anna", number=number)
        parcels.append(Parcel(whole, streamed([content]) if number % 17 == 0 else content))
    end, outcomes = await deliver(tmp_path, *parcels)
    assert end.error == ""
    assert sorted(o.item.id for o in outcomes) == [p.item.id for p in parcels]
    subjects = [file.splitlines()[2] for file in files(tmp_path, "anna")]
    assert subjects == [b"Subject: %d" % number for number in range(1, 5 * BATCH)]


async def test_a_delivery_that_is_repeated_replaces_the_first(tmp_path: Path) -> None:
    """Its record was lost in a crash: the mailbox has the message once, as long as nobody has read it."""
    await deliver(tmp_path, Parcel(item("anna"), CONTENT))
    await deliver(tmp_path, Parcel(item("anna"), CONTENT))
    assert len(files(tmp_path, "anna")) == 1


async def test_the_order_of_syncs_makes_a_reported_message_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is synced before it is moved to new, and new after the last move and before the report."""
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def watched_fsync(file: int) -> None:
        fsync(file)
        steps.append(f"sync {Path(f'/proc/self/fd/{file}').readlink().relative_to(tmp_path / HERE / 'anna')}")

    def watched_rename(path: Path, target: Path) -> Path:
        steps.append(f"move {path.relative_to(tmp_path / HERE / 'anna')}")
        return rename(path, target)

    await deliver(tmp_path, Parcel(item("anna", number=9), CONTENT))
    ours = carrier(tmp_path)
    ours._folders._ready.add(tmp_path / HERE / "anna")
    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "rename", watched_rename)
    parcels = [Parcel(item("anna", number=number), CONTENT) for number in (1, 2)]
    await ours.carry(Queue(parcels), lambda outcome: steps.append(f"report {outcome.item.message >> 40}"))
    synced = [step.removeprefix("sync ") for step in steps[:2]]
    assert all(name.startswith("tmp/") for name in synced)
    assert steps[2:] == [*(f"move {name}" for name in synced), "sync new", "report 1", "report 2"]


@pytest.mark.parametrize("broken", ["file", "new"])
@pytest.mark.parametrize("large", [False, True])
async def test_a_sync_that_fails_defers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, *, large: bool
) -> None:
    """After an error of fsync nothing is known to be on disk: nothing is reported delivered."""
    await deliver(tmp_path, Parcel(item("anna", number=9), CONTENT))
    fsync = os.fsync

    def failing(file: int) -> None:
        path = Path(f"/proc/self/fd/{file}").readlink()
        if (broken == "new" and path.name == "new") or (broken == "file" and path.parent.name == "tmp"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(file)

    monkeypatch.setattr(os, "fsync", failing)
    _, outcomes = await deliver(tmp_path, Parcel(item("anna"), streamed([CONTENT]) if large else CONTENT))
    assert outcomes[0].outcomes[0][1] == Deferred("451 4.3.0 Input/output error")
    assert files(tmp_path, "anna", "tmp") == []
    assert len(files(tmp_path, "anna")) == (1 if broken == "file" else 2)


async def test_one_broken_mailbox_defers_only_its_own_mail(tmp_path: Path) -> None:
    """A file stands where bob's folder should be; of the alias for both only he waits, and anna has it once."""
    (tmp_path / HERE).mkdir()
    (tmp_path / HERE / "bob").write_bytes(b"in the way")
    items = [item("bob"), item("anna", number=2), item("info", number=3)]
    end, outcomes = await deliver(tmp_path, *(Parcel(i, CONTENT) for i in items))
    assert end.error == ""
    waits = Deferred("451 4.3.0 File exists")
    assert [[(m.local, outcome) for m, outcome in o.outcomes] for o in outcomes] == [
        [("bob", waits)],
        [("anna", Delivered("250 2.0.0 delivered to anna"))],
        [("anna", Delivered("250 2.0.0 delivered to anna")), ("bob", waits)],
    ]
    (tmp_path / HERE / "bob").unlink()
    read_by_anna = tmp_path / HERE / "anna"
    for file in (read_by_anna / "new").iterdir():
        file.rename(read_by_anna / "cur" / f"{file.name}:2,S")
    await deliver(tmp_path, Parcel(waiting(outcomes[2]), CONTENT))
    assert len(files(tmp_path, "anna") + files(tmp_path, "anna", "cur")) == 2
    assert len(files(tmp_path, "bob")) == 1


def waiting(outcome: ItemOutcome) -> Item:
    """What a release leaves of an item."""
    settled = settling.settlement(settling.sort(outcome), 0.0)
    assert settled.remaining is not None
    return replace(outcome.item, envelope=settled.remaining)


async def test_a_mailbox_that_was_removed_is_made_again(tmp_path: Path) -> None:
    """By the same carrier, which knew it."""
    outcomes: list[ItemOutcome] = []
    ours = carrier(tmp_path)
    await ours.carry(Queue([Parcel(item("anna"), CONTENT)]), outcomes.append)
    (tmp_path / HERE / "anna").rename(tmp_path / "elsewhere")
    await ours.carry(Queue([Parcel(item("anna", number=2), CONTENT)]), outcomes.append)
    assert [type(o.outcomes[0][1]) for o in outcomes] == [Delivered, Delivered]
    assert len(files(tmp_path, "anna")) == 1


async def test_damaged_content_is_not_delivered(tmp_path: Path) -> None:
    """What the spool finds out half-way leaves no half file."""
    damaged = streamed([CONTENT], RestanteError("the stored content is damaged"))
    _, outcomes = await deliver(tmp_path, Parcel(item("anna"), damaged), Parcel(item("bob", number=2), CONTENT))
    assert {o.outcomes[0][1] for o in outcomes} == {
        Deferred("451 4.3.0 the stored content is damaged"),
        Delivered("250 2.0.0 delivered to bob"),
    }
    assert files(tmp_path, "anna") == files(tmp_path, "anna", "tmp") == []


async def test_cancelled_in_a_large_message_it_leaves_nothing(tmp_path: Path) -> None:
    """The content hangs; the file in tmp is removed, and nothing is reported."""
    hangs = asyncio.Event()
    outcomes: list[ItemOutcome] = []

    async def opened() -> AsyncIterator[bytes]:
        yield CONTENT
        hangs.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(carrier(tmp_path).carry(Queue([Parcel(item("anna"), opened)]), outcomes.append))
    await hangs.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes == []
    assert files(tmp_path, "anna") == files(tmp_path, "anna", "tmp") == []


async def test_cancelled_while_a_batch_is_written_it_reports_what_became_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread cannot be stopped; so what it has delivered is told, and is not delivered again."""
    fsync = os.fsync
    syncing = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(file: int) -> None:
        loop.call_soon_threadsafe(syncing.set)
        time.sleep(0.05)
        fsync(file)

    monkeypatch.setattr(os, "fsync", slow)
    outcomes: list[ItemOutcome] = []
    task = asyncio.create_task(carrier(tmp_path).carry(Queue([Parcel(item("anna"), CONTENT)]), outcomes.append))
    await syncing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [o.outcomes[0][1] for o in outcomes] == [Delivered("250 2.0.0 delivered to anna")]
    assert len(files(tmp_path, "anna")) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        not_here("a small file system cannot be mounted (it takes root)")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


async def test_a_full_disk_defers_and_ends_the_release(small_disk: Path) -> None:
    """What fitted is delivered whole; the one that did not leaves no trace; and no more is drawn from the feed."""
    content = CONTENT + 50 * 1024 * b"x"
    parcels = [Parcel(item("anna", number=n), streamed([content])) for n in range(1, 21)]
    queue = Queue(parcels)
    outcomes: list[ItemOutcome] = []
    end = await carrier(small_disk / "mailboxes").carry(queue, outcomes.append)
    results = [o.outcomes[0][1] for o in outcomes]
    assert Deferred("452 4.3.1 No space left on device") in results
    delivered = results.count(Delivered("250 2.0.0 delivered to anna"))
    assert 1 <= delivered <= 4
    assert "No space left on device" in end.error
    assert len(queue.parcels) + len(outcomes) == 20
    assert len(queue.parcels) >= 13
    stored = files(small_disk / "mailboxes", "anna")
    assert len(stored) == delivered
    assert all(file.endswith(50 * 1024 * b"x") for file in stored)
    assert files(small_disk / "mailboxes", "anna", "tmp") == []


# quota and folders

HEAD = b"Return-Path: <ann@far.example>\nDelivered-To: anna@localtest.example\n"
SIZE = len(HEAD + STORED)
FULL = Deferred("452 4.2.2 the mailbox of anna is full")


def sizes(root: Path, user: str = "anna") -> str:
    return (root / HERE / user / "maildirsize").read_text()


@pytest.mark.parametrize("large", [False, True])
async def test_what_does_not_fit_waits_and_others_get_theirs(tmp_path: Path, *, large: bool) -> None:
    """Anna's mailbox takes two; of the third only bob has a copy; nothing is left in tmp, and the release goes on."""
    parcels = [Parcel(item("anna", number=n), CONTENT) for n in (1, 2)]
    parcels += [Parcel(item("info", number=3), streamed([CONTENT]) if large else CONTENT)]
    end, outcomes = await deliver(tmp_path, *parcels, quota=3 * SIZE - 1)
    assert end == CarryEnd()
    assert [[(m.local, outcome) for m, outcome in o.outcomes] for o in outcomes] == [
        [("anna", Delivered("250 2.0.0 delivered to anna"))],
        [("anna", Delivered("250 2.0.0 delivered to anna"))],
        [("anna", FULL), ("bob", Delivered("250 2.0.0 delivered to bob"))],
    ]
    assert len(files(tmp_path, "anna")) == 2
    assert files(tmp_path, "anna", "tmp") == []
    assert len(files(tmp_path, "bob")) == 1
    next((tmp_path / HERE / "anna" / "new").iterdir()).unlink()  # by a reader that knows no Maildir++
    os.utime(tmp_path / HERE / "anna" / "maildirsize", (0, 0))
    _, outcomes = await deliver(tmp_path, Parcel(waiting(outcomes[2]), CONTENT), quota=3 * SIZE - 1)
    assert [[(m.local, type(outcome)) for m, outcome in o.outcomes] for o in outcomes] == [[("anna", Delivered)]]


async def test_a_large_message_that_cannot_fit_is_not_even_read(tmp_path: Path) -> None:
    """Half of it may be line ends; if that is still too much, nothing is written for nothing at each attempt."""
    opened: list[bytes] = []

    async def content() -> AsyncIterator[bytes]:
        for _ in range(100):
            opened.append(CONTENT)
            yield CONTENT

    huge = replace(item("anna"), size=100 * len(CONTENT))
    _, outcomes = await deliver(tmp_path, Parcel(huge, content), quota=45 * len(CONTENT))
    assert outcomes[0].outcomes[0][1] == FULL
    assert len(opened) <= 1


async def test_the_books_of_a_mailbox_balance(tmp_path: Path) -> None:
    """Quota first, then what was there, then a line for each batch."""
    (tmp_path / HERE / "anna" / "cur").mkdir(parents=True)
    (tmp_path / HERE / "anna" / "cur" / "1.host:2,S").write_bytes(b"x" * 100)
    parcels = [Parcel(item("anna", number=n), CONTENT) for n in range(1, 4)]
    await deliver(tmp_path, *parcels, quota=1_000_000)
    assert sizes(tmp_path) == f"1000000S\n100 1\n{3 * SIZE} 3\n"
    await deliver(tmp_path, Parcel(item("anna", number=4), streamed([CONTENT])), quota=1_000_000)
    assert sizes(tmp_path) == f"1000000S\n100 1\n{3 * SIZE} 3\n{SIZE} 1\n"


async def test_a_delivery_that_is_repeated_is_counted_once(tmp_path: Path) -> None:
    """It takes the place of the first; as much as there is room for one is enough."""
    for _ in range(2):
        _, outcomes = await deliver(tmp_path, Parcel(item("anna"), CONTENT), quota=SIZE)
        assert type(outcomes[0].outcomes[0][1]) is Delivered
    assert sizes(tmp_path) == f"{SIZE}S\n0 0\n{SIZE} 1\n"


async def test_what_comes_is_written_down_before_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And synced: whatever a power cut leaves, there is never more than the file says."""
    steps: list[str] = []
    fdatasync, rename = os.fdatasync, Path.rename

    def watched_sync(file: int) -> None:
        fdatasync(file)
        steps.append(f"sync {Path(f'/proc/self/fd/{file}').readlink().name}")

    def watched_rename(path: Path, target: Path) -> Path:
        steps.append(f"move to {target.parent.name}")
        return rename(path, target)

    await deliver(tmp_path, Parcel(item("anna"), CONTENT), quota=1_000_000)
    monkeypatch.setattr(os, "fdatasync", watched_sync)
    monkeypatch.setattr(Path, "rename", watched_rename)
    await deliver(tmp_path, *(Parcel(item("anna", number=n), CONTENT) for n in (2, 3)), quota=1_000_000)
    assert steps == ["sync maildirsize", "move to new", "move to new"]


async def test_what_was_written_down_and_did_not_come_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails at the file itself: it waits, and the mailbox holds what it held."""
    await deliver(tmp_path, Parcel(item("anna"), CONTENT), quota=1_000_000)
    fsync = os.fsync

    def failing(file: int) -> None:
        if Path(f"/proc/self/fd/{file}").readlink().parent.name == "tmp":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(file)

    monkeypatch.setattr(os, "fsync", failing)
    _, outcomes = await deliver(tmp_path, Parcel(item("anna", number=2), CONTENT), quota=1_000_000)
    assert outcomes[0].outcomes[0][1] == Deferred("451 4.3.0 Input/output error")
    assert sizes(tmp_path) == f"1000000S\n0 0\n{SIZE} 1\n{SIZE} 1\n{-SIZE} -1\n"


async def test_books_that_cannot_be_written_defer(tmp_path: Path) -> None:
    """Nobody knows what fits: the mail waits."""
    (tmp_path / HERE / "anna" / "maildirsize").mkdir(parents=True)
    _, outcomes = await deliver(tmp_path, Parcel(item("info"), CONTENT), quota=1_000_000)
    assert [(m.local, type(outcome)) for m, outcome in outcomes[0].outcomes] == [("anna", Deferred), ("bob", Delivered)]
    assert files(tmp_path, "anna") == files(tmp_path, "anna", "tmp") == []


async def test_a_tag_leads_into_a_folder_that_is_there(tmp_path: Path) -> None:
    """Else into the inbox, once with what goes there anyway; a folder is never made; all of it counts."""
    for part in ("tmp", "new", "cur"):
        (tmp_path / HERE / "anna" / ".lists" / part).mkdir(parents=True)
    parcels = [
        Parcel(item("anna+Lists"), CONTENT),
        Parcel(item("anna", "anna+lists", "anna+other", number=2), CONTENT),
        Parcel(item("anna+../../bob", "bob+lists", number=3), CONTENT),
    ]
    _, outcomes = await deliver(tmp_path, *parcels, quota=1_000_000, tag_folders=True)
    assert {type(result) for o in outcomes for _, result in o.outcomes} == {Delivered}
    assert files(tmp_path, "anna", ".lists/new") == [HEAD + STORED] * 2
    assert files(tmp_path, "anna") == [HEAD + STORED] * 2
    assert len(files(tmp_path, "bob")) == 1
    assert not [path for path in (tmp_path / HERE).glob("*/.*") if path.name != ".lists"]
    assert sizes(tmp_path) == f"1000000S\n0 0\n{4 * SIZE} 4\n"


async def test_without_tag_folders_a_tag_means_nothing(tmp_path: Path) -> None:
    """As it is not said otherwise."""
    for part in ("tmp", "new", "cur"):
        (tmp_path / HERE / "anna" / ".lists" / part).mkdir(parents=True)
    await deliver(tmp_path, Parcel(item("anna+lists"), CONTENT))
    assert files(tmp_path, "anna") == [HEAD + STORED]


async def test_a_folder_that_goes_away_is_not_made_again(tmp_path: Path) -> None:
    """Its user has removed it while mail for it was on its way, and the next attempt finds the inbox."""
    for part in ("tmp", "new", "cur"):
        (tmp_path / HERE / "anna" / ".lists" / part).mkdir(parents=True)
    outcomes: list[ItemOutcome] = []

    async def content() -> AsyncIterator[bytes]:
        yield CONTENT
        (tmp_path / HERE / "anna" / ".lists").rename(tmp_path / "removed")

    for opened in (content, streamed([CONTENT])):
        await carrier(tmp_path, tag_folders=True).carry(Queue([Parcel(item("anna+lists"), opened)]), outcomes.append)
    assert [o.outcomes[0][1] for o in outcomes] == [
        Deferred("451 4.3.0 No such file or directory"),
        Delivered("250 2.0.0 delivered to anna"),
    ]
    assert not (tmp_path / HERE / "anna" / ".lists").exists()
    assert len(files(tmp_path, "anna")) == 1


async def test_two_batches_for_one_mailbox_at_once_keep_the_books(tmp_path: Path) -> None:
    """Two threads write, count and add; in the end the file says what is there, or is gone and will be made anew."""
    parcels = [Parcel(item("anna", number=n), CONTENT) for n in range(1, 20 * BATCH)]
    end, outcomes = await deliver(tmp_path, *parcels, quota=10_000_000)
    assert end == CarryEnd()
    assert {type(o.outcomes[0][1]) for o in outcomes} == {Delivered}
    usage = maildirsize.measure(tmp_path / HERE / "anna")
    assert (usage.octets, usage.messages) == (SIZE * len(parcels), len(parcels))
    if (tmp_path / HERE / "anna" / "maildirsize").exists():
        said = maildirsize.parse(sizes(tmp_path).encode(), 10_000_000)
        assert said is not None
        assert (said.octets, said.messages) == (usage.octets, usage.messages)
