"""What would be a call, or look like somebody's, without having been decided on."""

import pytest

from provisioner.kamailio import KamailioNode
from tests.sip.calls.conftest import Device, MakeDevice, hang_up, talk
from tests.sip.clients import digest_authorization
from tests.system import Line, System, Trunk, eventually


def authenticated(
    system: System, sender: Device, line: Line, method: str, callee: Line, lines: list[str]
) -> bytes:
    """A request to another account's device, outside any call."""
    user = line.credentials.username
    uri = f"sip:{callee.credentials.username}@{system.realm}"

    def request(more: dict[str, str]) -> bytes:
        fields = {"To": f"<{uri}>", "From": f'"Police" <sip:{user}@{system.realm}>;tag=a', **more}
        return sender.request(method, user, system.realm, fields, uri=uri, lines=lines)

    challenge = sender.exchange(request({})).challenge
    answer = digest_authorization(line.credentials, challenge, method=method, uri=uri)
    return request({"Proxy-Authorization": answer})


@pytest.mark.parametrize("method", ["REFER", "NOTIFY"])
def test_a_phone_is_not_told_by_another_account_to_call_or_to_start_anew(
    system: System, device: MakeDevice, method: str
) -> None:
    caller, callee = system.new_line(), system.new_line()
    phone, sender = device(callee), device(caller, registered=False)
    lines = ["Refer-To: <sip:0088123456@example.invalid>", "Event: check-sync"]
    exchange = sender.exchange(authenticated(system, sender, caller, method, callee, lines))
    assert exchange.status == 403
    assert phone.is_quiet(method)


def test_a_message_shows_the_account_that_sent_it(system: System, device: MakeDevice) -> None:
    caller, callee = system.new_line(), system.new_line()
    phone, sender = device(callee), device(caller, registered=False)
    lines = ["P-Asserted-Identity: <sip:113@example.invalid>"]
    sender.send(authenticated(system, sender, caller, "MESSAGE", callee, lines))
    seen = phone.wait_request("MESSAGE")
    phone.answer(seen, 200, "OK")
    uri = f"<sip:{caller.credentials.username}@{system.realm}>"
    assert (seen.header("From") or "").partition(";")[0] == uri
    assert seen.all("P-Asserted-Identity") == []


def test_a_call_between_accounts_cannot_be_led_to_a_carrier(
    system: System, device: MakeDevice, carrier: Device, trunk: Trunk
) -> None:
    caller, callee = system.new_line(), system.new_line()
    phone = device(callee)
    call = device(caller, registered=False).call(callee.number)
    incoming = phone.incoming()
    talk(call, incoming)
    call.request("INVITE", uri=f"sip:+39899123456@{trunk.place.client}:{trunk.port}")
    assert call.final("INVITE").status == 404
    assert carrier.is_quiet()
    hang_up(call, incoming)


@pytest.mark.native  # waits until the node has forgotten the call
def test_nor_can_one_that_is_over(
    system: System, device: MakeDevice, carrier: Device, trunk: Trunk, kamailio: KamailioNode
) -> None:
    """Its route is still known to whoever made it."""
    others = kamailio.dialogs() or set()
    caller, callee = system.new_line(), system.new_line()
    phone = device(callee)
    call = device(caller, registered=False).call(callee.number)
    incoming = phone.incoming()
    talk(call, incoming)
    own = (kamailio.dialogs() or set()) - others
    assert own
    hang_up(call, incoming)
    eventually(lambda: own.isdisjoint(kamailio.dialogs() or set()), within=20)
    call.request("INVITE", uri=f"sip:+39899123456@{trunk.place.client}:{trunk.port}")
    assert call.final("INVITE").status == 404
    assert carrier.is_quiet()
