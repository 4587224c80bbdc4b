"""Where calls go that an account transfers, what they bear, and what they count."""

from itertools import pairwise

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from provisioner.stack.stack import Stack
from tests.sip.calls.conftest import Device, MakeDevice, hang_up, talk
from tests.sip.clients import IncomingCall
from tests.system import Line, System

TARGET = "+390299000009"
CALLER = "+442079460000"
UNREACHABLE = (480, "Temporarily Unavailable")


def transfer(line: Line, condition: str, target: str = TARGET) -> None:
    body = {condition: {"enabled": True, "target": target}}
    line.api.put(f"{line.path}/call-transfer", body).expect(200)


def assert_diverted(
    system: System, incoming: IncomingCall, numbers: list[str], reason: str, target: str
) -> None:
    """Diversion names who transferred it last, History-Info all of them and where it goes."""

    def uri(number: str) -> str:
        return f"<sip:{number}@{system.realm}>"

    (diversion,) = incoming.invite.all("Diversion")
    assert diversion == f"{uri(numbers[-1])};reason={reason};counter={len(numbers)}"
    (history,) = incoming.invite.all("History-Info")
    entries = [f"{uri(each)};index=1{'.1' * i}" for i, each in enumerate([*numbers, target])]
    assert history == ", ".join(entries)


def test_unconditional_transfer_rings_the_target_and_no_device(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    phone = device(line)
    transfer(line, "unconditional")
    call = carrier.call(line.number, caller=CALLER)
    incoming = carrier.incoming()
    assert incoming.called == TARGET
    assert CALLER in (incoming.invite.header("From") or "")
    assert incoming.invite.all("P-Asserted-Identity") == [f"<sip:{line.number}@{system.realm}>"]
    assert_diverted(system, incoming, [line.number], "unconditional", TARGET)
    talk(call, incoming)
    hang_up(call, incoming)
    assert phone.is_quiet()


def test_a_transfer_to_another_account_rings_there(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line, other = system.new_line(), system.new_line()
    phone = device(other)
    transfer(line, "unconditional", other.number)
    call = carrier.call(line.number, caller=CALLER)
    incoming = phone.incoming()
    assert CALLER in (incoming.invite.header("From") or "")
    assert_diverted(system, incoming, [line.number], "unconditional", other.number)
    talk(call, incoming)
    hang_up(incoming, call)


def test_an_account_without_a_device_transfers_on_unreachable(
    system: System, carrier: Device
) -> None:
    line = system.new_line()
    transfer(line, "unreachable")
    call = carrier.call(line.number)
    incoming = carrier.incoming()
    assert incoming.called == TARGET
    assert_diverted(system, incoming, [line.number], "unavailable", TARGET)
    talk(call, incoming)
    hang_up(incoming, call)


def test_a_disabled_account_transfers_on_unreachable(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    phone = device(line)
    transfer(line, "unreachable")
    line.disable()
    call = carrier.call(line.number)
    incoming = carrier.incoming()
    assert incoming.called == TARGET
    talk(call, incoming)
    hang_up(call, incoming)
    assert phone.is_quiet()


def test_a_device_that_says_nothing_is_unreachable(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    """Known after 5 s."""
    line = system.new_line()
    phone = device(line)
    transfer(line, "unreachable")
    call = carrier.call(line.number)
    incoming = carrier.incoming(timeout=10)
    assert_diverted(system, incoming, [line.number], "unavailable", TARGET)
    talk(call, incoming)
    hang_up(call, incoming)
    assert not phone.is_quiet()


def test_a_busy_device_is_not_unreachable(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    phone = device(line)
    transfer(line, "unreachable")
    call = carrier.call(line.number)
    phone.incoming().respond(486, "Busy Here")
    assert call.outcome() == (486, "Busy Here")
    assert carrier.is_quiet()


def test_two_transfers_one_after_the_other_are_both_told(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    first, second = system.new_line(), system.new_line()
    transfer(first, "unconditional", second.number)
    transfer(second, "unreachable")
    call = carrier.call(first.number)
    incoming = carrier.incoming()
    assert_diverted(system, incoming, [first.number, second.number], "unavailable", TARGET)
    talk(call, incoming)
    hang_up(call, incoming)


def test_more_than_five_accounts_one_after_the_other_are_a_loop(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    lines = [system.new_line() for _ in range(6)]
    phone = device(lines[-1])
    for line, following in pairwise(lines):
        transfer(line, "unconditional", following.number)
    assert carrier.call(lines[0].number).outcome() == (482, "Loop Detected")
    call = carrier.call(lines[1].number)
    incoming = phone.incoming()
    numbers = [line.number for line in lines[1:-1]]
    assert_diverted(system, incoming, numbers, "unconditional", lines[-1].number)
    talk(call, incoming)
    hang_up(call, incoming)


@pytest.mark.native  # edits the database
@pytest.mark.parametrize("condition", ["unconditional", "unreachable"])
def test_a_circle_of_transfers_ends_with_482(
    system: System, stack: Stack, carrier: Device, condition: str
) -> None:
    """The API refuses circles; this is one that came about behind its back."""
    first, second = system.new_line(), system.new_line()
    transfer(first, condition, second.number)
    transfer(second, condition)
    with psycopg.connect(stack.database_admin_url) as database:
        database.execute(
            SQL("UPDATE provisioner.call_transfers SET {} = %s WHERE account_id = %s").format(
                Identifier(f"{condition}_target")
            ),
            [first.number, second.id],
        )
    assert carrier.call(first.number).outcome() == (482, "Loop Detected")
    assert carrier.is_quiet()


def test_a_call_that_was_diverted_too_often_elsewhere_ends_with_482(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    phone = device(line)
    lines = [f"Diversion: <sip:+44207946000{i}@x.invalid>;reason=unknown" for i in range(5)]
    assert carrier.call(line.number, lines=lines).outcome() == (482, "Loop Detected")
    lines = ["Diversion: <sip:+442079460001@x.invalid>;reason=unknown;counter=7"]
    assert carrier.call(line.number, lines=lines).outcome() == (482, "Loop Detected")
    assert phone.is_quiet()


def test_a_transferred_call_takes_one_channel(system: System, carrier: Device) -> None:
    line = system.new_line(voice_channels=1)
    transfer(line, "unconditional")
    call = carrier.call(line.number)
    incoming = carrier.incoming()
    talk(call, incoming)
    assert carrier.call(line.number).outcome() == (486, "Busy Here")
    hang_up(call, incoming)
    call = carrier.call(line.number)
    incoming = carrier.incoming()
    talk(call, incoming)
    hang_up(call, incoming)


def test_a_call_is_not_transferred_to_where_the_account_may_not_call(
    system: System, carrier: Device
) -> None:
    line = system.new_line()
    transfer(line, "unconditional", "+39899123456")
    assert carrier.call(line.number).outcome() == UNREACHABLE
    assert carrier.is_quiet()


def test_a_hidden_caller_stays_hidden_where_the_call_goes(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    caller, line = system.new_line(), system.new_line()
    caller.api.post(f"{caller.path}/caller-id-rules", {"number": None}).expect(201)
    transfer(line, "unconditional")
    call = device(caller, registered=False).call(line.number)
    incoming = carrier.incoming()
    assert caller.number.removeprefix("+") not in str(incoming.invite.headers)
    assert incoming.invite.all("Privacy") == ["id"]
    talk(call, incoming)
    hang_up(call, incoming)
