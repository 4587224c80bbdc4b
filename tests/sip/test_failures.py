"""Crashes, restarts and edits by hand: work is repeated, never lost, and what differs is mended.

These tests stop and kill parts of the stack, so each puts back what it took.
"""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from provisioner import comparison, db, sync_store
from provisioner.errors import RpcFailed
from provisioner.kamailio import KamailioNode
from provisioner.stack.probes import answers_ok
from provisioner.stack.stack import Stack
from tests.sip.clients import Credentials, Registration, Sipp, Wire
from tests.sip.conftest import Database
from tests.sip.faults.outages import GATE, asked, held_credentials, stopped
from tests.system import Line, System, eventually

pytestmark = pytest.mark.native


@pytest.fixture
def line(system: System) -> Line:
    """An enabled account with a phone that has registered."""
    line = system.new_line()
    assert register(system, line) == 200
    return line


def register(system: System, line: Line, credentials: Credentials | None = None) -> int:
    """Register a phone on the internet; the status that it was told."""
    place = system.internet
    return Sipp(place.registrar, credentials or line.credentials, place.client).register().status


def converged(system: System) -> Any:
    """Wait until the node is up and has nothing left to do."""

    def look() -> bool:
        (node,) = system.api.get("/nodes").expect(200)["items"]
        return bool(node["converged"])

    return eventually(look)


# The worker.


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_what_was_changed_without_a_worker_is_done_when_it_returns(
    system: System, stack: Stack, line: Line, kill: bool
) -> None:
    with stopped(stack.worker, kill=kill):
        answer = line.api.post(f"{line.path}/disable", wait=0.2).expect(202)
        assert answer["convergence"]["pending_nodes"] == ["node1"]
        assert register(system, line) == 403
        assert line.bindings()
    eventually(lambda: line.bindings() == [])
    assert eventually(lambda: line.read()["convergence"]["converged"])


def test_a_node_has_one_worker_and_another_takes_over(
    system: System, stack: Stack, line: Line, database: Database
) -> None:
    def holder() -> Any:
        return database.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2"
        ).fetchall()

    command = [".venv/bin/provisioner", "worker"]
    second = subprocess.Popen(command, env=stack.environ, stderr=subprocess.DEVNULL)
    try:
        workers = (
            "SELECT count(*) AS n FROM pg_stat_activity"
            " WHERE application_name = 'provisioner worker'"
        )
        eventually(lambda: database.execute(workers.encode()).fetchall() == [{"n": 2}])
        (first_holder,) = holder()
        stack.worker.kill()
        eventually(lambda: holder() and holder() != [first_holder])
        line.disable()
        assert line.bindings() == []
    finally:
        second.terminate()
        second.wait()
        stack.worker.start()
        stack.worker.wait_ready()


def test_a_worker_stops_while_changes_keep_arriving(system: System, stack: Stack) -> None:
    line = system.new_line()
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            line.api.delete(f"{line.path}/registrations", wait=0)

    changes = threading.Thread(target=change)
    changes.start()
    try:
        before = stack.worker.pid
        stack.worker.stop(timeout=5)
        assert "SIGKILL" not in stack.worker.ending, f"{before} had to be killed"
    finally:
        stop.set()
        changes.join()
        stack.worker.start()
        stack.worker.wait_ready()


def test_a_node_that_is_added_again_is_caught_up_before_it_is_trusted(
    system: System, stack: Stack, line: Line
) -> None:
    """While it was forgotten no work was left for it."""
    with stopped(stack.worker):
        command = [".venv/bin/provisioner", "nodes", "forget", "node1"]
        subprocess.run(command, env=stack.environ, check=True)
        assert line.disable()["convergence"]["nodes_total"] == 0
        assert line.bindings() == []  # no node to ask
    converged(system)
    eventually(lambda: line.read()["convergence"]["converged"])
    assert line.bindings() == []


