"""What is decided of calls from which facts; refused calls are in tests/integration."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provisioner.call_diagnosis import CallDiagnosis, CallFacts, CallVerdict, diagnose
from provisioner.guard import Refusal, RefusalReason
from provisioner.model import AccountState

AT = datetime(2026, 1, 1, 1, tzinfo=UTC)
FINE = CallFacts(AccountState.ENABLED, has_credentials=True, channels_used=1, voice_channels=2)


def refusal(reason: RefusalReason, *, holds: bool = False, at: datetime = AT) -> Refusal:
    return Refusal(reason, "out", "+39899123456", at, 3, holds)


def diagnosis(**changes: Any) -> CallDiagnosis:
    return diagnose(replace(FINE, **changes))


CAUSES: list[tuple[dict[str, Any], CallVerdict]] = [
    ({}, CallVerdict.NEVER_REFUSED),
    ({"state": AccountState.DISABLED}, CallVerdict.ACCOUNT_DISABLED),
    ({"has_credentials": False}, CallVerdict.NO_CREDENTIALS),
    ({"channels_used": 2}, CallVerdict.CHANNELS_IN_USE),
    ({"spend_left": False}, CallVerdict.SPEND_CAP_REACHED),
    (
        {"refusals": [refusal(RefusalReason.DESTINATION, holds=True)]},
        CallVerdict.DESTINATION_NOT_ALLOWED,
    ),
    *(({"refusals": [refusal(reason)]}, CallVerdict.REFUSED_BEFORE) for reason in RefusalReason),
]


@pytest.mark.parametrize(("changes", "verdict"), CAUSES)
def test_each_cause_has_its_verdict(changes: Any, verdict: CallVerdict) -> None:
    assert diagnosis(**changes).verdict is verdict


def test_only_what_stops_every_call_is_in_the_way() -> None:
    stopped = {verdict for changes, verdict in CAUSES if not diagnosis(**changes).can_call}
    assert {verdict for _, verdict in CAUSES} == {*CallVerdict}
    assert stopped == {
        CallVerdict.ACCOUNT_DISABLED,
        CallVerdict.NO_CREDENTIALS,
        CallVerdict.CHANNELS_IN_USE,
        CallVerdict.SPEND_CAP_REACHED,
    }


def test_an_account_whose_limit_was_lowered_has_more_in_use_than_it_has() -> None:
    one = diagnosis(channels_used=3)
    assert (one.verdict, "3 of 2" in one.detail) == (CallVerdict.CHANNELS_IN_USE, True)


def test_teams_needs_no_password() -> None:
    teams = {"state": AccountState.LINKED_TO_TEAMS, "has_credentials": False}
    assert diagnosis(**teams).verdict is CallVerdict.NEVER_REFUSED


def test_what_is_not_allowed_still_comes_before_what_was_refused_later() -> None:
    later = refusal(RefusalReason.CALL_RATE, at=AT + timedelta(minutes=1))
    still = refusal(RefusalReason.DESTINATION, holds=True)
    assert diagnosis(refusals=[later, still]).verdict is CallVerdict.DESTINATION_NOT_ALLOWED


def test_a_refusal_names_number_time_reason_and_whether_it_holds() -> None:
    one = diagnosis(refusals=[refusal(RefusalReason.DESTINATION, holds=True)])
    assert one.detail == (
        "The call to +39899123456 at 2026-01-01T01:00:00Z was refused because the project may not"
        " call there; it would be refused now, too."
    )
    (finding,) = [one for one in one.findings if one.code == "call_refused_destination"]
    assert not finding.ok


def test_a_refusal_that_does_not_hold_any_more_stands_in_nobodys_way() -> None:
    one = diagnosis(refusals=[refusal(reason) for reason in RefusalReason])
    assert all(finding.ok for finding in one.findings)
    assert [finding.code for finding in one.findings[1:]] == [
        "call_refused_channels",
        "call_refused_destination",
        "call_refused_spend_cap",
        "call_refused_call_rate",
    ]
