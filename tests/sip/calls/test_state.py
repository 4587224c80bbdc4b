"""The calls of an account that is disabled or deleted end, at both sides, within a second."""

import time

import pytest

from tests.sip.calls.conftest import Device, MakeDevice, hang_up, talk
from tests.system import Line, System

SOMEBODY = "+390299000001"
AT_ONCE = 1.0  # seconds


def disable(line: Line) -> None:
    line.api.post(f"{line.path}/disable").expect(200)


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
    began = time.monotonic()
    disable(line)
    for side in (call, incoming):
        side.wait_bye(timeout=began + AT_ONCE - time.monotonic())


def test_disabling_ends_a_call_between_two_accounts(system: System, device: MakeDevice) -> None:
    caller, callee = system.new_line(), system.new_line()
    phone = device(callee)
    call = device(caller).call(callee.number)
    incoming = phone.incoming()
    talk(call, incoming)
    began = time.monotonic()
    disable(callee)
    for side in (call, incoming):
        side.wait_bye(timeout=began + AT_ONCE - time.monotonic())


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
    began = time.monotonic()
    disable(line)
    left = began + AT_ONCE - time.monotonic()
    assert call.outcome(timeout=left) == (403, "Account Disabled")
    incoming.wait_cancel(timeout=began + AT_ONCE - time.monotonic())


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
    began = time.monotonic()
    disable(line)
    for side in (call, incoming):
        side.wait_bye(timeout=began + AT_ONCE - time.monotonic())


def test_an_account_that_was_deleted_with_a_call_in_progress(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    call = device(line).call(SOMEBODY)
    incoming = carrier.incoming()
    talk(call, incoming)
    began = time.monotonic()
    disable(line)
    line.api.delete(line.path).expect(204)
    for side in (call, incoming):
        side.wait_bye(timeout=began + AT_ONCE - time.monotonic())


def test_an_emergency_call_of_a_disabled_account_goes_on(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    call = device(line).call("112")
    incoming = carrier.incoming()
    talk(call, incoming)
    line.disable()
    hang_up(incoming, call)
