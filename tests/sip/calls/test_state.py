"""The calls of an account that is disabled or deleted end, at both sides, within a second."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sip.calls.conftest import Device, MakeDevice, hang_up, talk
from tests.sip.clients import Call
from tests.system import Line, System

SOMEBODY = "+390299000001"
AT_ONCE = 1.0  # seconds


def disable(line: Line) -> None:
    line.api.post(f"{line.path}/disable").expect(200)


def delete(line: Line) -> None:
    disable(line)
    line.api.delete(line.path).expect(204)


def assert_ended_at_once(
    change: Callable[[Line], None], line: Line, *ends: Callable[[float], object]
) -> None:
    """Change an account; meanwhile each of `ends` waits for so many seconds for what comes of it,
    whenever the change is answered.
    """
    with ThreadPoolExecutor() as portal:
        began = time.monotonic()
        changed = portal.submit(change, line)
        for end in ends:
            end(began + AT_ONCE - time.monotonic())
        changed.result()


def byes(*sides: Call) -> list[Callable[[float], object]]:
    """What waits for the end of a call at each of its sides."""

    def bye(side: Call) -> Callable[[float], object]:
        return lambda left: side.wait_bye(timeout=left)

    return [bye(side) for side in sides]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("direction", ["out", "in"])
def test_disabling_ends_a_call_in_progress_at_both_sides(
    system: System, device: MakeDevice, carrier: Device, direction: str, transport: str
) -> None:
    line = system.new_line()
    phone = device(line, transport="tcp" if transport == "tcp" else "udp")
    caller, callee = (phone, carrier) if direction == "out" else (carrier, phone)
    call = caller.call(SOMEBODY if direction == "out" else line.number)
    incoming = callee.incoming()
    talk(call, incoming)
    assert_ended_at_once(disable, line, *byes(call, incoming))


def test_disabling_ends_a_call_between_two_accounts(system: System, device: MakeDevice) -> None:
    caller, callee = system.new_line(), system.new_line()
    phone = device(callee)
    call = device(caller).call(callee.number)
    incoming = phone.incoming()
    talk(call, incoming)
    assert_ended_at_once(disable, callee, *byes(call, incoming))


@pytest.mark.parametrize("direction", ["out", "in"])
def test_disabling_ends_a_call_that_rings(
    system: System, device: MakeDevice, carrier: Device, direction: str
) -> None:
    line = system.new_line()
    phone = device(line)
    caller, callee = (phone, carrier) if direction == "out" else (carrier, phone)
    call = caller.call(SOMEBODY if direction == "out" else line.number)
    incoming = callee.incoming()
    incoming.ring()
    call.provisional(180)
    told: list[tuple[int, str]] = []
    assert_ended_at_once(
        disable,
        line,
        lambda left: told.append(call.outcome(timeout=left)),
        lambda left: incoming.wait_cancel(timeout=left),
    )
    assert told == [(403, "Account Disabled")]


def test_another_accounts_call_goes_on(system: System, device: MakeDevice, carrier: Device) -> None:
    line, other = system.new_line(), system.new_line()
    ending, staying = device(line), device(other)
    call = ending.call(SOMEBODY)
    incoming = carrier.incoming()
    talk(call, incoming)
    stays = staying.call(SOMEBODY)
    also = carrier.incoming()
    talk(stays, also)
    line.disable()
    call.wait_bye()
    incoming.wait_bye()
    hang_up(also, stays)


def test_a_transferred_call_of_a_disabled_account_ends(system: System, carrier: Device) -> None:
    """The call goes from the carrier to the carrier, at the account's cost."""
    line = system.new_line()
    transfer = {"unconditional": {"enabled": True, "target": SOMEBODY}}
    line.api.put(f"{line.path}/call-transfer", transfer).expect(200)
    call = carrier.call(line.number)
    incoming = carrier.incoming()
    talk(call, incoming)
    assert_ended_at_once(disable, line, *byes(call, incoming))


def test_an_account_that_was_deleted_with_a_call_in_progress(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    call = device(line).call(SOMEBODY)
    incoming = carrier.incoming()
    talk(call, incoming)
    assert_ended_at_once(delete, line, *byes(call, incoming))


def test_an_emergency_call_of_a_disabled_account_goes_on(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    call = device(line).call("112")
    incoming = carrier.incoming()
    talk(call, incoming)
    line.disable()
    hang_up(incoming, call)
