"""Calls of nodes that are gone, and of which a node's last word was lost, become records."""

from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

from provisioner import db, sync_store
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.integration.databases import as_role

NODE = "node1/first"


@dataclass
class Calls:
    """Kamailio's words about calls, and what became of them."""

    admin: db.Connection
    kamailio: psycopg.Cursor[DictRow]
    worker: db.Connection
    account: int

    def place(self, node: str = NODE, called: str = "+390699999999", dialog: int = 1) -> int:
        """A call of the account that a node has let through."""
        row = self.kamailio.execute(
            "SELECT * FROM place_call(%s, '', %s, '', false, %s, 1, %s, '6162', 1)",
            [self.account, called, node, dialog],
        ).fetchone()
        assert row
        assert row["status"] == 0, row
        return int(row["call"])

    def answer(self, call: int) -> None:
        """It is answered."""
        self.kamailio.execute("SELECT answer_call(%s)", [call])

    def live(self) -> list[int]:
        """The calls in progress."""
        rows = self.admin.execute("SELECT DISTINCT call FROM kamailio.calls ORDER BY call")
        return [row["call"] for row in rows]

    def used(self) -> int:
        """How many channels of the account are in use."""
        row = self.admin.execute("SELECT kamailio.channels_used(%s) AS n", [self.account])
        return int(row.fetchone()["n"])  # type: ignore[index] # a function returns a row

    def records(self) -> list[Any]:
        """The call records."""
        return self.admin.execute("SELECT * FROM provisioner.call_records ORDER BY id").fetchall()

    def unheard(self, node: str, seconds: int) -> None:
        """The node was heard of last so long ago; calls were answered well before."""
        self.admin.execute(
            "UPDATE kamailio.node_leases SET seen_at = now() - make_interval(secs => %(s)s),"
            " expires = now() - make_interval(secs => %(s)s - 15) WHERE node = %(node)s",
            {"s": seconds, "node": node},
        )
        self.admin.execute(
            "UPDATE kamailio.calls SET started_at = now() - interval '1 h',"
            " answered_at = CASE WHEN answered_at IS NOT NULL THEN now() - interval '50 min' END"
            " WHERE node = %s",
            [node],
        )

    def watched(self, *, since: int, last: int) -> None:
        """Somebody has been looking for so many seconds, and did last so many seconds ago."""
        self.admin.execute(
            "INSERT INTO kamailio.watch (since, last_at) VALUES"
            " (now() - make_interval(secs => %(since)s), now() - make_interval(secs => %(last)s))"
            " ON CONFLICT (single) DO UPDATE"
            " SET since = excluded.since, last_at = excluded.last_at",
            {"since": since, "last": last},
        )

    def sweep(self) -> None:
        """Look for lost calls, as the worker does."""
        sync_store.record_lost_calls(self.worker)


@pytest.fixture
def calls(client: Client, admin: db.Connection, settings: Settings, stack: Stack) -> Any:
    account = client.new_account(voice_channels=5)
    client("POST", f"/sip-accounts/{account['id']}/enable")
    with (
        as_role(settings, stack, "kamailio") as session,
        db.connect(settings.database_url, autocommit=True) as worker,
    ):
        kamailio = session.cursor(row_factory=dict_row)
        found = Calls(admin, kamailio, worker, account["id"])
        found.watched(since=60, last=5)
        yield found


def test_the_calls_of_a_node_that_is_gone_are_recorded_to_when_it_was_heard_of(
    calls: Calls,
) -> None:
    call = calls.place()
    calls.answer(call)
    calls.place(dialog=2)
    calls.unheard(NODE, 46)
    calls.sweep()
    assert calls.live() == []
    answered, ringing = calls.records()
    assert answered["node_lost"]
    assert (answered["status"], ringing["status"]) == (200, 500)
    assert 3000 - 46 - 1 <= answered["duration"] <= 3000 - 46 + 1
    assert ringing["duration"] == 0
    assert calls.admin.execute("SELECT FROM kamailio.node_leases").fetchall() == []


def test_the_calls_of_a_node_that_was_heard_of_lately_go_on(calls: Calls) -> None:
    gone, there = calls.place("node1/first"), calls.place("node2/other", dialog=2)
    calls.unheard("node1/first", 40)
    calls.unheard("node2/other", 40)
    calls.sweep()
    assert calls.live() == [gone, there]
    calls.unheard("node1/first", 46)
    calls.sweep()
    assert calls.live() == [there]


@pytest.mark.parametrize(("since", "last"), [(40, 5), (600, 16)])
def test_after_a_time_without_the_database_nodes_are_given_time(
    calls: Calls, since: int, last: int
) -> None:
    """It has been looked for too short a time, or there is a gap in which nobody could look."""
    call = calls.place()
    calls.unheard(NODE, 300)
    calls.watched(since=since, last=last)
    calls.sweep()
    assert calls.live() == [call]
    calls.watched(since=60, last=5)
    calls.sweep()
    assert calls.live() == []


def test_two_workers_record_a_lost_call_once(calls: Calls, settings: Settings) -> None:
    calls.place()
    calls.unheard(NODE, 300)
    with db.connect(settings.database_url) as other:
        sync_store.record_lost_calls(other)
        calls.sweep()  # does not wait for the other one
        assert calls.records() == []
    calls.sweep()
    assert len(calls.records()) == 1


