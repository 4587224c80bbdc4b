"""Which number is shown, to whom, and that nobody shows another."""

import pytest

from tests.sip.calls.conftest import Device, MakeDevice, hang_up, talk
from tests.sip.clients import Message
from tests.system import Line, System

FOREIGN = "+442079460000"
SOMEBODY = "+390299000001"
CLAIM = "666"


def with_rule(line: Line, number: str | None, prefix: str = "") -> None:
    body = {"number": number, "destination_prefix": prefix}
    line.api.post(f"{line.path}/caller-id-rules", body).expect(201)


def with_second_number(system: System, line: Line) -> str:
    number = system.new_number()
    line.api.put(f"{line.path}/numbers/{number}", {}).expect(200)
    return number


def invite(device: Device, carrier: Device, number: str) -> Message:
    """What the carrier is told of a call, which it refuses."""
    call = device.call(number)
    incoming = carrier.incoming()
    incoming.respond(486, "Busy Here")
    assert call.outcome() == (486, "Busy Here")
    return incoming.invite


def written(message: Message) -> str:
    """A message as text, without what all of them hold."""
    headers = (f"{name}: {value}" for name, value in message.headers)
    return "\n".join([message.start_line, *headers, message.body])


def uri(system: System, number: str) -> str:
    return f"<sip:{number}@{system.realm}>"


