"""Calls of accounts: what they dial, and where it leads."""

import pytest

from provisioner.stack.stack import Stack
from tests.sip.calls.conftest import Device, MakeDevice, hang_up, talk
from tests.sip.clients import Carrier
from tests.sip.faults.outages import stopped
from tests.sip.test_failures import converged
from tests.system import Line, System, Trunk

SOMEBODY = "+390299000001"
PREMIUM = "+39899123456"
REFUSED = (403, "Destination Not Allowed")


@pytest.mark.parametrize(
    ("dialled", "called"),
    [
        ("+390299000001", "+390299000001"),
        ("00390299000001", "+390299000001"),
        ("0299000001", "+390299000001"),
        ("02%2099-00.00(01)", None),
        ("02-99.000-001", "+390299000001"),
        ("0299000001;phone-context=+39", "+390299000001"),
        ("3331234567", "+393331234567"),
        ("800123456", "+39800123456"),
        ("+442079460000", "+442079460000"),
        ("00442079460000", "+442079460000"),
    ],
)
def test_a_number_reaches_the_carrier_in_e164(
    system: System, device: MakeDevice, carrier: Device, dialled: str, called: str | None
) -> None:
    call = device(system.new_line(), registered=False).call(dialled)
    if called is None:
        assert call.outcome() == (404, "Not Found")
        return
    incoming = carrier.incoming()
    assert incoming.called == called
    incoming.respond(486, "Busy Here")
    assert call.outcome() == (486, "Busy Here")


@pytest.mark.parametrize("spelling", ["{0}", "00{1}", "{2}", "{1}"])
def test_a_number_of_the_service_stays_inside(
    system: System, device: MakeDevice, carrier: Device, spelling: str
) -> None:
    caller, callee = system.new_line(), system.new_line()
    phone = device(callee)
    number = callee.number
    call = device(caller, registered=False).call(spelling.format(number, number[1:], number[3:]))
    incoming = phone.incoming()
    talk(call, incoming)
    hang_up(incoming, call)
    assert carrier.is_quiet()


@pytest.mark.parametrize("dialled", ["nobody", "+", "+0123456789", "123456789012345678901", "12"])
def test_what_is_no_number_is_answered_with_404(
    system: System, device: MakeDevice, carrier: Device, dialled: str
) -> None:
    phone = device(system.new_line(), registered=False)
    assert phone.call(dialled).outcome() == (404, "Not Found")
    assert carrier.is_quiet()


