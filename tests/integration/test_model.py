"""A model of the service against the service: after every step, ours and Kamailio's tables agree
with what the model says, whatever was done in whatever order.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from provisioner import db
from tests.integration.conftest import Client

NUMBERS = [f"+39060000000{i}" for i in range(5)]
NAMES = ["Alpha", "Bravo", "Charlie"]
TARGETS = [*NUMBERS, "+390687654321"]
STATES = {"enable": "enabled", "disable": "disabled", "link-to-teams": "linked_to_teams"}
MOVES = {
    "ordered": {"porting", "active", "ceased"},
    "porting": {"active", "ceased"},
    "active": {"ceased"},
    "ceased": {"ordered"},
}


@dataclass
class Expected:
    """What an account ought to be."""

    name: str
    main_number: str
    channels: int = 2
    tariff: str = "pay_per_use"
    cloudfire_only: bool = False
    state: str = "disabled"
    additional: set[str] = field(default_factory=set)
    rules: dict[str, tuple[int, str | None]] = field(default_factory=dict)
    transfers: dict[str, str] = field(default_factory=dict)

    @property
    def numbers(self) -> set[str]:
        return {self.main_number} | self.additional


number = st.sampled_from(NUMBERS)
name = st.sampled_from(NAMES)
prefix = st.sampled_from(["", "+44"])


class Service(RuleBasedStateMachine):
    """Operations over HTTP, and what they ought to do."""

    client: ClassVar[Client]
    admin: ClassVar[db.Connection]

    def __init__(self) -> None:
        super().__init__()
        empty(self.admin)
        self.states: dict[str, str] = {}
        self.accounts: dict[int, Expected] = {}

    def owner(self, number: str) -> int | None:
        return next((i for i, one in self.accounts.items() if number in one.numbers), None)

    def pick(self, index: int) -> int | None:
        ids = sorted(self.accounts)
        return ids[index % len(ids)] if ids else None

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        answer = self.client(method, path, body)
        assert answer.status_code < 500, answer.json
        return answer.status_code, answer.json

    @rule(number=number, state=st.sampled_from(list(MOVES)))
    def add_number(self, number: str, state: str) -> None:
        status, _ = self.call("POST", "/numbers", {"number": number, "state": state})
        assert status == (409 if number in self.states else 201)
        self.states.setdefault(number, state)

    @rule(number=number, state=st.sampled_from(list(MOVES)))
    def move_number(self, number: str, state: str) -> None:
        status, _ = self.call("PATCH", f"/numbers/{number}", {"state": state})
        present = self.states.get(number)
        if present is None:
            assert status == 404
        elif state == present:
            assert status == 200
        elif self.owner(number) is not None or state not in MOVES[present]:
            assert status == 409
        else:
            assert status == 200
            self.states[number] = state

    @rule(number=number, name=name)
    def create(self, number: str, name: str) -> None:
        body = {"name": name, "main_number": number, "voice_channels": 2}
        status, account = self.call("POST", "/sip-accounts", body)
        free = self.states.get(number) == "active" and self.owner(number) is None
        if free and all(one.name != name for one in self.accounts.values()):
            assert status == 201
            self.accounts[account["id"]] = Expected(name, number)
        else:
            assert status in (409, 422)

    @rule(
        index=st.integers(0, 9),
        change=st.fixed_dictionaries(
            {},
            optional={
                "name": name,
                "voice_channels": st.integers(1, 9),
                "tariff": st.sampled_from(["flat", "pay_per_use"]),
                "cloudfire_only": st.booleans(),
            },
        ),
    )
    def configure(self, index: int, change: dict[str, Any]) -> None:
        account = self.pick(index)
        if account is None:
            return
        status, _ = self.call("PATCH", f"/sip-accounts/{account}", change)
        expected = self.accounts[account]
        others = {one.name for i, one in self.accounts.items() if i != account}
        if change.get("name") in others:
            assert status == 409
            return
        assert status == 200
        expected.name = change.get("name", expected.name)
        expected.channels = change.get("voice_channels", expected.channels)
        expected.tariff = change.get("tariff", expected.tariff)
        expected.cloudfire_only = change.get("cloudfire_only", expected.cloudfire_only)

    @rule(index=st.integers(0, 9), action=st.sampled_from(list(STATES)))
    def set_state(self, index: int, action: str) -> None:
        account = self.pick(index)
        if account is not None:
            assert self.call("POST", f"/sip-accounts/{account}/{action}")[0] == 200
            self.accounts[account].state = STATES[action]

    @rule(index=st.integers(0, 9), number=number)
    def link(self, index: int, number: str) -> None:
        account = self.pick(index)
        if account is None:
            return
        status, _ = self.call("PUT", f"/sip-accounts/{account}/numbers/{number}")
        expected = self.accounts[account]
        owner = self.owner(number)
        choosable = self.states.get(number) == "active" and owner is None
        if number not in self.states:
            assert status == 404
        elif owner == account:
            assert status == 200
        elif not choosable or self.leads_back(account, expected.transfers, linking=number):
            assert status == 409
        else:
            assert status == 200
            expected.additional.add(number)

    @rule(index=st.integers(0, 9), number=number)
    def unlink(self, index: int, number: str) -> None:
        account = self.pick(index)
        if account is None:
            return
        status, _ = self.call("DELETE", f"/sip-accounts/{account}/numbers/{number}")
        expected = self.accounts[account]
        if number == expected.main_number:
            assert status == 409
        elif number not in expected.additional:
            assert status == 404
        elif any(presented == number for _, presented in expected.rules.values()):
            assert status == 409
        else:
            assert status == 204
            expected.additional.remove(number)

    @rule(index=st.integers(0, 9), prefix=prefix, number=st.none() | number)
    def add_rule(self, index: int, prefix: str, number: str | None) -> None:
        account = self.pick(index)
        if account is None:
            return
        body = {"destination_prefix": prefix, "number": number}
        status, made = self.call("POST", f"/sip-accounts/{account}/caller-id-rules", body)
        expected = self.accounts[account]
        if number is not None and number not in expected.numbers:
            assert status == 422
        elif prefix in expected.rules:
            assert status == 409
        else:
            assert status == 201
            expected.rules[prefix] = (made["id"], number)

    @rule(index=st.integers(0, 9), prefix=prefix)
    def remove_rule(self, index: int, prefix: str) -> None:
        account = self.pick(index)
        if account is not None and prefix in self.accounts[account].rules:
            made, _ = self.accounts[account].rules.pop(prefix)
            path = f"/sip-accounts/{account}/caller-id-rules/{made}"
            assert self.call("DELETE", path)[0] == 204

    @rule(
        index=st.integers(0, 9),
        transfers=st.dictionaries(
            st.sampled_from(["unconditional", "no_answer", "unreachable"]),
            st.sampled_from(TARGETS),
        ),
    )
    def transfer(self, index: int, transfers: dict[str, str]) -> None:
        account = self.pick(index)
        if account is None:
            return
        body = {condition: {"target": target} for condition, target in transfers.items()}
        status, _ = self.call("PUT", f"/sip-accounts/{account}/call-transfer", body)
        expected = self.accounts[account]
        if ("unconditional" in transfers and len(transfers) > 1) or expected.numbers & set(
            transfers.values()
        ):
            assert status == 422
        elif self.leads_back(account, transfers):
            assert status == 409
        else:
            assert status == 200
            expected.transfers = transfers

    def leads_back(self, account: int, transfers: dict[str, str], linking: str = "") -> bool:
        """Follow every way that a call to the targets can go."""
        targets, seen = list(transfers.values()), set()
        while targets:
            target = targets.pop()
            owner = account if target == linking else self.owner(target)
            if owner == account:
                return True
            if owner is not None and owner not in seen:
                seen.add(owner)
                targets += self.accounts[owner].transfers.values()
        return False

    @rule(index=st.integers(0, 9))
    def rotate(self, index: int) -> None:
        account = self.pick(index)
        if account is not None:
            assert self.call("POST", f"/sip-accounts/{account}/credentials")[0] == 200

    @rule(index=st.integers(0, 9))
    def delete(self, index: int) -> None:
        account = self.pick(index)
        if account is None:
            return
        status, refusal = self.call("DELETE", f"/sip-accounts/{account}")
        expected = self.accounts[account]
        reasons = {
            code
            for code, holds in (
                ("account_not_disabled", expected.state != "disabled"),
                ("numbers_linked", expected.additional),
                ("caller_id_rules", expected.rules),
            )
            if holds
        }
        if reasons:
            assert status == 409
            assert {reason["code"] for reason in refusal["reasons"]} == reasons
        else:
            assert status == 204
            del self.accounts[account]

    @invariant()
    def our_tables_agree(self) -> None:
        rows = self.admin.execute("SELECT number, state, account_id FROM provisioner.numbers")
        assert {row["number"]: (row["state"], row["account_id"]) for row in rows.fetchall()} == {
            number: (state, self.owner(number)) for number, state in self.states.items()
        }

    @invariant()
    def kamailios_subscribers_agree(self) -> None:
        rows = self.admin.execute(
            "SELECT account_id, username, registration_allowed, channels, source_group"
            "  FROM kamailio.subscriber ORDER BY account_id"
        ).fetchall()
        assert [tuple(row.values()) for row in rows] == [
            (
                account,
                expected.main_number[1:],
                expected.state != "disabled",
                expected.channels,
                int(expected.cloudfire_only or expected.state == "linked_to_teams"),
            )
            for account, expected in sorted(self.accounts.items())
        ]

    @invariant()
    def what_kamailio_reads_of_calls_agrees(self) -> None:
        transfers = self.admin.execute("SELECT * FROM kamailio.call_transfer").fetchall()
        assert {(row["account_id"], row["condition"], row["target"]) for row in transfers} == {
            (account, condition, target)
            for account, expected in self.accounts.items()
            for condition, target in expected.transfers.items()
        }
        rules = self.admin.execute("SELECT * FROM kamailio.caller_id").fetchall()
        assert {tuple(row.values()) for row in rules} == {
            (account, prefix, number)
            for account, expected in self.accounts.items()
            for prefix, (_, number) in expected.rules.items()
        }


def empty(admin: db.Connection) -> None:
    """Forget all numbers and accounts."""
    admin.execute(
        "TRUNCATE provisioner.sip_accounts, provisioner.numbers, kamailio.subscriber CASCADE"
    )


@pytest.mark.timeout(300)
def test_the_service_does_what_its_model_does(client: Client, admin: db.Connection) -> None:
    Service.client, Service.admin = client, admin
    run_state_machine_as_test(
        Service,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