def test_a_carrier_is_shown_the_main_number(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    seen = invite(device(line, registered=False), carrier, SOMEBODY)
    assert (seen.header("From") or "").partition(";")[0] == uri(system, line.number)
    assert seen.all("P-Asserted-Identity") == [uri(system, line.number)]
    assert seen.all("Privacy") == []


def test_another_account_is_shown_the_main_number_in_from_alone(
    system: System, device: MakeDevice
) -> None:
    caller, callee = system.new_line(), system.new_line()
    seen = invite(device(caller, registered=False), device(callee), callee.number)
    assert (seen.header("From") or "").partition(";")[0] == uri(system, caller.number)
    assert seen.all("P-Asserted-Identity") == []


def test_a_rule_shows_another_number(system: System, device: MakeDevice, carrier: Device) -> None:
    line = system.new_line()
    number = with_second_number(system, line)
    with_rule(line, number)
    seen = invite(device(line, registered=False), carrier, SOMEBODY)
    assert (seen.header("From") or "").partition(";")[0] == uri(system, number)
    assert seen.all("P-Asserted-Identity") == [uri(system, line.number)]


def test_the_rule_of_the_longest_prefix_holds(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    number = with_second_number(system, line)
    with_rule(line, number, "+44")
    with_rule(line, line.number, "+4420")
    phone = device(line, registered=False)
    for called, shown in (
        (SOMEBODY, line.number),
        ("+441619460000", number),
        (FOREIGN, line.number),
    ):
        seen = invite(phone, carrier, called)
        assert (seen.header("From") or "").partition(";")[0] == uri(system, shown)


def test_who_hides_is_known_to_the_carrier_alone(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    with_rule(line, None)
    seen = invite(device(line, registered=False), carrier, SOMEBODY)
    assert "<sip:anonymous@anonymous.invalid>" in (seen.header("From") or "")
    assert seen.all("Privacy") == ["id"]
    assert seen.all("P-Asserted-Identity") == [uri(system, line.number)]


def test_who_hides_is_not_known_to_another_account(system: System, device: MakeDevice) -> None:
    """In no message of the whole call."""
    caller, callee = system.new_line(), system.new_line()
    with_rule(caller, None)
    phone = device(callee)
    call = device(caller, registered=False).call(callee.number)
    incoming = phone.incoming()
    talk(call, incoming)
    incoming.request("INFO")
    asked = call.endpoint.wait_request("INFO", call=call)
    call.endpoint.answer(asked, 200, "OK")
    answer = incoming.final("INFO")
    call.request("BYE")
    bye = incoming.wait_bye()
    for message in (incoming.invite, answer, bye):
        assert caller.number.removeprefix("+") not in written(message)
    assert "<sip:anonymous@anonymous.invalid>" in (incoming.invite.header("From") or "")
    assert incoming.invite.all("P-Asserted-Identity") == []


@pytest.mark.parametrize("method", ["ACK", "INFO", "REFER", "BYE"])
def test_who_hides_is_not_told_by_what_his_device_says_later(
    system: System, device: MakeDevice, method: str
) -> None:
    """Many phones write Contact, and who they are, into each request of a call."""
    caller, callee = system.new_line(), system.new_line()
    with_rule(caller, None)
    phone = device(callee)
    call = device(caller, registered=False).call(callee.number)
    incoming = phone.incoming()
    talk(call, incoming)
    user = caller.credentials.username
    claims = ["P-Asserted-Identity", "Remote-Party-ID", "Referred-By"]
    lines = [f"{name}: <sip:+{user}@{system.realm}>" for name in claims]
    lines.append(f"Contact: <sip:{user}@{call.endpoint.host_port}>")
    call.request(method, lines=lines)
    seen = phone.wait_request(method, call=incoming)
    assert user not in written(seen)
    assert "\r\n;" not in written(seen)
    if method != "ACK":
        phone.answer(seen, 200, "OK")
        assert call.final(method).status == 200
    if method != "BYE":
        hang_up(call, incoming)


def test_a_device_is_told_the_callers_address_once(system: System, device: MakeDevice) -> None:
    caller, callee = system.new_line(), system.new_line()
    phone = device(callee)
    call = device(caller, registered=False).call(callee.number)
    incoming = phone.incoming()
    talk(call, incoming)
    call.request("INFO", lines=["Contact: <sip:somebody@192.0.2.1>"])
    seen = phone.wait_request("INFO", call=incoming)
    assert (seen.header("Contact") or "").count(";alias=") == 1
    phone.answer(seen, 200, "OK")
    hang_up(call, incoming)


def test_a_call_that_bears_the_names_of_another_uncovers_nobody(
    system: System, device: MakeDevice
) -> None:
    """The callee knows Call-ID and tag, and can use them for a call of his own."""
    caller, callee = system.new_line(), system.new_line()
    with_rule(caller, None)
    phone = device(callee)
    call = device(caller, registered=False).call(callee.number)
    incoming = phone.incoming()
    talk(call, incoming)
    tag = (incoming.invite.header("From") or "").partition(";tag=")[2]
    own = f"<sip:{callee.credentials.username}@{system.realm}>;tag={tag}"
    with_rule(callee, None)
    spy = device(callee, registered=False).call(
        system.new_line().number, headers={"Call-ID": call.call_id, "From": own}
    )
    assert spy.outcome() == (480, "Temporarily Unavailable")
    caller.disable()
    assert caller.number.removeprefix("+") not in written(incoming.wait_bye())


@pytest.mark.parametrize(
    "line",
    [
        "P-Asserted-Identity: <sip:+39666@evil.invalid>",
        "P-Asserted-Identity : <sip:+39666@evil.invalid>",
        "P-Asserted-Identity\t:<sip:+39666@evil.invalid>",
        "p-aSSERTED-identity: <sip:+39666@evil.invalid>",
        "P-Asserted-Identity:\r\n <sip:+39666@evil.invalid>",
        "P-Asserted-Identity: <sip:1@x.invalid>,\r\n\t<tel:+39666>",
        "P-Preferred-Identity: <sip:+39666@evil.invalid>",
        "P-Preferred-Identity : <sip:+39666@evil.invalid>",
        "Remote-Party-ID: <sip:+39666@evil.invalid>;party=calling;screen=yes",
        "Remote-Party-ID : <sip:+39666@evil.invalid>;party=calling",
        "remote-party-id:\r\n\t<sip:+39666@evil.invalid>",
        "Diversion: <sip:+39666@evil.invalid>;reason=unconditional",
        "Diversion : <sip:+39666@evil.invalid>;reason=unconditional",
        "CC-Diversion: <sip:+39666@evil.invalid>",
        "History-Info: <sip:+39666@evil.invalid>;index=1",
        "HISTORY-INFO : <sip:+39666@evil.invalid>;index=1",
        "Referred-By: <sip:+39666@evil.invalid>",
        "b: <sip:+39666@evil.invalid>",
        "Reply-To: <sip:+39666@evil.invalid>",
        "Call-Info: <sip:+39666@evil.invalid>;purpose=card",
        "Identity: 666",
        "y: 666",
        "P-Charging-Vector: icid-value=666",
        "P-Called-Party-ID: <sip:+39666@evil.invalid>",
        "P-Served-User: <sip:+39666@evil.invalid>",
        "X-Caller: 666",
        "Organization: 666",
    ],
)
def test_a_claimed_identity_is_gone(
    system: System, device: MakeDevice, carrier: Device, line: str
) -> None:
    account = system.new_line()
    phone = device(account, registered=False)
    call = phone.call(SOMEBODY, lines=[line])
    incoming = carrier.incoming()
    incoming.respond(486, "Busy Here")
    assert call.outcome() == (486, "Busy Here")
    # The text of a trace, apart from what is random in it.
    fields = [
        f"{name}: {value}".replace(account.number, "") for name, value in incoming.invite.headers
    ]
    names = {"via", "call-id", "record-route", "from", "to", "contact"}
    others = [field for field in fields if field.partition(":")[0].lower() not in names]
    assert not any(CLAIM in field for field in others)
    assert not any("+39666" in field for field in fields)
    assert incoming.invite.all("P-Asserted-Identity") == [uri(system, account.number)]


def test_a_claimed_privacy_is_gone(system: System, device: MakeDevice, carrier: Device) -> None:
    """It is the rules that say who hides."""
    line = system.new_line()
    call = device(line, registered=False).call(SOMEBODY, lines=["Privacy : header;user;id"])
    incoming = carrier.incoming()
    incoming.respond(486, "Busy Here")
    call.outcome()
    assert incoming.invite.all("Privacy") == []
    assert line.number in (incoming.invite.header("From") or "")


@pytest.mark.parametrize("name", ['"Police +39666" ', "Police ", '"\\"<sip:+39666@evil>" '])
def test_a_display_name_is_gone(
    system: System, device: MakeDevice, carrier: Device, name: str
) -> None:
    line = system.new_line()
    user, realm = line.credentials.username, system.realm
    headers = {"From": f"{name}<sip:{user}@{realm}>;tag=1"}
    call = device(line, registered=False).call(SOMEBODY, headers=headers)
    incoming = carrier.incoming()
    incoming.respond(486, "Busy Here")
    call.outcome()
    assert (incoming.invite.header("From") or "").partition(";")[0] == uri(system, line.number)


@pytest.mark.parametrize("claimed", ["+390666666666", "390666666666", "anonymous"])
def test_another_number_in_from_does_not_get_through(
    system: System, device: MakeDevice, carrier: Device, claimed: str
) -> None:
    line = system.new_line()
    headers = {"From": f"<sip:{claimed}@{system.realm}>;tag=1"}
    call = device(line, registered=False).call(SOMEBODY, headers=headers)
    assert call.outcome()[0] == 407
    assert carrier.is_quiet()


def test_a_callees_claim_is_gone(system: System, device: MakeDevice) -> None:
    caller, callee = system.new_line(), system.new_line()
    phone = device(callee)
    call = device(caller, registered=False).call(callee.number)
    incoming = phone.incoming()
    incoming.respond(
        200, "OK", lines=["P-Asserted-Identity : <sip:+39666@x>", "Remote-Party-ID: <sip:+39666@x>"]
    )
    answer = call.answered()
    assert answer.status == 200
    assert "+39666" not in written(answer)
    hang_up(call, incoming)


def test_the_claim_of_a_callee_who_refuses_is_gone(system: System, device: MakeDevice) -> None:
    callee = system.new_line()
    phone = device(callee)
    call = device(system.new_line(), registered=False).call(callee.number)
    incoming = phone.incoming()
    incoming.respond(486, "Busy Here", lines=["P-Asserted-Identity: <sip:+39666@x>"])
    answer = call.answered()
    assert answer.status == 486
    assert "+39666" not in written(answer)


# A carrier's caller.


def test_a_carriers_caller_is_shown_as_it_came(
    system: System, device: MakeDevice, carrier: Device
) -> None:
    line = system.new_line()
    phone = device(line)
    call = carrier.call(line.number, caller=FOREIGN)
    incoming = phone.incoming()
    incoming.respond(486, "Busy Here")
    call.outcome()
    assert FOREIGN in (incoming.invite.header("From") or "")
    assert incoming.invite.all("P-Asserted-Identity") == []


@pytest.mark.parametrize("privacy", ["id", "user;id", "header", "none\r\nPrivacy: id"])
def test_a_carriers_caller_who_hides_is_not_shown(
    system: System, device: MakeDevice, carrier: Device, privacy: str
) -> None:
    line = system.new_line()
    phone = device(line)
    lines = [f"P-Asserted-Identity: <sip:{FOREIGN}@carrier.invalid>", f"Privacy: {privacy}"]
    call = carrier.call(line.number, caller=FOREIGN, lines=lines)
    incoming = phone.incoming()
    incoming.respond(486, "Busy Here")
    call.outcome()
    assert FOREIGN.removeprefix("+") not in written(incoming.invite)
