"""What a node remembers of credentials: it saves the query, and grants nothing that is not so."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from provisioner.errors import RpcFailed
from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.attacks.nodes import another_node
from tests.sip.clients import Credentials, Exchange, Wire
from tests.sip.conftest import Database
from tests.sip.faults.outages import asked, held_credentials, stopped
from tests.sip.faults.relay import Message
from tests.sip.faults.workshop import Workshop
from tests.system import Line, System, eventually

pytestmark = pytest.mark.native

BOUND = 3  # seconds: KAMAILIO_TRUST_SECONDS, where it is not set
ROUNDS = 5


def exchange(system: System, credentials: Credentials, place: str = "internet") -> Exchange:
    """Register a phone; what it was told last."""
    where = getattr(system, place)
    contact = f"<sip:{credentials.username}@{where.client}:5999>"  # one binding, however often
    with Wire(where.registrar, where.client) as wire:
        return wire.register(credentials, headers={"Contact": contact})


def register(system: System, line: Line, place: str = "internet") -> int:
    return exchange(system, line.credentials, place).status


def call(system: System, credentials: Credentials, callee: Line) -> Exchange:
    """Call somebody; what the caller was told last."""
    place = system.internet
    with Wire(place.registrar, place.client) as wire:
        return wire.invite(credentials, callee.number)


def entry(kamailio: KamailioNode, table: str, name: str) -> Any:
    """What stands in one of the node's tables; None where there is nothing."""
    try:
        return kamailio.call("htable.get", table, name)["item"]["value"]
    except RpcFailed:
        return None


def remembered(kamailio: KamailioNode, line: Line) -> Any:
    """What the node remembers of an account, good or not."""
    return entry(kamailio, "cached", line.credentials.username)


def fresh_as_of(kamailio: KamailioNode) -> int:
    return int(entry(kamailio, "fresh", "cache") or 0)


def is_fresh(kamailio: KamailioNode) -> bool:
    now = kamailio.clock()
    assert now is not None
    return 0 <= now - fresh_as_of(kamailio) < BOUND


def warm(system: System, kamailio: KamailioNode, line: Line) -> None:
    """Have a line's phone register until the node remembers it."""

    def is_warm() -> bool:
        assert register(system, line) == 200
        return bool(remembered(kamailio, line))

    eventually(is_warm)


@pytest.fixture
def line(system: System, kamailio: KamailioNode) -> Line:
    """An enabled account that the node remembers."""
    line = system.new_line()
    warm(system, kamailio, line)
    return line


@contextmanager
def registering(system: System, line: Line, database: Database) -> Iterator[list[Exchange]]:
    """Have a phone register whose query has read the row and waits for the end of the block."""
    answers: list[Exchange] = []
    phone = threading.Thread(target=lambda: answers.append(exchange(system, line.credentials)))
    with held_credentials(database):
        phone.start()
        eventually(lambda: asked(database))
        yield answers
    phone.join()


# What it saves.


def test_a_phone_that_registers_again_asks_no_query(
    system: System, kamailio: KamailioNode, database: Database, line: Line
) -> None:
    eventually(lambda: is_fresh(kamailio))
    with held_credentials(database):
        assert register(system, line) == 200
        assert not asked(database)
    kamailio.call("htable.delete", "cached", line.credentials.username)
    with registering(system, line, database):
        pass  # the control: it asks where nothing is remembered


def test_a_caller_who_is_remembered_is_not_looked_up(
    system: System, kamailio: KamailioNode, database: Database, line: Line
) -> None:
    callee = system.new_line()
    callee.disable()
    eventually(lambda: is_fresh(kamailio))
    with held_credentials(database):
        assert call(system, line.credentials, callee).status == 480
        assert not asked(database)
    kamailio.call("htable.delete", "cached", line.credentials.username)
    arguments = (system, line.credentials, callee)
    phone = threading.Thread(target=call, args=arguments)
    with held_credentials(database):  # the control: he is, where nothing is remembered
        phone.start()
        eventually(lambda: asked(database))
    phone.join()
    assert remembered(kamailio, line)


def test_rows_of_the_operators_own_are_not_remembered(
    system: System, kamailio: KamailioNode, database: Database, line: Line
) -> None:
    """They are changed without a word to the worker."""
    credentials = Credentials("39998", "secret", system.realm)
    database.execute(
        "INSERT INTO kamailio.subscriber (username, domain, ha1)"
        " VALUES ('39998', 'talkytime.test', md5('39998:talkytime.test:secret'))"
    )
    try:
        eventually(lambda: is_fresh(kamailio))
        assert exchange(system, credentials).status == 200
        assert remembered(kamailio, replace(line, credentials=credentials)) is None
    finally:
        kamailio.drop_bindings(f"39998@{system.realm}")
        database.execute("DELETE FROM kamailio.subscriber WHERE username = '39998'")