def test_a_register_in_flight_while_the_account_is_disabled_leaves_no_binding(
    system: System, database: Database
) -> None:
    """The query has read "enabled", the kick has passed, and only then the binding is saved."""
    line = system.new_line()
    place = system.internet
    answers: list[Registration] = []

    def register_now() -> None:
        answers.append(Sipp(place.registrar, line.credentials, place.client).register())

    phone = threading.Thread(target=register_now)
    with held_credentials(database):
        phone.start()
        eventually(lambda: asked(database))
        line.disable()
    phone.join()
    (answer,) = answers
    assert answer.status == 503
    assert answer.message
    assert answer.message.header("Retry-After") == "1"  # 10 would be for a database away
    assert line.bindings() == []


def test_a_phone_that_registers_right_after_rotation_stays(
    system: System, line: Line, database: Database
) -> None:
    """The second look, a second later, must not drop what the new password has bound."""
    username = line.credentials.username
    query = "SELECT 1 FROM provisioner.pending_kicks WHERE username = %s"

    def is_to_be_looked_at() -> bool:
        """Register after a rotation; whether that was before the second look."""
        answer = line.api.post(f"{line.path}/credentials", wait=10).expect(200)
        shown = answer["credentials"]
        new = Credentials(shown["username"], shown["password"], shown["realm"])
        with Wire(system.internet.registrar, system.internet.client) as phone:
            assert phone.register(new).status == 200
        return database.execute(query, [username]).fetchone() is not None

    eventually(is_to_be_looked_at)
    eventually(lambda: database.execute(query, [username]).fetchone() is None)
    assert len(line.bindings()) == 1


# Kamailio.


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_node_that_was_away_is_caught_up_when_it_returns(
    system: System, stack: Stack, line: Line, database: Database, kill: bool
) -> None:
    """Its binding was stored, so a restart alone would bring it back."""
    stored = "SELECT 1 FROM kamailio.location WHERE username = %s"
    eventually(lambda: database.execute(stored, [line.credentials.username]).fetchone(), within=20)
    with stopped(stack.kamailio, kill=kill):
        answer = line.api.post(f"{line.path}/disable", wait=0.2).expect(202)
        assert answer["state"] == "disabled"
        eventually(lambda: system.api.get("/nodes").json["items"][0]["state"] == "away")
        assert system.api.get("/nodes").json["items"][0]["last_error"]
        listed = line.api.get(f"{line.path}/registrations").expect(200)
        assert listed["unavailable_nodes"] == ["node1"]
    converged(system)
    assert line.bindings() == []
    assert database.execute(stored, [line.credentials.username]).fetchone() is None
    assert register(system, line) == 403


def test_a_dropped_binding_does_not_come_back_after_a_crash(
    system: System, stack: Stack, line: Line, database: Database
) -> None:
    stored = "SELECT 1 FROM kamailio.location WHERE username = %s"
    eventually(lambda: database.execute(stored, [line.credentials.username]).fetchone(), within=20)
    line.disable()
    with stopped(stack.kamailio, kill=True):
        pass
    converged(system)
    assert line.bindings() == []


def test_bindings_survive_a_restart(system: System, stack: Stack, line: Line) -> None:
    with stopped(stack.kamailio):
        pass
    converged(system)
    assert len(line.bindings()) == 1


def test_a_node_answers_nobody_before_it_has_read_its_bindings(
    stack: Stack, line: Line, database: Database
) -> None:
    stack.kamailio.stop()
    try:
        with held_bindings(database):
            stack.kamailio.start()
            eventually(lambda: asked(database))
            port = urlsplit(stack.rpc_url).port or 0
            with pytest.raises(AssertionError):
                eventually(lambda: answers_ok(port, "/healthz"), within=1)
    finally:
        stack.kamailio.start()
        stack.kamailio.wait_ready()
    assert len(line.bindings()) == 1


