"""A real device fails for each cause, and the diagnosis names it."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from secrets import randbelow
from typing import Any

import pytest

from provisioner.kamailio import ATTEMPTS, KamailioNode
from provisioner.stack.stack import Stack
from tests.sip.clients import Baresip, Credentials, Sipp, Wire
from tests.system import Line, Place, System, eventually

ELSEWHERE = "192.0.2.0/24"
WRONG = "notthepassword"


def diagnosis(line: Line) -> Any:
    return line.api.get(f"{line.path}/diagnosis").expect(200)


def verdict(line: Line) -> str:
    return str(diagnosis(line)["verdict"])


def problems(line: Line) -> list[str]:
    return [finding["code"] for finding in diagnosis(line)["findings"] if not finding["ok"]]


def register(place: Place, credentials: Credentials) -> int:
    return Sipp(place.registrar, credentials, place.client).register().status


def wrong(line: Line) -> Credentials:
    return Credentials(line.credentials.username, WRONG, line.credentials.realm)


def test_a_new_account_is_disabled(system: System) -> None:
    line = system.new_line(enabled=False)
    assert register(system.internet, line.credentials) == 403
    answer = diagnosis(line)
    assert (answer["verdict"], answer["can_register"]) == ("account_disabled", False)
    (refused,) = [f for f in answer["findings"] if f["code"] == "refused_before"]
    assert system.internet.client in refused["detail"]


def test_nobody_has_tried(system: System) -> None:
    answer = diagnosis(system.new_line())
    assert (answer["verdict"], answer["can_register"]) == ("never_tried", True)


def test_a_registered_phone_is_named(system: System) -> None:
    line, place = system.new_line(), system.internet
    with Baresip(place.registrar, line.credentials, place.client) as phone:
        assert phone.register().accepted
        answer = diagnosis(line)
    assert (answer["verdict"], answer["can_register"]) == ("registered", True)
    assert phone.user_agent in answer["detail"]
    assert place.client in answer["detail"]


def test_a_wrong_password_is_named_with_who_had_it(system: System) -> None:
    line, place = system.new_line(), system.internet
    phone = Sipp(place.registrar, wrong(line), place.client)
    assert phone.register().status == 401
    answer = diagnosis(line)
    assert (answer["verdict"], answer["can_register"]) == ("wrong_password", False)
    assert phone.user_agent in answer["detail"]
    assert place.client in answer["detail"]


def test_a_wrong_password_counts_no_more_once_the_phone_registers(system: System) -> None:
    line = system.new_line()
    assert register(system.internet, wrong(line)) == 401
    assert register(system.internet, line.credentials) == 200
    assert verdict(line) == "registered"


def test_the_password_from_before_the_rotation_is_a_wrong_one(system: System) -> None:
    line = system.new_line()
    line.api.post(f"{line.path}/credentials", wait=10).expect(200)
    assert register(system.internet, line.credentials) == 401
    assert verdict(line) == "wrong_password"


@pytest.mark.parametrize(
    "fields", [{"allowed_networks": [ELSEWHERE]}, {"cloudfire_only": True}], ids=str
)
def test_a_network_that_is_not_allowed_is_named(system: System, fields: Any) -> None:
    line = system.new_line(**fields)
    assert register(system.internet, line.credentials) == 403
    answer = diagnosis(line)
    assert (answer["verdict"], answer["can_register"]) == ("network_not_allowed", False)
    assert system.internet.client in answer["detail"]


def test_a_network_that_is_allowed_by_now_is_not(system: System) -> None:
    line = system.new_line(allowed_networks=[ELSEWHERE])
    assert register(system.internet, line.credentials) == 403
    networks = [ELSEWHERE, f"{system.internet.client}/32"]
    line.api.patch(line.path, {"allowed_networks": networks}, wait=10).expect(200)
    assert verdict(line) == "not_tried_since"


def test_a_call_that_is_refused_is_named_too(system: System) -> None:
    line = system.new_line(allowed_networks=[ELSEWHERE])
    with Wire(system.internet.registrar, system.internet.client) as wire:
        assert wire.invite(line.credentials, "390000000000").status == 403
    assert verdict(line) == "network_not_allowed"


def test_credentials_that_expired_are_named(system: System) -> None:
    line = system.new_line()
    line.api.post(f"{line.path}/credentials/expire", wait=10).expect(200)
    assert register(system.internet, line.credentials) == 401
    answer = diagnosis(line)
    assert (answer["verdict"], answer["can_register"]) == ("no_credentials", False)


def test_a_phone_that_registers_anothers_address_is_named(system: System) -> None:
    line, other = system.new_line(), system.new_line()
    phone = Sipp(system.internet.registrar, line.credentials, system.internet.client)
    assert phone.register(as_user=other.credentials.username).status == 401
    assert verdict(line) == "wrong_identity"
    assert verdict(other) == "never_tried"


def test_a_guess_does_not_hide_that_the_phone_is_in_the_wrong_network(system: System) -> None:
    """Anybody can make mistakes in an account's name."""
    line = system.new_line(allowed_networks=[ELSEWHERE])
    assert register(system.internet, line.credentials) == 403
    assert register(system.internet, wrong(line)) == 401
    assert set(problems(line)) == {"network_not_allowed", "wrong_password"}


