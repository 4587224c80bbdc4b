"""A node that reads credentials from a replica: no stale answer, and no waiting for a slow one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from typing import Any

import psycopg
import pytest

from provisioner.stack.processes import Process
from provisioner.stack.stack import Stack
from tests.metrics import exposition
from tests.sip.clients import Credentials, Exchange, Wire
from tests.sip.faults.outages import frozen, stopped
from tests.system import Line, System, eventually, native_system

pytestmark = pytest.mark.native

ENVIRON = {
    "SYNC_INTERVAL": "60",
    "KAMAILIO_REQUESTS_PER_SECOND": "100000",
    "KAMAILIO_GUESSES_PER_MINUTE": "0",
}
STRANGER = Credentials("390699999999", "guessed", "talkytime.test")
BEFORE_THE_REPLICA = 5.0  # seconds: it is paused for as long as the test takes
HELD = 2.0  # seconds for which a query is held by a replica that hangs, by default
TAKEN_BACK = 5.0  # seconds within which a node that nobody vouches for reads from the primary


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a replica."""
    directory = tmp_path_factory.mktemp("stack")
    with Stack(directory, environ=ENVIRON, durable=False, replica=True) as stack:
        yield stack


@pytest.fixture(scope="module")
def system(stack: Stack) -> System:
    """The stack as its users see it."""
    return native_system(stack)


@pytest.fixture(autouse=True)
def used(system: System) -> None:
    """Wait until the node reads from its replica, whatever the test before has done to it."""
    eventually(lambda: (replica_of(system) or {}).get("state") == "used", within=20)


@pytest.fixture
def replica(stack: Stack) -> Process:
    """The replica's server."""
    assert stack.replica is not None
    return stack.replica


def replica_of(system: System) -> Any:
    """Tell what `GET /nodes` says of the node's replica."""
    (node,) = system.api.get("/nodes").expect(200)["items"]
    return node["replica"]


def answer(url: str, query: str, *parameters: object) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(query.encode(), parameters)
        row = found.fetchone() if found.description else None
        return row and row[0]


def asked_about(url: str, credentials: Credentials) -> bool:
    """Tell whether the latest that Kamailio asked a database by one of its sessions is about this
    name.
    """
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'kamailio' AND query LIKE %s"
    return bool(answer(url, query, f"%cred('{credentials.username}'%"))


def register(system: System, credentials: Credentials) -> Exchange:
    """Register as phones do, which answer a challenge that calls their nonce stale, too."""
    with phone(system) as wire:
        return registered(wire, credentials)


def phone(system: System) -> Wire:
    place = system.internet
    return Wire(place.registrar, place.client, timeout=20)


def registered(wire: Wire, credentials: Credentials) -> Exchange:
    answered = wire.exchange(wire.register_request(credentials))
    for _ in range(2):
        challenge = answered.challenge
        answered = wire.exchange(wire.register_request(credentials, challenge=challenge))
        if answered.status != 401 or answered.challenge.get("stale") != "true":
            break
    return answered


def wrong(line: Line) -> Credentials:
    return replace(line.credentials, password="guessed")


@contextmanager
def replay_paused(stack: Stack) -> Iterator[None]:
    answer(stack.replica_admin_url, "SELECT pg_wal_replay_pause()")
    state = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
    eventually(lambda: answer(stack.replica_admin_url, state))
    try:
        yield
    finally:
        answer(stack.replica_admin_url, "SELECT pg_wal_replay_resume()")


def test_credentials_are_read_from_the_replica_alone(system: System, stack: Stack) -> None:
    line = system.new_line()
    eventually(lambda: knows(stack, line))
    assert register(system, line.credentials).status == 200
    assert asked_about(stack.replica_admin_url, line.credentials)
    assert not asked_about(stack.database_admin_url, line.credentials)


def knows(stack: Stack, line: Line) -> bool:
    """Tell whether the replica shows that an account is enabled."""
    query = "SELECT registration_allowed FROM kamailio.subscriber WHERE username = %s"
    return bool(answer(stack.replica_admin_url, query, line.credentials.username))


def test_it_is_the_primary_that_refuses_whoever_asks(system: System, stack: Stack) -> None:
    line, disabled = system.new_line(), system.new_line(enabled=False)
    refused = {wrong(line): 401, disabled.credentials: 403, STRANGER: 401}
    for credentials, status in refused.items():
        refusal = register(system, credentials)
        assert refusal.status == status
        assert status == 403 or "stale" not in refusal.challenge
        assert asked_about(stack.replica_admin_url, credentials)
        assert asked_about(stack.database_admin_url, credentials)


def test_an_account_that_the_replica_does_not_show_yet_registers_at_once(
    system: System, stack: Stack
) -> None:
    """Even while the worker still vouches for the replica."""
    rotated = system.new_line()
    with frozen(stack.worker), replay_paused(stack):
        line = system.new_line(enabled=False)
        line.api.post(f"{line.path}/enable").expect(200)
        assert register(system, line.credentials).status == 200
        assert asked_about(stack.replica_admin_url, line.credentials)
        shown = rotated.api.post(f"{rotated.path}/credentials").expect(200)["credentials"]
        new = replace(rotated.credentials, password=shown["password"])
        assert register(system, new).status == 200


