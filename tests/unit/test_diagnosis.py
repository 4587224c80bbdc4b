"""What is decided from which facts; real phones that fail for each cause are in tests/sip."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provisioner.attempt import Attempt, Reason
from provisioner.ban import Ban
from provisioner.diagnosis import Diagnosis, Facts, Registered, Verdict, diagnose
from provisioner.guard import Guessing
from provisioner.model import AccountState
from provisioner.sources import Sources

MADE = datetime(2026, 1, 1, tzinfo=UTC)
LATER = MADE + timedelta(hours=1)
OFFICE = Sources(cloudfire=False, own=("198.51.100.0/24",))
PHONE = Registered("Desk phone", "198.51.100.7:5060", "node1")
FINE = Facts(AccountState.ENABLED, Sources(cloudfire=False), MADE)


def attempt(reason: Reason, at: datetime = LATER, source: str = "203.0.113.7") -> Attempt:
    return Attempt("390612345678", at, reason, "udp", source, 5060, "REGISTER", "Desk phone")


def ban(source: str = "203.0.113.7", since: datetime = LATER) -> Ban:
    until = since + timedelta(seconds=60)
    return Ban(f"{source} 390612345678", source, "390612345678", since, until, 10)


def diagnosis(**changes: Any) -> Diagnosis:
    return diagnose(replace(FINE, **changes))


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict.NEVER_TRIED),
        ({"registered": [PHONE]}, Verdict.REGISTERED),
        ({"state": AccountState.DISABLED}, Verdict.ACCOUNT_DISABLED),
        ({"credentials_since": None}, Verdict.NO_CREDENTIALS),
        ({"attempts": [attempt(Reason.PASSWORD)]}, Verdict.WRONG_PASSWORD),
        ({"attempts": [attempt(Reason.IDENTITY)]}, Verdict.WRONG_IDENTITY),
        ({"attempts": [attempt(Reason.NETWORK)], "sources": OFFICE}, Verdict.NETWORK_NOT_ALLOWED),
        ({"sources": Sources(cloudfire=True)}, Verdict.NETWORK_NOT_ALLOWED),
        ({"bans": [ban()]}, Verdict.BANNED),
        ({"bans": [ban()], "attempts": [attempt(Reason.PASSWORD)]}, Verdict.BANNED),
        ({"guessing": Guessing(12, MADE, LATER)}, Verdict.NEVER_TRIED),
        ({"unavailable_nodes": ["node1"]}, Verdict.NODE_UNAVAILABLE),
        ({"pending_nodes": ["node1"]}, Verdict.NOT_CONVERGED),
        ({"attempts": [attempt(Reason.DISABLED)]}, Verdict.NOT_TRIED_SINCE),
    ],
    ids=lambda value: value if isinstance(value, Verdict) else "",
)
def test_each_cause_has_its_verdict(changes: Any, verdict: Verdict) -> None:
    assert diagnosis(**changes).verdict is verdict


@pytest.mark.parametrize("verdict", Verdict)
def test_only_where_nothing_stands_in_the_way_a_device_can_register(verdict: Verdict) -> None:
    examples = {
        Verdict.REGISTERED: diagnosis(registered=[PHONE]),
        Verdict.NEVER_TRIED: diagnosis(),
        Verdict.NOT_TRIED_SINCE: diagnosis(attempts=[attempt(Reason.DISABLED)]),
    }
    one = examples.get(verdict, diagnosis(state=AccountState.DISABLED))
    assert one.can_register is (verdict in examples)


def test_what_bars_every_device_comes_before_what_one_of_them_did_wrong() -> None:
    wrong = [attempt(Reason.PASSWORD)]
    assert diagnosis(state=AccountState.DISABLED, attempts=wrong).verdict == "account_disabled"
    assert diagnosis(credentials_since=None, attempts=wrong).verdict == "no_credentials"


def test_a_disabled_accounts_device_that_is_still_bound_does_not_hide_it() -> None:
    one = diagnosis(state=AccountState.DISABLED, registered=[PHONE])
    assert (one.verdict, one.can_register) == ("account_disabled", False)


def test_a_registered_device_is_told_of_beside_another_that_fails() -> None:
    one = diagnosis(registered=[PHONE], attempts=[attempt(Reason.PASSWORD)])
    assert one.verdict == "registered"
    assert [finding.code for finding in one.findings if not finding.ok] == ["wrong_password"]


def test_the_later_of_two_attempts_decides() -> None:
    early, late = attempt(Reason.PASSWORD), attempt(Reason.IDENTITY, LATER + timedelta(minutes=1))
    assert diagnosis(attempts=[early, late]).verdict == "wrong_identity"
    late = attempt(Reason.PASSWORD, LATER + timedelta(minutes=1))
    assert diagnosis(attempts=[attempt(Reason.IDENTITY), late]).verdict == "wrong_password"


def test_a_wrong_password_from_before_the_last_rotation_counts_no_more() -> None:
    earlier = attempt(Reason.PASSWORD, MADE - timedelta(seconds=1))
    assert diagnosis(attempts=[earlier]).verdict == "not_tried_since"


def test_a_wrong_password_in_the_second_of_the_rotation_counts() -> None:
    """A node knows whole seconds only."""
    since = MADE + timedelta(microseconds=900_000)
    one = diagnosis(attempts=[attempt(Reason.PASSWORD, MADE)], credentials_since=since)
    assert one.verdict == "wrong_password"


def test_a_source_that_is_allowed_by_now_stands_in_the_way_no_more() -> None:
    there = attempt(Reason.NETWORK, source="198.51.100.7")
    assert diagnosis(attempts=[there], sources=OFFICE).verdict == "not_tried_since"
    pending = diagnosis(attempts=[there], sources=OFFICE, pending_nodes=["node1"])
    assert pending.verdict == "not_converged"


def test_cloudfires_networks_and_an_accounts_own_are_both_looked_at() -> None:
    facts = {"sources": Sources(cloudfire=True, own=OFFICE.own), "cloudfire": ["192.0.2.0/24"]}
    for source, verdict in (
        ("192.0.2.1", "not_tried_since"),
        ("198.51.100.1", "not_tried_since"),
        ("203.0.113.7", "network_not_allowed"),
    ):
        one = diagnosis(attempts=[attempt(Reason.NETWORK, source=source)], **facts)
        assert one.verdict == verdict


def test_the_sentence_names_time_source_and_device() -> None:
    assert diagnosis(attempts=[attempt(Reason.PASSWORD)]).detail == (
        "The attempt of 2026-01-01T01:00:00Z from 203.0.113.7:5060/udp (Desk phone)"
        " had a wrong password."
    )


def test_an_ipv6_source_is_written_in_brackets() -> None:
    one = diagnosis(attempts=[attempt(Reason.PASSWORD, source="2001:db8::7")])
    assert "[2001:db8::7]:5060/udp" in one.detail


def test_a_ban_is_told_with_its_reason_and_end() -> None:
    assert diagnosis(bans=[ban()]).detail == (
        "203.0.113.7 is refused until 2026-01-01T01:01:00Z after 10 wrong passwords, the last at"
        " 2026-01-01T01:00:00Z: correct the password there, then wait or have the ban lifted."
    )


def test_of_many_bans_the_latest_are_told() -> None:
    many = [ban(f"203.0.113.{one}", LATER + timedelta(seconds=one)) for one in range(9)]
    told = [one.detail for one in diagnosis(bans=many).findings if one.code == "banned"]
    assert [detail.partition(" ")[0] for detail in told] == [
        "203.0.113.8",
        "203.0.113.7",
        "203.0.113.6",
    ]


def test_guessing_from_many_addresses_is_told_and_in_nobodys_way() -> None:
    one = diagnosis(guessing=Guessing(12, MADE, LATER), registered=[PHONE])
    (finding,) = [finding for finding in one.findings if finding.code == "guessing_suspected"]
    assert finding.ok
    assert "(12 within ten minutes, the last at 2026-01-01T01:00:00Z)" in finding.detail
    assert one.verdict == "registered"


def test_a_scheduled_change_is_told() -> None:
    one = diagnosis(changes_at=LATER)
    assert "credentials_change_scheduled" in [finding.code for finding in one.findings]
    assert one.verdict == "never_tried"


def test_every_problem_is_one_of_the_verdicts() -> None:
    one = diagnosis(
        state=AccountState.DISABLED,
        credentials_since=None,
        sources=Sources(cloudfire=True),
        attempts=[attempt(Reason.NETWORK), attempt(Reason.PASSWORD)],
        unavailable_nodes=["node2"],
        pending_nodes=["node1"],
    )
    problems = [finding.code for finding in one.findings if not finding.ok]
    assert problems == [
        "account_disabled",
        "no_credentials",
        "network_not_allowed",
        "network_not_allowed",
        "node_unavailable",
        "not_converged",
    ]
