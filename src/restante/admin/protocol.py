"""What is said on the control socket: one request a connection, as one line of JSON, and one or more lines of answers.

A request names its `verb`, an answer what it is; unknown keys are refused, so that a typing error does not remove a
domain's mail. Times are wall seconds, sizes octets, ids as people see them. Text that a peer gave is passed on as it
was: whoever shows it makes it harmless (observe/lines.py, escape()).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import msgspec
from msgspec import Struct, structs

from restante.errors import RestanteError
from restante.model import CallView, ItemState, Progress, ReleaseView, Waiting

SOCKET = "control.sock"
"""The socket's name in the data directory."""
MAX_REQUEST = 1024 * 1024
PAGE = 1000
"""Items in one answer to `queue`; `after` asks for those behind them."""

NO_SERVER = "no restante runs here, and this needs one (restante serve)"

DONE, COULD_NOT, USAGE = 0, 1, 2
"""Exit statuses."""


class ProtocolError(RestanteError):
    """A line that is no request or no answer. Trying again does not help."""


class Request(Struct, frozen=True, tag_field="verb", forbid_unknown_fields=True):
    """What is asked."""


class Status(Request, frozen=True, tag="status"):
    """How this host is."""


class Chosen(Request, frozen=True, kw_only=True):
    """Items by what they are; None is whatever."""

    sender: str | None = None
    """`ADDRESS`, `@DOMAIN` or `<>`."""
    recipient: str | None = None
    """`ADDRESS` or `@DOMAIN`: one recipient is that."""
    older: float | None = None
    """They came longer ago than so many seconds."""
    larger: int | None = None
    """They have more octets."""


class Queue(Chosen, frozen=True, tag="queue"):
    """Which items there are; empty tuples and None mean: whatever."""

    domains: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    state: ItemState | None = None
    limit: int = PAGE
    after: str | None = None
    look: int | None = None
    """At so many items it looks at the most; then the page may have fewer than `limit`, and there may be more."""


class Domains(Request, frozen=True, tag="domains"):
    """What waits for whom: all domains in order of names, or a page of them, or one; `waiting`: those with mail."""

    after: str = ""
    limit: int = PAGE
    only: str | None = None
    waiting: bool = False


class Show(Request, frozen=True, tag="show"):
    """All about one item, or each item of one message."""

    id: str


class Change(Chosen, frozen=True):
    """Something is done to items: to those named, or to those that are as said; `all` says that all are meant."""

    ids: tuple[str, ...] = ()
    domain: str | None = None
    state: ItemState | None = None
    all: bool = False
    dry_run: bool = False
    """Nothing is done; the answer tells what would be tried."""


class Freeze(Change, frozen=True, tag="freeze"):
    """Stops items."""


class Thaw(Change, frozen=True, tag="thaw"):
    """Ends an operator's stop."""


class Remove(Change, frozen=True, tag="remove"):
    """Removes items; nobody is told."""


class Bounce(Change, frozen=True, tag="bounce"):
    """Sends items back: their senders get a notice that has this text, and they are gone."""

    text: str = ""


class Redirect(Change, frozen=True, tag="redirect"):
    """Sends items elsewhere: to an address, or to the same local parts of a domain."""

    where: str = ""


class Release(Request, frozen=True, tag="release"):
    """Releases an entry of the directory, `to` another host than its own next hop. `wait`: answers until it ends."""

    domain: str
    to: str | None = None
    wait: bool = False


class Call(Request, frozen=True, tag="call"):
    """Makes a configured call now. `wait`: answers until it ends."""

    name: str
    wait: bool = False


class Reload(Request, frozen=True, tag="reload"):
    """Reads the configuration again."""


AnyChange = Freeze | Thaw | Remove | Bounce | Redirect
AnyRequest = Status | Domains | Queue | Show | AnyChange | Release | Call | Reload


class Answer(Struct, frozen=True, tag_field="answer", forbid_unknown_fields=False):
    """What is said; a later version may say more."""


class Failed(Answer, frozen=True, tag="failed"):
    """It was not done; `status` is the exit status that this means: 1 could not, 2 usage or configuration."""

    reasons: tuple[str, ...]
    status: int = COULD_NOT