def test_what_is_taken_away_is_gone_at_once_though_the_replica_does_not_show_it(
    system: System, stack: Stack
) -> None:
    line, other = system.new_line(), system.new_line()
    assert register(system, line.credentials).status == 200
    with replay_paused(stack):
        began = monotonic()
        line.disable()
        assert monotonic() - began < BEFORE_THE_REPLICA
        assert line.bindings() == []
        assert register(system, line.credentials).status == 403
        assert register(system, other.credentials).status == 200
        eventually(lambda: replica_of(system)["state"] == "behind")
        eventually(lambda: replica_of(system)["lag_seconds"] > 1)
        behind = 'provisioner_node_replica{node="node1",state="behind"} 1.0'
        assert behind in exposition(stack.api_url)
    eventually(lambda: replica_of(system)["state"] == "used")
    third = system.new_line()
    eventually(lambda: knows(stack, third))
    assert register(system, third.credentials).status == 200
    assert not asked_about(stack.database_admin_url, third.credentials)


@pytest.mark.parametrize("called_before", [True, False])
def test_who_was_disabled_calls_nobody_though_the_replica_does_not_show_it(
    system: System, stack: Stack, *, called_before: bool
) -> None:
    """Even while the worker still vouches for the replica, and for what the node remembers."""
    line, callee = system.new_line(), system.new_line(enabled=False)
    eventually(lambda: knows(stack, line))
    if called_before:
        assert call(system, line.credentials, callee).status == 480
    with frozen(stack.worker), replay_paused(stack):
        line.api.post(f"{line.path}/disable", wait=0.1).expect(202)
        assert call(system, line.credentials, callee).status == 403
    assert asked_about(stack.replica_admin_url, line.credentials)


def call(system: System, credentials: Credentials, callee: Line) -> Exchange:
    """Call as phones do, which answer a challenge that calls their nonce stale, too."""
    with phone(system) as wire:
        for _ in range(2):
            answered = wire.invite(credentials, callee.number)
            if answered.status != 407 or answered.challenge.get("stale") != "true":
                break
    return answered


@pytest.mark.parametrize("delay", [0, 20, 200])
def test_nobody_is_let_in_who_was_disabled_however_late_the_replica_is(
    system: System, stack: Stack, delay: int
) -> None:
    line = system.new_line()
    with late(stack, delay):
        for _ in range(10):
            line.enable()
            assert register(system, line.credentials).status == 200
            line.disable()
            assert register(system, line.credentials).status == 403


@contextmanager
def late(stack: Stack, milliseconds: int) -> Iterator[None]:
    """Let the replica show each commit so much later."""
    set_delay(stack, milliseconds)
    try:
        yield
    finally:
        set_delay(stack, 0)


def set_delay(stack: Stack, milliseconds: int) -> None:
    answer(stack.replica_admin_url, f"ALTER SYSTEM SET recovery_min_apply_delay = {milliseconds}")
    answer(stack.replica_admin_url, "SELECT pg_reload_conf()")


def test_phones_register_through_the_primary_while_the_replica_is_away(
    system: System, replica: Process
) -> None:
    lines = [system.new_line() for _ in range(6)]
    with stopped(replica, kill=True):
        for line in lines:
            assert register(system, line.credentials).status == 200
        lines[0].disable()
        assert register(system, lines[0].credentials).status == 403
        eventually(lambda: replica_of(system)["state"] == "away")


def test_a_node_starts_without_its_replica_and_reads_from_it_later(
    system: System, stack: Stack, replica: Process
) -> None:
    line = system.new_line()
    with stopped(replica):
        stack.kamailio.kill()
        stack.kamailio.start()
        stack.kamailio.wait_ready()
        assert register(system, line.credentials).status == 200
    eventually(lambda: reads_from_replica(system, stack), within=20)


def reads_from_replica(system: System, stack: Stack) -> bool:
    line = system.new_line()
    assert register(system, line.credentials).status == 200
    return asked_about(stack.replica_admin_url, line.credentials)


def test_a_replica_that_hangs_is_waited_for_once(system: System, replica: Process) -> None:
    lines = [system.new_line() for _ in range(6)]
    with frozen(replica):
        assert all(register(system, line.credentials).status == 200 for line in lines)
        began = monotonic()
        lines[0].disable()
        assert monotonic() - began < HELD
        eventually(lambda: replica_of(system)["state"] == "away")
        for line in lines[1:]:
            began = monotonic()
            assert register(system, line.credentials).status == 200
            assert monotonic() - began < HELD


def test_without_its_primary_nobody_is_let_in_and_phones_try_again(
    system: System, stack: Stack
) -> None:
    """The worker cannot know then whether the replica shows everything."""
    lines = [system.new_line(), system.new_line()]
    with phone(system) as wire:

        def answers() -> list[Exchange]:
            return [registered(wire, line.credentials) for line in lines]

        with stopped(stack.postgres):
            eventually(lambda: all(one.status == 503 for one in answers()), within=TAKEN_BACK)
            for refusal in answers():
                assert refusal.response is not None
                assert refusal.response.header("Retry-After") == "10"
        eventually(lambda: all(one.status == 200 for one in answers()))


def test_a_replica_that_became_another_primary_is_not_believed(
    system: System, stack: Stack, replica: Process
) -> None:
    line = system.new_line()
    answer(stack.replica_admin_url, "SELECT pg_promote()")
    eventually(lambda: replica_of(system)["state"] == "behind")
    line.disable()
    assert register(system, line.credentials).status == 403
    replica.stop()
    answer(stack.database_admin_url, "SELECT pg_drop_replication_slot('replica')")
    replica.start()
    replica.wait_ready()
    eventually(lambda: replica_of(system)["state"] == "used")
