"""What releases have shown of recipients: for how long it holds, what it forgets, and that it cannot grow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from restante.directory.learned import MOST_OF_DOMAIN, TAKEN_AGAIN_SECONDS, Learned, Verdict
from restante.model import DomainName, Mailbox

NOW = 1_767_225_600.0
DAY = 86_400.0
YEAR = 365 * DAY


def box(text: str) -> Mailbox:
    """A mailbox of that address."""
    return Mailbox.parse(text)


ANNA, BERT = box("anna@test.example"), box("bert@test.example")


def unknown(learned: Learned, mailbox: Mailbox, now: float = NOW, unknown_for: float = DAY) -> bool:
    """Whether it is refused."""
    return learned.is_unknown(mailbox, unknown_for, now)


def test_who_was_refused_is_unknown_for_a_time() -> None:
    """However it is spelled; nobody else is; then it is forgotten, for good."""
    learned = Learned()
    assert not unknown(learned, ANNA)
    learned.refused(box("Anna@test.example"), NOW)
    assert unknown(learned, ANNA)
    assert unknown(learned, box("ANNA@test.example"), NOW + DAY - 1)
    assert not unknown(learned, BERT)
    assert not unknown(learned, box("anna@other.example"))
    assert not unknown(learned, ANNA, NOW + DAY)
    assert not unknown(learned, ANNA)
    assert len(learned) == 0


def test_an_entry_that_forgets_at_once_refuses_nobody() -> None:
    """Where `unknown_for` is nothing."""
    learned = Learned()
    learned.refused(ANNA, NOW)
    assert not unknown(learned, ANNA, unknown_for=0.0)


def test_who_is_taken_is_known_at_once() -> None:
    """Whatever was said before; and the other way round."""
    learned = Learned()
    learned.refused(ANNA, NOW)
    learned.taken(ANNA, NOW + 1)
    assert not unknown(learned, ANNA, NOW + 2)
    learned.refused(ANNA, NOW + 3)
    assert unknown(learned, ANNA, NOW + 4)
    assert len(learned) == 1


def test_postmaster_is_never_unknown() -> None:
    """Whatever a site says (RFC 5321 §4.5.1)."""
    learned = Learned()
    learned.refused(box("PostMaster@test.example"), NOW)
    assert not unknown(learned, box("postmaster@test.example"))
    assert learned.take_changes() == {}


def test_no_jump_of_the_clock_makes_a_refusal_last() -> None:
    """Ten years forward, and back again: what is left in the future is forgotten when it is looked at."""
    learned = Learned()
    learned.refused(ANNA, NOW + 10 * YEAR)
    assert not unknown(learned, ANNA, NOW)
    assert not unknown(learned, ANNA, NOW + 10 * YEAR)
    learned.taken(BERT, NOW + 10 * YEAR)
    learned.taken(BERT, NOW)  # is noted: else it would be from the future for ten years
    assert learned.take_changes()[BERT.domain, BERT.key] == Verdict(is_unknown=False, since=NOW)


def test_changes_are_told_once() -> None:
    """The last word on each; what is taken again and again is not told again for an hour."""
    learned = Learned()
    learned.refused(ANNA, NOW)
    learned.taken(ANNA, NOW + 1)
    learned.refused(BERT, NOW + 2)
    domain = ANNA.domain
    assert learned.take_changes() == {
        (domain, "anna"): Verdict(is_unknown=False, since=NOW + 1),
        (domain, "bert"): Verdict(is_unknown=True, since=NOW + 2),
    }
    learned.taken(ANNA, NOW + TAKEN_AGAIN_SECONDS)
    assert learned.take_changes() == {}
    learned.taken(ANNA, NOW + 1 + TAKEN_AGAIN_SECONDS)
    assert not unknown(learned, BERT, NOW + 2 * DAY)
    assert learned.take_changes() == {
        (domain, "anna"): Verdict(is_unknown=False, since=NOW + 1 + TAKEN_AGAIN_SECONDS),
        (domain, "bert"): None,
    }


def test_what_was_kept_is_recalled_unless_more_is_known() -> None:
    """The newer word stands, and what is from the future is left out; nothing of it is a change."""
    learned = Learned()
    learned.taken(ANNA, NOW)
    learned.take_changes()
    domain = ANNA.domain
    learned.recall(
        [
            ((domain, "anna"), Verdict(is_unknown=True, since=NOW - 9)),
            ((domain, "bert"), Verdict(is_unknown=True, since=NOW - 8)),
            ((domain, "carl"), Verdict(is_unknown=True, since=NOW + 7)),
        ],
        NOW,
    )
    assert not unknown(learned, ANNA)
    assert unknown(learned, BERT)
    assert len(learned) == 2
    assert learned.take_changes() == {}


def test_a_dictionary_attack_drives_out_only_its_own() -> None:
    """A million guesses at one domain: no more than its share is kept, the newest; who was taken stays."""
    learned = Learned()
    other = box("nobody@quiet.example")
    learned.refused(other, NOW)
    learned.taken(ANNA, NOW)
    guesses = 3 * MOST_OF_DOMAIN
    for number in range(guesses):
        learned.refused(Mailbox(f"u{number}", ANNA.domain), NOW + number / 1000)
    assert len(learned) <= MOST_OF_DOMAIN + 2
    changes = learned.take_changes()
    assert changes[ANNA.domain, "u0"] is None
    assert unknown(learned, Mailbox(f"u{guesses - 1}", ANNA.domain), NOW + 1000)
    assert unknown(learned, other, NOW + 1000)
    learned.taken(ANNA, NOW + 1)
    assert learned.take_changes() == {}  # it was known all the time


def test_of_all_domains_the_quiet_ones_give_way() -> None:
    """Where all together are too many; what was noted last is there."""
    learned = Learned(most_of_domain=10, most=100)
    for number in range(30):
        for local in range(10):
            learned.refused(Mailbox(f"u{local}", DomainName(f"d{number}.example")), NOW)
    assert len(learned) <= 100
    assert not unknown(learned, box("u9@d0.example"))
    assert unknown(learned, box("u9@d29.example"))


@given(
    st.lists(st.tuples(st.sampled_from("rtl"), st.integers(0, 3), st.integers(0, 5), st.integers(-9, 9)), max_size=60),
    st.integers(1, 4),
    st.integers(1, 6),
)
def test_what_was_told_is_what_is_there(steps: list[tuple[str, int, int, int]], of_domain: int, most: int) -> None:
    """Whoever applies all changes, and recalls them, has the same; no bound is ever exceeded."""
    learned, kept = Learned(of_domain, most), dict[tuple[DomainName, str], Verdict]()
    for what, domain, local, shift in steps:
        mailbox, now = Mailbox(f"u{local}", DomainName(f"d{domain}.example")), NOW + 10_000 * shift
        match what:
            case "r":
                learned.refused(mailbox, now)
            case "t":
                learned.taken(mailbox, now)
            case _:
                learned.is_unknown(mailbox, DAY, now)
        for key, verdict in learned.take_changes().items():
            if verdict is None:
                kept.pop(key, None)
            else:
                kept[key] = verdict
        assert len(learned) == len(kept)
        assert sum(verdict.is_unknown for verdict in kept.values()) <= most
    again = Learned()
    again.recall(kept.items(), NOW + YEAR)
    assert len(again) == len(kept)
    for (name, text), verdict in kept.items():
        assert again.is_unknown(Mailbox(text, name), YEAR * 2, NOW + YEAR) == verdict.is_unknown