@contextmanager
def held_bindings(database: Database) -> Iterator[None]:
    """Let Kamailio wait for each row of its bindings until the block is left."""
    gate = f"PERFORM pg_advisory_lock_shared({GATE}), pg_advisory_unlock_shared({GATE});"
    for statement in (
        "CREATE FUNCTION kamailio.gate() RETURNS boolean LANGUAGE plpgsql"
        f" AS 'BEGIN {gate} RETURN true; END'",
        "CREATE POLICY gate ON kamailio.location TO kamailio USING (kamailio.gate())",
        "ALTER TABLE kamailio.location ENABLE ROW LEVEL SECURITY",
        f"SELECT pg_advisory_lock({GATE})",
    ):
        database.execute(statement.encode())
    try:
        yield
    finally:
        database.execute(f"SELECT pg_advisory_unlock({GATE})".encode())
        database.execute("ALTER TABLE kamailio.location DISABLE ROW LEVEL SECURITY")
        database.execute("DROP FUNCTION kamailio.gate CASCADE")


# PostgreSQL.


def test_without_the_database_phones_are_told_to_try_again(
    system: System, stack: Stack, line: Line
) -> None:
    with stopped(stack.postgres):
        with Wire(system.internet.registrar, system.internet.client, timeout=10) as wire:
            answer = wire.register(line.credentials).response
            assert answer
            assert answer.start_line == "SIP/2.0 503 Service Unavailable"
            assert answer.header("Retry-After")
        refused = line.api.get(line.path)
        assert refused.status == 503
        assert refused.headers["Retry-After"]
        assert refused.json["type"].endswith(":database-unavailable")
    eventually(lambda: register(system, line) == 200)
    assert eventually(lambda: system.api.get(line.path).status == 200)
    converged(system)
    line.disable()
    assert line.bindings() == []


# Edits by hand.


def test_an_account_that_was_enabled_by_hand_is_disabled_again(
    system: System, database: Database
) -> None:
    line = system.new_line(enabled=False)
    database.execute(
        "UPDATE kamailio.subscriber SET registration_allowed = true WHERE account_id = %s",
        [line.id],
    )
    register(system, line)
    eventually(lambda: register(system, line) == 403)
    eventually(lambda: line.bindings() == [])


def test_a_binding_that_was_added_by_hand_is_dropped(
    system: System, kamailio: KamailioNode
) -> None:
    line = system.new_line(enabled=False)
    aor = f"{line.credentials.username}@{system.realm}"
    contact = "sip:intruder@127.0.20.9:5060"

    def is_added() -> bool:
        """Whether it is there; a comparison may come between."""
        kamailio.call("ul.add", "location", aor, contact, 300, 1.0, "", 0, 0, 0)
        return bool(line.bindings())

    eventually(is_added)
    eventually(lambda: line.bindings() == [])


def test_a_binding_of_the_operators_own_row_stays(
    system: System, database: Database, kamailio: KamailioNode
) -> None:
    aor = f"39999@{system.realm}"
    database.execute(
        "INSERT INTO kamailio.subscriber (username, domain, ha1)"
        " VALUES ('39999', 'talkytime.test', md5('39999:talkytime.test:secret'))"
    )
    try:
        own = Credentials("39999", "secret", system.realm)
        place = system.internet
        assert Sipp(place.registrar, own, place.client).register().accepted
        before = compared_at(system)
        eventually(lambda: compared_at(system) > before)
        assert len(kamailio.bindings(aor)) == 1
    finally:
        kamailio.drop_bindings(aor)
        database.execute("DELETE FROM kamailio.subscriber WHERE username = '39999'")


def compared_at(system: System) -> str:
    return str(system.api.get("/nodes").expect(200)["items"][0]["last_compared_at"])


def test_an_allowlist_that_was_edited_by_hand_is_loaded_again(
    system: System, database: Database, kamailio: KamailioNode
) -> None:
    line = system.new_line(cloudfire_only=True)
    opened = (1, "127.0.20.0/24")

    def is_opened() -> bool:
        """Whether the node has loaded it; the comparison may have come between."""
        database.execute("UPDATE kamailio.address SET ip_addr = '127.0.20.0' WHERE network_id = 1")
        return reload_by_hand(kamailio) and opened in kamailio.allowlist()

    eventually(is_opened)
    wanted = (1, system.cloudfire_cidr)
    eventually(lambda: {one for one in kamailio.allowlist() if one[0] == 1} == {wanted})
    assert register(system, line) == 403