def test_a_number_of_the_service_that_is_not_active_does_not_leave_by_a_carrier(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    number = system.new_number(state="ceased")
    phone = device(system.new_line(), registered=False)
    assert phone.call(number).outcome() == (404, "Not Found")
    assert carrier.is_quiet()


def test_nothing_is_relayed_to_another_domain(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    phone = device(line, registered=False)
    call = phone.dial(SOMEBODY, f"{carrier.host_port}", credentials=line.credentials)
    assert call.outcome()[0] in (403, 407)
    assert carrier.is_quiet()


# The carriers.


def test_a_call_is_ended_by_either_side(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    phone = device(system.new_line(), registered=False)
    for callee_ends in (True, False):
        call = phone.call(SOMEBODY)
        incoming = carrier.incoming()
        incoming.ring()
        talk(call, incoming)
        hang_up(*((incoming, call) if callee_ends else (call, incoming)))


def test_a_carriers_own_program_takes_a_call(
    system: System, device: MakeDevice, trunk: Trunk
) -> None:
    """SIPp answers, and hangs up."""
    phone = device(system.new_line(), registered=False)
    with Carrier(trunk.place.client, trunk.port, behaviour="hang_up", seconds=0.2) as carrier:
        call = phone.call(SOMEBODY)
        assert call.outcome() == (200, "OK")
        call.wait_bye()
        assert len(carrier.calls) == 1


def test_a_carrier_over_tcp(system: System, device: MakeDevice, trunk: Trunk) -> None:
    other = system.new_trunk(transport="tcp", priority=10)
    phone = device(system.new_line(), registered=False, transport="tcp")
    try:
        with Carrier(other.place.client, other.port, transport="tcp") as carrier:
            call = phone.call(SOMEBODY)
            assert call.outcome() == (200, "OK")
            assert call.bye().status == 200
            assert carrier.wait_request("BYE")
    finally:
        other.delete()


@pytest.mark.parametrize("behaviour", ["refuse", "silent"])
def test_the_next_carrier_takes_what_the_first_one_cannot(
    system: System, device: MakeDevice, carrier: Device, behaviour: str
) -> None:
    first = system.new_trunk(priority=10)
    phone = device(system.new_line(), registered=False)
    try:
        with Carrier(
            first.place.client,
            first.port,
            behaviour="refuse" if behaviour == "refuse" else "silent",
            refusal="503 Service Unavailable",
        ) as away:
            call = phone.call(SOMEBODY)
            incoming = carrier.incoming(timeout=10)
            assert len(away.calls) == 1
            talk(call, incoming)
            hang_up(call, incoming)
    finally:
        first.delete()


def test_a_carrier_that_is_silent_after_one_that_refused_gives_way_too(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    first, silent = (system.new_trunk(priority=priority) for priority in (20, 10))
    try:
        with (
            Device(system, None, first.place, first.transport, first.port) as refusing,
            Device(system, None, silent.place, silent.transport, silent.port) as dead,
        ):
            call = device(system.new_line(), registered=False).call(SOMEBODY)
            refusing.incoming().respond(503, "Service Unavailable")
            incoming = carrier.incoming(timeout=10)
            assert not dead.is_quiet()
            talk(call, incoming)
            hang_up(call, incoming)
    finally:
        for trunk in (first, silent):
            trunk.delete()


def test_a_busy_number_is_not_tried_by_the_next_carrier(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    first = system.new_trunk(priority=10)
    phone = device(system.new_line(), registered=False)
    try:
        with Carrier(first.place.client, first.port, behaviour="refuse"):
            assert phone.call(SOMEBODY).outcome() == (486, "Busy Here")
    finally:
        first.delete()
    assert carrier.is_quiet()


# Where nobody may call.


@pytest.mark.parametrize("number", [PREMIUM, "+881612345678", "+882161234567", "+870773112345"])
def test_premium_and_satellite_numbers_are_refused(
    system: System, device: MakeDevice, carrier: Device, number: str
) -> None:
    phone = device(system.new_line(), registered=False)
    assert phone.call(number).outcome() == REFUSED
    assert carrier.is_quiet()


# Emergencies.


def in_an_emergency(
    system: System, device: MakeDevice, carrier: Device, line: Line, number: str = "112"
) -> None:
    """The call passes, and shows who needs help."""
    call = device(line, registered=False).call(number)
    incoming = carrier.incoming()
    assert incoming.called == "112"
    assert line.number in (incoming.invite.header("From") or "")
    assert line.number in (incoming.invite.header("P-Asserted-Identity") or "")
    talk(call, incoming)
    hang_up(incoming, call)


@pytest.mark.parametrize("number", ["112", "+39112", "0039112"])
def test_emergency_numbers_in_every_spelling(
    system: System, device: MakeDevice, carrier: Device, number: str
) -> None:
    in_an_emergency(system, device, carrier, system.new_line(), number)


def test_an_emergency_call_passes_whatever_the_channel_limit(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line(voice_channels=1)
    call = device(line, registered=False).call(SOMEBODY)
    other = carrier.incoming()
    talk(call, other)
    in_an_emergency(system, device, carrier, line)
    hang_up(call, other)


def test_an_emergency_call_passes_whatever_the_network(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line(allowed_networks=["192.0.2.0/24"])
    in_an_emergency(system, device, carrier, line)


def test_a_disabled_accounts_emergency_call_passes(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    in_an_emergency(system, device, carrier, system.new_line(enabled=False))


def test_an_emergency_call_shows_a_number_that_is_hidden_elsewhere(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    line.api.post(f"{line.path}/caller-id-rules", {"number": None}).expect(201)
    in_an_emergency(system, device, carrier, line)


@pytest.mark.native  # stops the database
def test_an_emergency_call_passes_without_the_database_from_where_a_device_is_registered(
    system: System, stack: Stack, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    registered, other = device(line), device(line, registered=False)
    with stopped(stack.postgres):
        call = registered.call("112")
        incoming = carrier.incoming(timeout=10)
        assert line.number in (incoming.invite.header("From") or "")
        talk(call, incoming)
        hang_up(call, incoming)
        assert other.call("112").outcome(timeout=10)[0] == 503
        assert registered.call(SOMEBODY).outcome(timeout=10)[0] == 503
    converged(system)


def test_an_emergency_call_needs_the_right_password(system: System, carrier: Device) -> None:
    with Device(system, None, system.internet, "udp") as stranger:
        assert stranger.call("112").outcome()[0] == 407
    assert carrier.is_quiet()
