"""Who is told of alarms, and who may read metrics."""

from __future__ import annotations

from tests.config.written import Folder

from restante.config.rules import alarm_rules
from restante.model import Mailbox
from restante.observe.telling import AlarmRules

RELAY = '[domains."*"]\naction = "relay"\n'
HOOK = "https://chat.example/hooks/restante?token=tanstaaf"


def test_without_a_table_nobody_is_told(folder: Folder) -> None:
    """They are in the log."""
    rules = alarm_rules(folder.load())
    assert rules == AlarmRules()
    assert rules.ways == frozenset()


def test_who_is_told(folder: Folder) -> None:
    """By each way that is named."""
    rules = alarm_rules(folder.load(f'[alarms]\nwebhook = "{HOOK}"\nmail = "ops@test.example"\nfree_space = "1GB"'))
    assert rules == AlarmRules(HOOK, Mailbox.parse("ops@test.example"), 1 << 30)
    assert rules.ways == {"webhook", "mail"}


def test_the_address_of_a_webhook_is_a_secret(folder: Folder) -> None:
    """Whoever has it can post there."""
    (problem,) = folder.problems(f'[alarms]\nwebhook = "{HOOK}#x"')
    assert "tanstaaf" not in problem


def test_letters_that_nobody_would_get_are_noted(folder: Folder) -> None:
    """Where no mail is sent to that domain."""
    alarms = '[alarms]\nmail = "ops@ops.example"\n'
    assert folder.notes(alarms) == (
        "alarms.mail: nothing will be written there: no mail is sent to ops.example from here",
    )
    assert folder.notes(f"{alarms}{RELAY}") == ()
    assert len(folder.notes(f'{alarms}[domains."ops.example"]\naction = "reject"')) == 1


def test_metrics_are_for_this_very_host(folder: Folder) -> None:
    """Unless other networks are named."""
    admin = '[admin]\naddress = "127.0.0.1"\n'
    settings = folder.load(admin)
    assert settings.admin is not None
    assert [str(network) for network in settings.admin.metrics_from] == ["127.0.0.0/8", "::1/128"]
    settings = folder.load(f'{admin}metrics_from = ["192.0.2.0/24"]')
    assert settings.admin is not None
    assert [str(network) for network in settings.admin.metrics_from] == ["192.0.2.0/24"]