def test_a_true_end_that_is_told_later_corrects_the_record(calls: Calls) -> None:
    call = calls.place()
    calls.answer(call)
    calls.unheard(NODE, 300)
    calls.sweep()
    (before,) = calls.records()
    calls.kamailio.execute("SELECT end_call(%s, 200)", [call])
    (after,) = calls.records()
    assert not after["node_lost"]
    assert after["duration"] > before["duration"]


def test_a_node_that_has_restarted_has_no_calls_of_the_time_before(calls: Calls, node: int) -> None:
    sync_store.node_calls_itself(calls.worker, node, NODE)
    call = calls.place()
    sync_store.node_calls_itself(calls.worker, node, NODE)
    assert calls.live() == [call]
    sync_store.node_calls_itself(calls.worker, node, "node1/second")
    assert (calls.live(), calls.used()) == ([], 0)
    assert [record["node_lost"] for record in calls.records()] == [True]
    other = calls.place("node1/second")
    sync_store.node_calls_itself(calls.worker, node, "node1/second")
    assert calls.live() == [other]


def test_a_node_with_another_address_may_be_another_node(calls: Calls, node: int) -> None:
    sync_store.node_calls_itself(calls.worker, node, NODE)
    call = calls.place()
    sync_store.save_node(calls.worker, "away", "http://127.0.0.1:10/rpc")
    sync_store.node_calls_itself(calls.worker, node, "node2/other")
    assert calls.live() == [call]


def test_a_call_that_a_node_does_not_know_ends_when_it_was_known_last(
    calls: Calls, admin: db.Connection, node: int
) -> None:
    call = calls.place()
    calls.answer(call)
    calls.unheard(NODE, 0)
    admin.execute("UPDATE provisioner.nodes SET last_compared_at = now() - interval '20 min'")
    sync_store.forget_call(calls.worker, node, call)
    (record,) = calls.records()
    assert 1799 <= record["duration"] <= 1801
    assert record["node_lost"]
    sync_store.forget_call(calls.worker, node, call)
    assert len(calls.records()) == 1


def test_only_calls_of_a_disabled_account_end(
    calls: Calls, client: Client, node: int, admin: db.Connection
) -> None:
    other = client.new_account(OTHER_NUMBER)
    client("POST", f"/sip-accounts/{other['id']}/enable")
    call = calls.place(called=OTHER_NUMBER)
    calls.answer(call)
    usernames = [NUMBER[1:], OTHER_NUMBER[1:]]

    def to_end() -> dict[str, list[int]]:
        found = sync_store.calls_to_end(calls.worker, node, NODE, usernames)
        return {name: [one.call for one in ended] for name, ended in found.items()}

    client("POST", f"/sip-accounts/{other['id']}/credentials")
    assert to_end() == {}
    client("POST", f"/sip-accounts/{other['id']}/disable")
    assert to_end() == {OTHER_NUMBER[1:]: [call]}
    assert sync_store.calls_to_end(calls.worker, node, "node1/second", usernames) == {}
    client("DELETE", f"/sip-accounts/{other['id']}")
    assert to_end() == {OTHER_NUMBER[1:]: [call]}
    assert sync_store.calls_unwanted(calls.worker, node, NODE) == []
    admin.execute("DELETE FROM provisioner.pending_kicks")
    (row,) = sync_store.calls_unwanted(calls.worker, node, NODE)
    assert row["username"] == OTHER_NUMBER[1:]


def test_an_emergency_call_of_a_disabled_account_goes_on(
    calls: Calls, client: Client, node: int
) -> None:
    calls.kamailio.execute(
        "SELECT place_call(%s, '', '112', '112', true, %s, 1, 1, '6162', 1)",
        [calls.account, NODE],
    )
    client("POST", f"/sip-accounts/{calls.account}/disable")
    assert calls.live()
    assert sync_store.calls_to_end(calls.worker, node, NODE, [NUMBER[1:]]) == {}
    assert sync_store.calls_unwanted(calls.worker, node, NODE) == []


def test_what_a_disabled_account_transfers_goes_on_if_it_began_later(
    calls: Calls, client: Client, node: int, admin: db.Connection
) -> None:
    path = f"/sip-accounts/{calls.account}"
    client("PUT", f"{path}/call-transfer", {"unconditional": {"target": "+390687654321"}})
    in_progress = incoming(calls, 1)
    client("POST", f"{path}/disable")

    def to_end() -> list[int]:
        found = sync_store.calls_to_end(calls.worker, node, NODE, [NUMBER[1:]])
        return [one.call for one in found.get(NUMBER[1:], [])]

    assert to_end() == [in_progress]
    admin.execute("UPDATE provisioner.pending_kicks SET confirmed_at = now()")
    later = incoming(calls, 2)
    assert calls.live() == [in_progress, later]
    assert to_end() == [in_progress]
    admin.execute("DELETE FROM provisioner.pending_kicks")
    assert sync_store.calls_unwanted(calls.worker, node, NODE) == []


def incoming(calls: Calls, dialog: int) -> int:
    """A carrier's call to the account."""
    row = calls.kamailio.execute(
        "SELECT * FROM place_call(0, '+390611111111', %s, '', false, %s, 1, %s, '61', 1)",
        [NUMBER, NODE, dialog],
    ).fetchone()
    assert row
    assert row["target"] == "carrier", row
    return int(row["call"])
