"""Voice channels: how many calls an account may have, and when one is free again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from provisioner.stack.stack import Stack
from tests.sip.calls.conftest import Device, MakeDevice, hang_up, talk
from tests.sip.clients import Carrier, OutgoingCall
from tests.system import System, Trunk, eventually

SOMEBODY = "+390299000001"
OUT = (403, "Channel Limit Reached")
IN = (486, "Busy Here")


@contextmanager
def calling(phone: Device, other: Device, number: str = SOMEBODY) -> Iterator[OutgoingCall]:
    """A call in progress."""
    call = phone.call(number)
    incoming = other.incoming()
    talk(call, incoming)
    yield call
    hang_up(call, incoming)


def assert_free(phone: Device, carrier: Device) -> None:
    """There is room for another call, and for no more than one."""
    with calling(phone, carrier):
        assert phone.call(SOMEBODY).outcome() == OUT


def test_outgoing_calls_over_the_limit_are_refused(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    phone = device(system.new_line(voice_channels=2))
    with calling(phone, carrier), calling(phone, carrier):
        assert phone.call(SOMEBODY).outcome() == OUT
    assert carrier.is_quiet()


def test_incoming_calls_over_the_limit_are_refused(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line(voice_channels=2)
    phone = device(line)
    with calling(carrier, phone, line.number), calling(carrier, phone, line.number):
        assert carrier.call(line.number).outcome() == IN
    assert phone.is_quiet()


def test_incoming_and_outgoing_calls_are_counted_together(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line(voice_channels=2)
    phone = device(line)
    with calling(carrier, phone, line.number), calling(phone, carrier):
        assert carrier.call(line.number).outcome() == IN
        assert phone.call(SOMEBODY).outcome() == OUT


def test_a_call_that_rings_is_counted(system: System, device: MakeDevice, carrier: Device) -> None:
    phone = device(system.new_line(voice_channels=1))
    call = phone.call(SOMEBODY)
    incoming = carrier.incoming()
    assert phone.call(SOMEBODY).outcome() == OUT
    incoming.ring()
    call.provisional(180)
    assert phone.call(SOMEBODY).outcome() == OUT
    talk(call, incoming)
    hang_up(call, incoming)
    assert_free(phone, carrier)


def test_an_internal_call_takes_a_channel_of_each(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    one, two = (system.new_line(voice_channels=1) for _ in range(2))
    caller, callee = device(one), device(two)
    with calling(caller, callee, two.number):
        for line, phone in ((one, caller), (two, callee)):
            assert carrier.call(line.number).outcome() == IN
            assert phone.call(SOMEBODY).outcome() == OUT
    assert_free(caller, carrier)
    assert_free(callee, carrier)


def test_an_internal_call_to_a_full_account_is_busy_and_takes_nothing(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    one, two = (system.new_line(voice_channels=1) for _ in range(2))
    caller, callee = device(one), device(two)
    with calling(callee, carrier):
        assert caller.call(two.number).outcome() == IN
    assert_free(caller, carrier)


def test_a_lower_limit_holds_from_the_next_call_on(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line(voice_channels=3)
    phone = device(line)
    with calling(phone, carrier), calling(phone, carrier) as kept:
        line.api.patch(line.path, {"voice_channels": 1}, wait=10).expect(200)
        assert phone.call(SOMEBODY).outcome() == OUT
        kept.request("INFO")
        asked = carrier.wait_request("INFO")
        carrier.answer(asked, 200, "OK")
        assert kept.final("INFO").status == 200
    assert_free(phone, carrier)


# How a call ends.


def hung_up_by_the_caller(phone: Device, carrier: Device) -> None:
    with calling(phone, carrier):
        pass


def hung_up_by_the_callee(phone: Device, carrier: Device) -> None:
    call = phone.call(SOMEBODY)
    incoming = carrier.incoming()
    talk(call, incoming)
    hang_up(incoming, call)


def given_up(phone: Device, carrier: Device) -> None:
    call = phone.call(SOMEBODY)
    incoming = carrier.incoming()
    incoming.ring()
    call.provisional(180)
    call.cancel()
    incoming.wait_cancel()
    assert call.outcome() == (487, "Request Terminated")


def busy(phone: Device, carrier: Device) -> None:
    call = phone.call(SOMEBODY)
    carrier.incoming().respond(486, "Busy Here")
    assert call.outcome() == (486, "Busy Here")


def unknown(phone: Device, carrier: Device) -> None:
    call = phone.call(SOMEBODY)
    carrier.incoming().respond(404, "Not Found")
    assert call.outcome() == (404, "Not Found")


def to_nobody(phone: Device, carrier: Device) -> None:
    assert phone.call(phone.system.new_line().number).outcome()[0] == 480


def blocked(phone: Device, carrier: Device) -> None:
    assert phone.call("+39899123456").outcome()[0] == 403


@pytest.mark.parametrize(
    "ending",
    [hung_up_by_the_caller, hung_up_by_the_callee, given_up, busy, unknown, to_nobody, blocked],
    ids=lambda ending: ending.__name__,
)
def test_the_channel_of_a_call_that_is_over_is_free(
    system: System,
    device: MakeDevice,
    carrier: Device,
    ending: Callable[[Device, Device], None],
) -> None:
    phone = device(system.new_line(voice_channels=1))
    for _ in range(2):
        ending(phone, carrier)
    assert_free(phone, carrier)


@pytest.mark.native  # kills Kamailio
def test_a_crash_of_the_node_frees_the_channel(
    system: System, stack: Stack, device: MakeDevice, trunk: Trunk
) -> None:
    phone = device(system.new_line(voice_channels=1))
    with Device(system, None, trunk.place, trunk.transport, trunk.port) as carrier:
        talk(phone.call(SOMEBODY), carrier.incoming())
        assert phone.call(SOMEBODY).outcome() == OUT
    stack.kamailio.kill()
    stack.kamailio.start()
    stack.kamailio.wait_ready()
    with Carrier(trunk.place.client, trunk.port, behaviour="refuse"):
        eventually(lambda: phone.call(SOMEBODY).outcome() == IN, within=20)
