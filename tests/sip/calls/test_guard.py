"""A project's guard rails against toll fraud, as callers meet them."""

from typing import Any

import pytest

from tests.sip.calls.conftest import Device, MakeDevice, hang_up, talk
from tests.sip.clients import Carrier
from tests.system import Line, System, Trunk

SOMEBODY = "+390299000001"
FOREIGN = "+442079460000"
BLOCKED = (403, "Destination Not Allowed")


def guarded_line(system: System, **policy: Any) -> Line:
    """An account of a project of its own with these guard rails."""
    customer = system.api.post("/customers", {"name": system.new_number()}).expect(201)
    body = {"name": "Guarded", "customer_id": customer["id"]}
    project = system.api.post("/projects", body).expect(201)
    system.api.patch(f"/projects/{project['id']}/call-policy", policy).expect(200)
    return system.new_line(project_id=project["id"], voice_channels=30)


def taken(phone: Device, carrier: Device, number: str) -> bool:
    """Whether a call reaches the carrier, which takes it."""
    call = phone.call(number)
    incoming = carrier.incoming()
    assert incoming.called == number
    talk(call, incoming)
    hang_up(call, incoming)
    return True


def test_only_allowed_prefixes_can_be_called(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = guarded_line(system, allowed_prefixes=["+39"], blocked_prefixes=["+39899"])
    phone = device(line, registered=False)
    assert phone.call(FOREIGN).outcome() == BLOCKED
    assert phone.call("+39899123456").outcome() == BLOCKED
    assert taken(phone, carrier, SOMEBODY)


def test_the_longest_prefix_decides(system: System, device: MakeDevice, carrier: Device) -> None:
    line = guarded_line(system, allowed_prefixes=["+39", "+4420"], blocked_prefixes=["+44"])
    phone = device(line, registered=False)
    assert phone.call("+441619460000").outcome() == BLOCKED
    assert taken(phone, carrier, FOREIGN)


def test_a_block_does_not_keep_accounts_from_calling_each_other(
    system: System, device: MakeDevice
) -> None:
    line = guarded_line(system, blocked_prefixes=["+39"])
    callee = system.new_line()
    phone = device(callee)
    assert device(line, registered=False).call(SOMEBODY).outcome() == BLOCKED
    call = device(line, registered=False).call(callee.number)
    incoming = phone.incoming()
    talk(call, incoming)
    hang_up(call, incoming)


def test_a_spend_cap_of_nothing_lets_nothing_out(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = guarded_line(system, daily_spend_cap="0.00")
    phone = device(line, registered=False)
    assert phone.call(SOMEBODY).outcome() == (403, "Daily Spend Cap Reached")
    assert carrier.is_quiet()


def test_more_calls_than_the_rate_allows_are_refused(
    system: System, device: MakeDevice, trunk: Trunk
) -> None:
    line = guarded_line(system, calls_per_second=1)
    with Carrier(trunk.place.client, trunk.port, behaviour="refuse"):
        phone = device(line, registered=False)
        answers = {phone.call(SOMEBODY).outcome() for _ in range(20)}
    assert answers == {(486, "Busy Here"), (403, "Call Rate Exceeded")}


@pytest.mark.parametrize(
    "policy",
    [{"blocked_prefixes": ["+39", "+1"]}, {"daily_spend_cap": "0.00"}],
    ids=["blocked", "cap"],
)
def test_an_emergency_call_passes_every_guard_rail(
    system: System, device: MakeDevice, carrier: Device, policy: dict[str, Any]
) -> None:
    phone = device(guarded_line(system, **policy), registered=False)
    assert taken(phone, carrier, "112")