def test_a_challenge_that_is_not_answered_is_no_attempt(system: System) -> None:
    line = system.new_line()
    with Wire(system.internet.registrar, system.internet.client) as wire:
        request = wire.register_request(line.credentials)
        assert wire.exchange(request).status == 401
    assert verdict(line) == "never_tried"


def test_an_answer_to_a_stale_challenge_is_no_attempt(system: System) -> None:
    """The device answers the next challenge, if it knows the password."""
    line = system.new_line()
    with Wire(system.internet.registrar, system.internet.client) as wire:
        challenge = wire.exchange(wire.register_request(line.credentials)).challenge
        for expected in (200, 401):
            request = wire.register_request(line.credentials, challenge=challenge, expires=0)
            assert wire.exchange(request).status == expected
    assert verdict(line) == "never_tried"


@pytest.mark.parametrize(
    ("sent", "seen"),
    [('caf\udce9 "q" \\ | <b>', 'caf? "q" \\ | <b>'), ("x" * 500, "x" * 64)],
    ids=["odd bytes", "long"],
)
def test_a_devices_name_is_cut_and_made_printable(system: System, sent: str, seen: str) -> None:
    line = system.new_line()
    with Wire(system.internet.registrar, system.internet.client) as wire:
        assert wire.register(wrong(line), headers={"User-Agent": sent}).status == 401
    assert diagnosis(line)["detail"].endswith(f"({seen}) had a wrong password.")


def test_a_scheduled_change_is_told(system: System) -> None:
    line = system.new_line()
    due_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"action": "expire", "due_at": due_at}
    line.api.post(f"{line.path}/credential-change", body).expect(201)
    codes = [finding["code"] for finding in diagnosis(line)["findings"]]
    assert "credentials_change_scheduled" in codes
    assert verdict(line) == "never_tried"


# What an attacker can do to it.


@pytest.fixture
def node(stack: Stack) -> Iterator[KamailioNode]:
    """The node's own interface."""
    node = KamailioNode(stack.rpc_url, stack.rpc_root_token)
    yield node
    node.close()


def remembered(node: KamailioNode) -> set[str]:
    """All that the node remembers of accounts."""
    return {
        item["value"]
        for table in ATTEMPTS
        for slot in node.call("htable.dump", table)
        for item in slot["slot"]
        if item["name"] != "nobody"
    }


@pytest.mark.native  # looks into the node's memory
def test_thousands_of_unknown_names_leave_nothing(system: System, node: KamailioNode) -> None:
    line = system.new_line()
    assert register(system.internet, wrong(line)) == 401
    before = remembered(node)
    assert before
    with Wire(system.internet.registrar, system.internet.client) as wire:
        for number in range(2000):
            stranger = Credentials(f"99{number:08d}", WRONG, system.realm)
            assert wire.register(stranger).status == 401
        for odd in ("admin", "9" * 16, "39'--", "0"):
            assert wire.register(Credentials(odd, WRONG, system.realm)).status == 401
    assert remembered(node) == before
    assert verdict(line) == "wrong_password"


def test_accounts_that_share_a_slot_are_not_confused(system: System) -> None:
    number = system.new_number()
    slot = slot_of(number)
    candidates = (f"+49{i:010d}" for i in count(randbelow(10**9)))
    other = next(n for n in candidates if slot_of(n) == slot)
    lines = [new_line(system, number), new_line(system, other)]
    for one, another in (lines, lines[::-1]):
        assert register(system.internet, wrong(one)) == 401
        assert verdict(one) == "wrong_password"
        assert verdict(another) == "never_tried"


def slot_of(number: str) -> str:
    username = number.removeprefix("+")
    return hashlib.md5(username.encode(), usedforsecurity=False).hexdigest()[:4]


def new_line(system: System, number: str) -> Line:
    """An enabled account on a chosen number."""
    system.api.post("/numbers", {"number": number, "state": "active"})
    body = {"name": f"Line {number}", "main_number": number, "voice_channels": 1}
    account = system.api.post("/sip-accounts", body).expect(201)
    shown = account["credentials"]
    credentials = Credentials(shown["username"], shown["password"], shown["realm"])
    line = Line(system.api, account["id"], number, credentials)
    line.enable()
    return line


# What is away.


@pytest.mark.native  # stops Kamailio
def test_a_node_that_is_away_is_named(system: System, stack: Stack) -> None:
    line = system.new_line()
    stack.kamailio.stop()
    try:
        answer = diagnosis(line)
        assert (answer["verdict"], answer["can_register"]) == ("node_unavailable", False)
        assert "node1" in answer["detail"]
    finally:
        stack.kamailio.start()
        stack.kamailio.wait_ready()
    eventually(lambda: verdict(line) == "never_tried")


@pytest.mark.native  # stops the worker
def test_a_change_that_a_node_has_yet_to_confirm_is_named(system: System, stack: Stack) -> None:
    line = system.new_line()
    stack.worker.stop()
    try:
        line.api.post(f"{line.path}/disable").expect(200)
        assert problems(line) == ["account_disabled", "not_converged"]
        line.api.post(f"{line.path}/enable").expect(200)
        assert verdict(line) == "not_converged"
    finally:
        stack.worker.start()
        stack.worker.wait_ready()
    eventually(lambda: verdict(line) == "never_tried")