@pytest.mark.parametrize(("megabytes", "remembers"), [(64, False), (256, True)])
def test_memory_that_others_need_is_left_to_them(
    stack: Stack, system: System, tmp_path: Path, megabytes: int, remembers: bool
) -> None:
    line = system.new_line()
    environ = {"KAMAILIO_SHARED_MEMORY": str(megabytes)}
    with another_node(stack, system, tmp_path, environ=environ) as node:
        vouch(node.kamailio)
        assert register(node.system, line) == 200
        assert bool(remembered(node.kamailio, line)) is remembers


# What is taken away.


def test_a_disabled_account_is_refused_as_soon_as_its_change_has_converged(
    system: System, kamailio: KamailioNode, line: Line
) -> None:
    for _ in range(ROUNDS):
        line.disable()
        assert register(system, line) == 403
        line.enable()
        warm(system, kamailio, line)


def test_a_deleted_account_is_unknown_as_soon_as_its_change_has_converged(
    system: System, line: Line
) -> None:
    line.disable()
    line.api.delete(line.path, wait=10).expect(204)
    assert register(system, line) == 401


def test_networks_that_have_become_narrower_hold_as_soon_as_they_have_converged(
    system: System, line: Line
) -> None:
    line.api.patch(line.path, {"cloudfire_only": True}, wait=10).expect(200)
    assert register(system, line) == 403
    assert register(system, line, "cloudfire") == 200


def test_after_a_rotation_the_new_password_alone_holds(
    system: System, kamailio: KamailioNode, line: Line
) -> None:
    for _ in range(ROUNDS):
        old, line.credentials = line.credentials, rotate(line, wait=10)
        assert exchange(system, old).status == 401
        assert register(system, line) == 200
        warm(system, kamailio, line)


def rotate(line: Line, wait: float) -> Credentials:
    answer = line.api.post(f"{line.path}/credentials", wait=wait)
    shown = answer.json["credentials"]
    return Credentials(shown["username"], shown["password"], shown["realm"])


def disable(line: Line) -> None:
    line.disable()


def shut_out(line: Line) -> None:
    line.api.patch(line.path, {"cloudfire_only": True}, wait=10).expect(200)


@pytest.mark.parametrize("change", [disable, shut_out])
def test_a_query_under_way_does_not_bring_the_former_row_back(
    system: System, kamailio: KamailioNode, database: Database, change: Callable[[Line], None]
) -> None:
    """It has read the row, then the node is told of the change, and then it is remembered."""
    line = system.new_line()
    eventually(lambda: is_fresh(kamailio))
    with registering(system, line, database) as answers:
        change(line)
        assert remembered(kamailio, line) is None
    assert answers[0].status == 503
    assert remembered(kamailio, line)  # what it has left
    assert register(system, line) == 403
    assert line.bindings() == []


def test_a_former_password_that_was_being_looked_up_is_not_remembered(
    system: System, kamailio: KamailioNode, database: Database
) -> None:
    line = system.new_line()
    old = line.credentials
    eventually(lambda: is_fresh(kamailio))
    with registering(system, line, database) as answers:
        line.credentials = rotate(line, wait=10)
    assert answers[0].status == 503
    assert remembered(kamailio, line)
    assert exchange(system, old).status == 401
    assert register(system, line) == 200


def test_a_row_that_was_edited_by_hand_is_forgotten_when_it_is_repaired(
    system: System, kamailio: KamailioNode, database: Database
) -> None:
    line = system.new_line()
    forged = replace(line.credentials, password="forged")
    ha1 = f"{forged.username}:{forged.realm}:{forged.password}"

    def is_remembered() -> bool:
        """Whether it is; the comparison may have come between."""
        edit = "UPDATE kamailio.subscriber SET ha1 = md5(%s) WHERE account_id = %s"
        database.execute(edit, [ha1, line.id])
        return exchange(system, forged).status == 200 and bool(remembered(kamailio, line))

    eventually(is_remembered)
    edited = "SELECT 1 FROM kamailio.subscriber WHERE ha1 = md5(%s)"
    eventually(lambda: not database.execute(edited, [ha1]).fetchone())
    eventually(lambda: line.read()["convergence"]["converged"])
    assert exchange(system, forged).status == 401
    assert register(system, line) == 200


# Who vouches for it.


def vouch(kamailio: KamailioNode, seconds_ago: int = 0) -> None:
    """Say what the worker says."""
    now = kamailio.clock()
    assert now is not None
    kamailio.is_fresh("cache", now - seconds_ago)


def test_a_word_that_comes_late_or_is_of_another_clock_is_not_trusted(
    system: System, stack: Stack, kamailio: KamailioNode, database: Database, line: Line
) -> None:
    with stopped(stack.worker):
        for seconds_ago in (BOUND, 3600, -60):
            with held_credentials(database):
                vouch(kamailio)
                assert register(system, line) == 200
            vouch(kamailio, seconds_ago)
            with registering(system, line, database):
                pass


