"""Calls in progress, and the records that they leave: one a leg, each for its own account."""

import time
from typing import Any

import pytest

from provisioner.stack.stack import Stack
from tests.sip.calls.conftest import Device, MakeDevice, hang_up, talk
from tests.sip.faults.outages import stopped
from tests.sip.test_failures import converged
from tests.system import Line, System, eventually

SOMEBODY = "+390299000001"
CALLER = "+442079460000"


def live(line: Line) -> list[Any]:
    items: list[Any] = line.api.get(f"{line.path}/calls").expect(200)["items"]
    return items


def channels(line: Line) -> Any:
    return line.read()["channels"]["used"]


def records(line: Line, count: int) -> list[Any]:
    """The account's records, once there are so many, in the order of their ids."""

    def look() -> list[Any]:
        items = line.api.get(f"/call-records?account={line.id}").expect(200)["items"]
        return sorted(items, key=lambda item: int(item["id"])) if len(items) >= count else []

    found = eventually(look)
    assert len(found) == count
    return found


def what(item: Any) -> tuple[str, str, str]:
    return item["direction"], item["caller"], item["called"]


def test_both_parties_see_their_call_while_it_lasts(system: System, device: MakeDevice) -> None:
    caller, callee = system.new_line(), system.new_line()
    phone = device(callee)
    call = device(caller, registered=False).call(callee.number)
    incoming = phone.incoming()
    for line, direction in ((caller, "out"), (callee, "in")):
        (leg,) = live(line)
        assert what(leg) == (direction, caller.number, callee.number)
        assert leg["state"] == "ringing"
        assert channels(line) == 1
    talk(call, incoming)
    eventually(lambda: [live(line)[0]["state"] for line in (caller, callee)] == ["answered"] * 2)
    hang_up(call, incoming)
    eventually(lambda: not live(caller) and not live(callee))
    assert (channels(caller), channels(callee)) == (0, 0)


def test_a_call_leaves_a_record_for_each_party(system: System, device: MakeDevice) -> None:
    caller, callee = system.new_line(), system.new_line()
    phone = device(callee)
    call = device(caller, registered=False).call(callee.number)
    incoming = phone.incoming()
    began = time.monotonic()
    talk(call, incoming)
    hang_up(incoming, call)
    lasted = time.monotonic() - began
    for line, direction in ((caller, "out"), (callee, "in")):
        (record,) = records(line, 1)
        assert what(record) == (direction, caller.number, callee.number)
        assert record["status"] == 200
        assert not record["transferred"]
        assert 0 <= record["duration"] <= lasted + 1
        assert record["started_at"] <= record["answered_at"] <= record["ended_at"]
    assert records(caller, 1)[0]["call"] == records(callee, 1)[0]["call"]


def test_calls_with_the_carrier_leave_one_record_each(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    phone = device(line)
    call = phone.call("0299000001")
    incoming = carrier.incoming()
    talk(call, incoming)
    hang_up(call, incoming)
    call = carrier.call(line.number, caller=CALLER)
    incoming = phone.incoming()
    talk(call, incoming)
    hang_up(call, incoming)
    first, second = records(line, 2)
    assert what(first) == ("out", line.number, SOMEBODY)
    assert what(second) == ("in", CALLER, line.number)


def test_a_call_that_nobody_takes_is_recorded_with_its_status(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    phone = device(line, registered=False)
    call = phone.call(SOMEBODY)
    carrier.incoming().respond(486, "Busy Here")
    assert call.outcome() == (486, "Busy Here")
    call = phone.call(SOMEBODY)
    incoming = carrier.incoming()
    incoming.ring()
    call.provisional(180)
    call.cancel()
    incoming.wait_cancel()
    assert call.outcome() == (487, "Request Terminated")
    found = records(line, 2)
    assert [(each["status"], each["duration"], each["answered_at"]) for each in found] == [
        (486, 0, None),
        (487, 0, None),
    ]


def test_a_transferred_call_is_charged_to_who_transfers_it(system: System, carrier: Device) -> None:
    line = system.new_line()
    transfer = {"unconditional": {"enabled": True, "target": SOMEBODY}}
    line.api.put(f"{line.path}/call-transfer", transfer).expect(200)
    call = carrier.call(line.number, caller=CALLER)
    incoming = carrier.incoming()
    assert channels(line) == 1
    talk(call, incoming)
    hang_up(call, incoming)
    first, second = records(line, 2)
    assert (*what(first), first["transferred"]) == ("in", CALLER, line.number, False)
    assert (*what(second), second["transferred"]) == ("out", line.number, SOMEBODY, True)
    assert first["call"] == second["call"]


def test_a_hidden_caller_is_not_recorded_for_the_callee(system: System, device: MakeDevice) -> None:
    caller, callee = system.new_line(), system.new_line()
    caller.api.post(f"{caller.path}/caller-id-rules", {"number": None}).expect(201)
    phone = device(callee)
    call = device(caller, registered=False).call(callee.number)
    incoming = phone.incoming()
    talk(call, incoming)
    hang_up(call, incoming)
    (record,) = records(callee, 1)
    assert what(record) == ("in", "anonymous", callee.number)
    (record,) = records(caller, 1)
    assert what(record) == ("out", caller.number, callee.number)


def test_an_emergency_call_costs_nothing(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    call = device(line, registered=False).call("112")
    incoming = carrier.incoming()
    talk(call, incoming)
    hang_up(call, incoming)
    (record,) = records(line, 1)
    assert what(record) == ("out", line.number, "112")
    assert record["emergency"]
    assert float(record["cost_customer"]) == 0


@pytest.mark.native  # stops the database
def test_a_call_that_is_answered_while_the_database_is_away_is_recorded_as_answered(
    system: System, stack: Stack, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    phone = device(line, registered=False)
    call = phone.call(SOMEBODY)
    incoming = carrier.incoming()
    incoming.ring()
    call.provisional(180)
    with stopped(stack.postgres):
        talk(call, incoming)
    converged(system)
    hang_up(call, incoming)
    (record,) = records(line, 1)
    assert record["status"] == 200
    assert record["answered_at"]