def test_an_address_that_kamailio_cannot_load_is_repaired_once(
    system: System, database: Database
) -> None:
    """A row of the operator's own with a mask of 0 is loaded as one address, or not at all."""
    repairs = "SELECT count(*) AS n FROM provisioner.repairs WHERE target = 'allowlist'"
    database.execute(
        "INSERT INTO kamailio.address (grp, ip_addr, mask) VALUES (1, '::ffff:10.0.0.0', 104),"
        " (1, '0.0.0.0', 0), (1, 'phone.example', 32)"
    )
    try:
        before = database.execute(repairs.encode()).fetchall()
        seen = compared_at(system)
        eventually(lambda: compared_at(system) > seen)
        seen = compared_at(system)
        eventually(lambda: compared_at(system) > seen)
        assert database.execute(repairs.encode()).fetchall() == before
        system.api.put(
            "/networks/cloudfire", {"cidrs": [system.cloudfire_cidr, "192.0.2.0/24"]}, wait=10
        ).expect(200)
    finally:
        database.execute("DELETE FROM kamailio.address WHERE network_id IS NULL")
        system.api.put("/networks/cloudfire", {"cidrs": [system.cloudfire_cidr]}, wait=10)


def reload_by_hand(kamailio: KamailioNode) -> bool:
    """Let the node load its allowlists; False where it just did."""
    try:
        kamailio.reload_allowlists()
    except RpcFailed:
        return False
    return True


# `provisioner sync`.


def sync(stack: Stack, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [".venv/bin/provisioner", "sync", *options],
        env=stack.environ | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_sync_prints_the_plan_and_applies_it_when_told(
    system: System, stack: Stack, database: Database
) -> None:
    line = system.new_line()
    username = line.credentials.username
    with stopped(stack.worker):
        assert sync(stack).stdout == "nothing to repair\n"
        database.execute("DELETE FROM kamailio.subscriber WHERE account_id = %s", [line.id])
        planned = f"insert subscriber {username}  (account {line.id})\n"
        assert sync(stack).stdout == f"{planned}1 to repair; run again with --apply\n"
        assert register(system, line) == 401
        assert sync(stack, "--apply").stdout == f"{planned}1 repaired\n"
        assert register(system, line) == 200
        assert sync(stack).stdout == "nothing to repair\n"


def test_sync_refuses_a_dangerous_plan_until_forced(
    system: System, stack: Stack, database: Database
) -> None:
    system.new_line()
    with stopped(stack.worker):
        database.execute(
            "INSERT INTO kamailio.subscriber (account_id, username, domain)"
            " VALUES (900001, '39900001', 'talkytime.test'), (900002, '39900002', 'talkytime.test')"
        )
        limits = {"SYNC_DELETE_SHARE": "0.001", "SYNC_DELETE_FLOOR": "1"}
        refused = sync(stack, "--apply", **limits)
        assert refused.returncode == 1
        assert "would delete 2 of" in refused.stderr
        rows = "SELECT count(*) AS n FROM kamailio.subscriber WHERE account_id > 900000"
        assert database.execute(rows.encode()).fetchall() == [{"n": 2}]
        assert sync(stack, "--apply", "--force", **limits).returncode == 0
        assert database.execute(rows.encode()).fetchall() == [{"n": 0}]


def test_of_many_bindings_the_table_tells_whose_they_are(
    stack: Stack, line: Line, kamailio: KamailioNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that had to list them itself would not answer in time."""
    username = line.credentials.username
    with db.connect(stack.database_url, autocommit=True, name="test") as connection:
        realm = line.credentials.realm
        assert username in comparison.bound_usernames(connection, kamailio, realm)
        eventually(lambda: sync_store.count_bindings(connection, 1), within=20)
        monkeypatch.setattr(comparison, "LISTED_BY_NODE", 0)
        monkeypatch.setattr(kamailio, "aors", lambda: pytest.fail("it was asked"))
        # The node writes it within ten seconds.
        eventually(
            lambda: username in comparison.bound_usernames(connection, kamailio, realm), within=20
        )