def test_before_a_change_has_reached_the_node_widening_and_a_new_password_hold_at_once(
    system: System, stack: Stack, kamailio: KamailioNode, line: Line
) -> None:
    """What is remembered is asked first, and never has the last word."""
    eventually(lambda: line.read()["convergence"]["converged"])
    with stopped(stack.worker, kill=True):
        old, line.credentials = line.credentials, rotate(line, wait=0.1)
        vouch(kamailio)
        assert exchange(system, old).status == 200  # the change has not converged
        place = system.internet
        with Wire(place.registrar, place.client) as wire:
            vouch(kamailio)
            challenge = wire.exchange(wire.register_request(line.credentials)).challenge
            request = wire.register_request(line.credentials, challenge=challenge)
            again = wire.exchange(request)
            assert again.status == 401
            assert again.challenge["stale"] == "true"
            request = wire.register_request(line.credentials, challenge=again.challenge)
            assert wire.exchange(request).status == 200


@pytest.mark.parametrize(("change", "status"), [("disable", 403), ("credentials", 407)])
def test_before_a_change_has_reached_the_node_it_holds_for_calls(
    system: System, stack: Stack, kamailio: KamailioNode, line: Line, change: str, status: int
) -> None:
    """The database counts the call, and knows better than what is remembered."""
    callee = system.new_line()
    callee.disable()
    eventually(lambda: line.read()["convergence"]["converged"])
    assert call(system, line.credentials, callee).status == 480
    with stopped(stack.worker, kill=True):
        line.api.post(f"{line.path}/{change}", wait=0.1)
        vouch(kamailio)
        assert register(system, line) == 200  # the control: the node has not been told
        outdated = call(system, line.credentials, callee)
        assert outdated.status == 407
        assert outdated.challenge["stale"] == "true"
        vouch(kamailio)
        again = call(system, line.credentials, callee)
        assert again.status == status
        if status == 407:
            assert "stale" not in again.challenge


def test_a_node_that_loses_its_worker_asks_the_database_and_turns_nobody_away(
    system: System, stack: Stack, kamailio: KamailioNode, line: Line, figures: Figures
) -> None:
    other = system.new_line()
    warm(system, kamailio, other)
    eventually(lambda: is_fresh(kamailio))
    with stopped(stack.worker, kill=True):
        lost = monotonic()
        line.api.post(f"{line.path}/disable", wait=0.1).expect(202)
        granted = [0.0]  # seconds after which a REGISTER was sent that was granted

        def is_refused() -> bool:
            sent = monotonic() - lost
            status = register(system, line)
            assert status in (200, 403)
            assert register(system, other) == 200
            if status == 200:
                granted.append(sent)
            return status == 403

        eventually(is_refused)
        figures("a node without its worker goes on with what it remembers (s)", granted[-1])
        assert granted[-1] <= BOUND


def test_a_worker_that_stops_leaves_nothing_to_be_trusted(
    system: System, stack: Stack, kamailio: KamailioNode, line: Line
) -> None:
    eventually(lambda: is_fresh(kamailio))
    with stopped(stack.worker):
        assert fresh_as_of(kamailio) == 0
        line.api.post(f"{line.path}/disable", wait=0.1).expect(202)
        assert register(system, line) == 403


def test_a_worker_that_returns_makes_the_node_forget_before_it_vouches(
    system: System, stack: Stack, kamailio: KamailioNode, database: Database
) -> None:
    """The work about the account was lost while it was away."""
    line = system.new_line()
    warm(system, kamailio, line)
    said: list[bytes] = []

    def watch(message: Message) -> None:
        if message.from_client:
            said.append(message.data)

    with Workshop(stack, watch).open() as workshop:
        line.api.post(f"{line.path}/disable", wait=0.1).expect(202)
        database.execute("DELETE FROM provisioner.pending_kicks")
        assert remembered(kamailio, line)
        with workshop.worker():
            eventually(lambda: is_fresh(kamailio), within=20)
            assert register(system, line) == 403
            assert remembered(kamailio, line) is None
    words = [data for data in said if b'"htable.flush"' in data or b'"fresh", "cache"' in data]
    *_, taken, flushed, vouched = words[: 1 + [b"flush" in word for word in words].index(True) + 1]
    assert b'["fresh", "cache", 0]' in taken
    assert b'["cached"]' in flushed
    assert b'["fresh", "cache", 1' in vouched


def test_a_node_that_is_behind_with_its_work_is_not_trusted(
    system: System, kamailio: KamailioNode, database: Database
) -> None:
    system.new_line()
    eventually(lambda: is_fresh(kamailio))
    database.execute(
        "INSERT INTO provisioner.pending_kicks"
        " (node_id, username, generation, drop_all, due_at, pending_since)"
        " SELECT id, '390', 1, true, now() + interval '50 s', now() - interval '90 s'"
        " FROM provisioner.nodes"
    )
    try:
        eventually(lambda: 0 < fresh_as_of(kamailio) <= (kamailio.clock() or 0) - 90)
    finally:
        database.execute("DELETE FROM provisioner.pending_kicks WHERE username = '390'")
    eventually(lambda: is_fresh(kamailio))
