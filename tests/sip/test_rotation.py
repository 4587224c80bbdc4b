"""A password holds until the moment that was chosen, and its bindings go with it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack
from tests.sip.clients import Baresip, Credentials, Wire
from tests.system import Line, System, eventually

SOON = 3.0  # seconds


@pytest.fixture
def line(system: System) -> Line:
    """An enabled account with a phone on the internet that has registered."""
    line = system.new_line()
    assert status(system, line.credentials) == 200
    return line


def status(system: System, credentials: Credentials) -> int:
    place = system.internet
    with Wire(place.registrar, place.client) as phone:  # a program would take its time to start
        return phone.register(credentials).status


def schedule(line: Line, action: str, seconds: float = SOON) -> Any:
    due_at = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    body = {"action": action, "due_at": due_at}
    return line.api.post(f"{line.path}/credential-change", body).expect(201)


def wait_until_done(line: Line) -> datetime:
    """Wait until nothing is scheduled any more, and return when that was."""
    eventually(lambda: line.api.get(f"{line.path}/credential-change").status == 404)
    return datetime.now(UTC)


def new_credentials(answer: Any) -> Credentials:
    shown = answer["credentials"]
    return Credentials(shown["username"], shown["password"], shown["realm"])


def test_the_old_password_holds_until_the_moment_and_the_new_one_after(
    system: System, line: Line
) -> None:
    answer = schedule(line, "rotate")
    new = new_credentials(answer)
    assert status(system, line.credentials) == 200
    assert status(system, new) == 401
    assert line.bindings()
    assert wait_until_done(line) >= datetime.fromisoformat(answer["due_at"])
    eventually(lambda: line.bindings() == [])
    assert status(system, line.credentials) == 401
    assert status(system, new) == 200
    assert eventually(lambda: line.read()["convergence"]["converged"])


def test_it_happens_within_a_second_of_the_moment(line: Line) -> None:
    answer = schedule(line, "rotate")
    done = wait_until_done(line)
    due_at = datetime.fromisoformat(answer["due_at"])
    assert done - due_at < timedelta(seconds=1)


def test_a_real_phone_is_out_when_its_password_expires(system: System) -> None:
    line, place = system.new_line(), system.internet
    with Baresip(place.registrar, line.credentials, place.client) as phone:
        assert phone.register().accepted
        schedule(line, "expire", 3600)
        assert phone.register().accepted
        schedule(line, "expire", 1)
        wait_until_done(line)
        eventually(lambda: line.bindings() == [])
        assert not phone.register().accepted


def test_credentials_that_expire_at_once_refuse_the_phone_at_once(
    system: System, line: Line
) -> None:
    account = line.api.post(f"{line.path}/credentials/expire", wait=10).expect(200)
    assert account["convergence"]["converged"]
    assert line.bindings() == []
    assert status(system, line.credentials) == 401


def test_a_new_password_lets_a_phone_in_again(system: System, line: Line) -> None:
    line.api.post(f"{line.path}/credentials/expire", wait=10).expect(200)
    answer = line.api.post(f"{line.path}/credentials", wait=10).expect(200)
    assert status(system, new_credentials(answer)) == 200


def test_a_cancelled_rotation_leaves_the_phone_where_it_is(system: System, line: Line) -> None:
    new = new_credentials(schedule(line, "rotate", 3600))
    line.api.delete(f"{line.path}/credential-change").expect(204)
    assert line.bindings()
    assert status(system, line.credentials) == 200
    assert status(system, new) == 401


@pytest.mark.native  # adds a binding by hand
def test_an_account_without_credentials_keeps_no_binding(
    system: System, stack: Stack, line: Line
) -> None:
    line.api.post(f"{line.path}/credentials/expire", wait=10).expect(200)
    node = KamailioNode(stack.rpc_url, stack.rpc_root_token)
    aor = f"{line.credentials.username}@{system.realm}"
    node.call("ul.add", "location", aor, "sip:x@127.0.20.9:5060", 300, 1.0, "", 0, 0, 0)
    node.close()
    assert line.bindings()
    eventually(lambda: line.bindings() == [])


@pytest.mark.native  # stops the worker
@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_what_came_due_without_a_worker_is_done_when_it_returns(
    system: System, stack: Stack, line: Line, kill: bool
) -> None:
    schedule(line, "rotate", 3600)  # of which the worker knows
    stack.worker.kill() if kill else stack.worker.stop()
    try:
        answer = schedule(line, "rotate", 1)
        due_at = datetime.fromisoformat(answer["due_at"])
        eventually(lambda: datetime.now(UTC) > due_at)
        assert status(system, line.credentials) == 200
    finally:
        stack.worker.start()
        stack.worker.wait_ready()
    wait_until_done(line)
    eventually(lambda: line.bindings() == [])
    assert status(system, line.credentials) == 401
    assert status(system, new_credentials(answer)) == 200