class QuotaUse(Struct, frozen=True, gc=False):
    """What a domain may have here and what it has, frozen items too; None: no limit."""

    items: int
    octets: int
    most_items: int | None = None
    most_octets: int | None = None

    @property
    def percent(self) -> int:
        """How full it is: of items or of octets, whichever is more."""
        pairs = ((self.items, self.most_items), (self.octets, self.most_octets))
        return max((100 * used // most for used, most in pairs if most), default=0)


class DomainStatus(Struct, frozen=True, gc=False):
    """One domain: what is done with its mail (empty where the directory does not know it), and what waits."""

    domain: str
    action: str = ""
    next_hop: str = ""
    items: int = 0
    octets: int = 0
    oldest: float | None = None
    quota: QuotaUse | None = None
    last_contact: float | None = None
    """When a release last reached the next hop of a held domain."""
    next_contact: float | None = None
    """When the next one is expected, where the configuration says so (`contact`)."""


class CallStatus(Struct, frozen=True):
    """One configured call: as it runs or as its last one ended, and the next window of its schedule."""

    view: CallView
    next_start: float | None = None
    next_end: float | None = None


class Rows(Answer, frozen=True, tag="rows"):
    """Domains, column by column: very many say the same of action and next hop, and what waits is written as it is.

    `said`: an action, a next hop, and of how many domains one after the other they are.
    """

    names: tuple[str, ...]
    waiting: tuple[Waiting, ...]
    said: tuple[tuple[str, str, int], ...]
    quotas: dict[str, QuotaUse] = {}

    def domains(self) -> Iterator[DomainStatus]:
        """A row for each."""
        said = chain.from_iterable(repeat((action, next_hop), times) for action, next_hop, times in self.said)
        quota_of = self.quotas.get
        for name, its, (action, next_hop) in zip(self.names, self.waiting, said, strict=True):
            yield DomainStatus(name, action, next_hop, its.items, its.octets, its.oldest, quota_of(name))


class StatusAnswer(Answer, frozen=True, tag="status"):
    """How this host is. Without a running server: no `started`, no releases, no calls."""

    hostname: str
    version: str
    now: float
    running: bool
    started: float | None = None
    listening: tuple[str, ...] = ()
    connections: int = 0
    domains: tuple[DomainStatus, ...] = ()
    domains_left_out: int = 0
    frozen: int = 0
    quarantined: int = 0
    """Items that do not wait: an operator's stop, damage. They are not counted in `domains`."""
    releases: tuple[ReleaseView, ...] = ()
    calls: tuple[CallStatus, ...] = ()


class DomainsAnswer(Answer, frozen=True, tag="domains"):
    """A page of domains, in order of names; `after` asks for the next one, None where there is none."""

    domains: tuple[DomainStatus, ...]
    now: float
    after: str | None = None


class QueueItem(Struct, frozen=True):
    """One item in a listing. Of its recipients the first few; `recipients_total` counts them.

    Of an item whose record is damaged domain and sender are empty, and there are no recipients.
    """

    id: str
    domain: str
    state: ItemState
    size: int
    arrived: float
    priority: int
    attempts: int
    next_attempt: float
    reverse_path: str
    recipients: tuple[str, ...]
    recipients_total: int
    detail: str


class QueueAnswer(Answer, frozen=True, tag="queue"):
    """A page of items, in order of ids; `after` asks for the next one, None where there is none."""

    items: tuple[QueueItem, ...]
    now: float
    after: str | None = None
    quotas: dict[str, QuotaUse] = {}
    """Of those domains of this page that have one."""


class ShownRecipient(Struct, frozen=True):
    """One forward-path, with what DSN asked for it."""

    mailbox: str
    notify: tuple[str, ...] | None = None
    orcpt: str | None = None


class ShownItem(Struct, frozen=True):
    """One item with its whole envelope."""

    item: QueueItem
    recipients: tuple[ShownRecipient, ...]
    body: str | None = None
    smtputf8: bool = False
    ret: str | None = None
    envid: str | None = None
    requiretls: bool = False
    deliver_by: float | None = None
    comes_back: bool = False
    """Whether it goes back to its sender when that time is over."""


class ShowAnswer(Answer, frozen=True, tag="show"):
    """Items of one message and the header section of their content, as far as it is kept short."""

    items: tuple[ShownItem, ...]
    now: float
    headers: str
    cut: bool = False
    """Whether the header section is longer than what is shown."""
    damage: str = ""
    """Why there are no headers."""


class Unchanged(Struct, frozen=True):
    """An item that was left as it is, and why."""

    id: str
    reason: str


class ChangeAnswer(Answer, frozen=True, tag="change"):
    """What was changed, what was so before, what cannot be, and which ids name nothing."""

    changed: tuple[str, ...]
    already: tuple[str, ...] = ()
    unchanged: tuple[Unchanged, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        """The exit status: 0 when all that was named is as it was to be."""
        return COULD_NOT if self.unchanged or self.unknown else DONE


class ReleaseAnswer(Answer, frozen=True, tag="release"):
    """A release as it stands; the last answer has it ended, where that was waited for."""

    view: ReleaseView
    now: float

    @property
    def status(self) -> int:
        """The exit status: 0 unless it ended with an error or left something deferred."""
        ended = self.view.progress is Progress.ENDED
        return COULD_NOT if ended and (self.view.error or self.view.deferred) else DONE


class CallAnswer(Answer, frozen=True, tag="call"):
    """A call as it stands; the last answer has it ended, where that was waited for."""

    view: CallView
    now: float

    @property
    def status(self) -> int:
        """The exit status: 0 unless it ended with an error."""
        return COULD_NOT if self.view.progress is Progress.ENDED and self.view.error else DONE


class ReloadAnswer(Answer, frozen=True, tag="reload"):
    """The configuration was read again; with problems nothing has changed."""

    problems: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        """The exit status."""
        return USAGE if self.problems else DONE


AnyAnswer = (
    Failed
    | Rows
    | StatusAnswer
    | DomainsAnswer
    | QueueAnswer
    | ShowAnswer
    | ChangeAnswer
    | ReleaseAnswer
    | CallAnswer
    | ReloadAnswer
)

_encoder = msgspec.json.Encoder()
_requests: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)
_answers: msgspec.json.Decoder[AnyAnswer] = msgspec.json.Decoder(AnyAnswer)


def write_line(value: Request | Answer) -> bytes:
    """A request or an answer as its line, with the line end."""
    return _encoder.encode(value) + b"\n"


def joined(answers: Iterable[AnyAnswer]) -> Iterator[AnyAnswer]:
    """The answers, with the domains that came ahead of one in it.

    Very many come in portions: some are read while others are made, and whoever makes them does other things between.
    """
    rows: list[DomainStatus] = []
    for answer in answers:
        if isinstance(answer, Rows):
            rows += answer.domains()
        elif isinstance(answer, StatusAnswer) and rows:
            yield structs.replace(answer, domains=(*rows, *answer.domains))
        else:
            yield answer


def read_request(line: bytes) -> AnyRequest:
    """The request in a line. Raises ProtocolError."""
    try:
        return _requests.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"not a request: {error}") from None


def read_answer(line: bytes) -> AnyAnswer:
    """The answer in a line. Raises ProtocolError."""
    try:
        return _answers.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"not an answer: {error}") from None
