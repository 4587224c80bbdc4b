"""Calls end when their account is disabled, at both sides; trunks are loaded by every node."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from provisioner.errors import RpcFailed
from provisioner.kamailio import KamailioNode
from tests.sip.clients import Baresip
from tests.sip.conftest import Database
from tests.system import Line, System, eventually

pytestmark = pytest.mark.native

# Seconds for a phone's program to say so. That its call ends within one: calls/test_state.py.
TOLD = 5.0


@contextmanager
def phones(system: System, caller: Line, callee: Line) -> Iterator[tuple[Baresip, Baresip]]:
    """Two phones, of which the first one's call rings at the second one."""
    here, there = system.internet, system.cloudfire
    with (
        Baresip(here.registrar, caller.credentials, here.client) as calling,
        Baresip(there.registrar, callee.credentials, there.client) as called,
    ):
        assert calling.register().accepted
        assert called.register().accepted
        calling.dial(f"sip:{callee.credentials.username}@{system.realm}")
        called.wait_incoming(timeout=10)
        yield calling, called


def legs(database: Database, *lines: Line) -> list[dict[str, Any]]:
    """The accounts' calls in progress."""
    query = "SELECT * FROM kamailio.calls WHERE account_id = ANY (%s) ORDER BY id"
    return database.execute(query, [[line.id for line in lines]]).fetchall()


def answered(database: Database, *lines: Line) -> bool:
    """Tell whether all calls in progress are answered, as far as the database has heard."""
    return all(leg["answered_at"] for leg in legs(database, *lines))


def records(database: Database, line: Line) -> list[dict[str, Any]]:
    """The account's call records."""
    query = "SELECT * FROM provisioner.call_records WHERE account_id = %s ORDER BY id"
    return database.execute(query, [line.id]).fetchall()


@pytest.mark.parametrize("which", ["caller", "callee"])
def test_a_call_ends_at_both_sides_when_an_account_is_disabled(
    system: System, database: Database, which: str
) -> None:
    caller, callee = system.new_line(), system.new_line()
    with phones(system, caller, callee) as (calling, called):
        called.answer()
        calling.wait_established(timeout=10)
        eventually(lambda: answered(database, caller, callee))
        (caller if which == "caller" else callee).disable()
        calling.wait_closed(timeout=TOLD)
        called.wait_closed(timeout=TOLD)
        eventually(lambda: not legs(database, caller, callee))
    (record,) = records(database, callee)
    assert (record["status"], record["node_lost"]) == (200, False)


def test_of_many_calls_that_are_ended_none_is_left(system: System, database: Database) -> None:
    """Where the phones answer at once Kamailio does not always say that a call is over."""
    for _ in range(15):
        caller, callee = system.new_line(), system.new_line()
        with phones(system, caller, callee) as (calling, called):
            called.answer()
            calling.wait_established(timeout=10)
            eventually(partial(answered, database, caller, callee))
            callee.disable()
            assert not legs(database, caller, callee)


@pytest.mark.parametrize("which", ["caller", "callee"])
def test_a_call_that_rings_is_refused_when_an_account_is_disabled(
    system: System, database: Database, which: str
) -> None:
    caller, callee = system.new_line(), system.new_line()
    with phones(system, caller, callee) as (calling, called):
        (caller if which == "caller" else callee).disable()
        assert "403" in calling.wait_closed(timeout=TOLD)
        called.wait_closed(timeout=TOLD)
        eventually(lambda: not legs(database, caller, callee))
    (record,) = records(database, callee)
    assert record["status"] >= 400
    assert (record["answered_at"], record["node_lost"]) == (None, False)


def test_a_new_password_ends_no_call(system: System, database: Database) -> None:
    caller, callee = system.new_line(), system.new_line()
    with phones(system, caller, callee) as (calling, called):
        called.answer()
        calling.wait_established(timeout=10)
        caller.api.post(f"{caller.path}/credentials", wait=10).expect(200)
        pending = "SELECT FROM provisioner.pending_kicks WHERE username = %s"
        eventually(lambda: not database.execute(pending, [caller.credentials.username]).fetchall())
        assert len(legs(database, caller, callee)) == 2


def test_a_call_that_the_node_does_not_know_is_recorded_as_lost(
    system: System, database: Database
) -> None:
    caller, callee = system.new_line(), system.new_line()
    with phones(system, caller, callee) as (calling, called):
        called.answer()
        calling.wait_established(timeout=10)
        eventually(lambda: answered(database, caller, callee))
        past = "UPDATE kamailio.calls SET started_at = now() - interval '1 min' WHERE call = %s"
        (known, _) = legs(database, caller, callee)
        database.execute(past, [known["call"]])
        copy = (
            "INSERT INTO kamailio.calls (call, account_id, account_number, customer_id, project_id,"
            " tariff, direction, counted, emergency, caller, called, node, dialog_entry, dialog_id,"
            " sip_call_id, sip_cseq, started_at, answered_at)"
            " SELECT -call, account_id, account_number, customer_id, project_id, tariff, direction,"
            " counted, emergency, caller, called, node, dialog_entry, dialog_id + 100000,"
            " sip_call_id, sip_cseq, started_at, started_at FROM kamailio.calls WHERE call = %s"
        )
        database.execute(copy, [known["call"]])
        lost = [record["call"] for record in eventually(lambda: records(database, callee))]
        assert lost == [-known["call"]]
        assert [leg["call"] for leg in legs(database, caller, callee)] == 2 * [known["call"]]
    told = {record["call"]: record["node_lost"] for record in records(database, callee)}
    assert told == {known["call"]: False, -known["call"]: True}


def removed(kamailio: KamailioNode, uri: str) -> bool:
    """Take a trunk out of the node's memory by hand; False so soon after a reload."""
    try:
        kamailio.call("dispatcher.remove", 1, uri)
    except RpcFailed as error:
        assert error.message == "Ongoing reload"  # noqa: PT017 - the other outcome is none
        return False
    return True


def test_a_trunk_is_loaded_changed_and_dropped(system: System, kamailio: KamailioNode) -> None:
    def loaded() -> list[tuple[str, int, bool]]:
        found = kamailio.trunks() or set()
        return [(one.uri, one.priority, one.asked) for one in found if "127.0.77.7" in one.uri]

    body = {"name": "Test trunk", "kind": "carrier", "host": "127.0.77.7", "transport": "tcp"}
    trunk = system.api.post("/trunks", body, wait=10).expect(201)
    try:
        uri = "sip:127.0.77.7:5060;transport=tcp"
        assert loaded() == [(uri, 0, False)]
        path = f"/trunks/{trunk['id']}"
        system.api.patch(path, {"priority": 7, "keepalive": True}, wait=10).expect(200)
        assert loaded() == [(uri, 7, True)]
        eventually(lambda: removed(kamailio, uri))
        eventually(loaded)  # the comparison has found it
    finally:
        system.api.delete(f"/trunks/{trunk['id']}", wait=10).expect(204)
    assert loaded() == []
