"""Calls from a carrier, to the numbers of accounts."""

import pytest

from tests.sip.calls.conftest import Device, MakeDevice, hang_up, talk
from tests.sip.clients import CarrierCall
from tests.system import System


def test_all_devices_of_the_called_account_ring_and_one_takes_the_call(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    devices = [device(line), device(line, place=system.cloudfire), device(line, transport="tcp")]
    call = carrier.call(line.number)
    ringing = [each.incoming() for each in devices]
    for each in ringing:
        each.ring()
        call.provisional(180)
    talk(call, ringing[1])
    for each in (ringing[0], ringing[2]):
        each.wait_cancel()
    hang_up(call, ringing[1])


def test_an_additional_number_rings_the_same_device(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    number = system.new_number()
    line.api.put(f"{line.path}/numbers/{number}", {}).expect(200)
    phone = device(line)
    call = carrier.call(number)
    incoming = phone.incoming()
    talk(call, incoming)
    hang_up(incoming, call)


def test_an_unknown_number_is_answered_with_404(carrier: Device) -> None:
    """It does not leave by the carrier again that it came from."""
    assert carrier.call("+390199999999").outcome() == (404, "Not Found")
    assert carrier.is_quiet()


@pytest.mark.parametrize("state", ["ordered", "porting", "ceased"])
def test_a_number_that_is_not_active_is_answered_with_404(
    system: System, carrier: Device, state: str
) -> None:
    assert carrier.call(system.new_number(state=state)).outcome() == (404, "Not Found")


def test_an_account_without_a_device_is_answered_with_480(system: System, carrier: Device) -> None:
    assert carrier.call(system.new_line().number).outcome() == (480, "Temporarily Unavailable")


def test_a_new_account_rings_nobody(system: System, carrier: Device) -> None:
    line = system.new_line(enabled=False)
    assert carrier.call(line.number).outcome() == (480, "Temporarily Unavailable")


def test_a_disabled_account_rings_nobody(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    phone = device(line)
    line.disable()
    assert carrier.call(line.number).outcome() == (480, "Temporarily Unavailable")
    assert phone.is_quiet()


def test_a_carriers_own_program_calls_a_device(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    """SIPp, which routes requests of the call by its own reading of RFC 3261."""
    line = system.new_line()
    phone = device(line)
    place = system.carriers
    with CarrierCall(place.registrar, place.client, line.number) as call:
        incoming = phone.incoming()
        incoming.ring()
        incoming.take()
        assert call.outcome() == (200, "OK")
        incoming.wait_bye()


def test_a_stranger_is_no_carrier(system: System, device: MakeDevice) -> None:
    line = system.new_line()
    phone = device(line)
    place = system.internet
    with Device(system, None, place, "udp") as stranger:
        assert stranger.call(line.number).outcome()[0] == 407
    assert phone.is_quiet()
