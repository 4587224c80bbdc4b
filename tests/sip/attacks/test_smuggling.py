"""What a party claims in a header or a body does not reach whoever would believe it."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest

from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.calls.conftest import Device, MakeDevice, hang_up, talk
from tests.sip.calls.test_bypass import authenticated
from tests.sip.calls.test_caller_id import written
from tests.sip.clients import Authority, ClientError, Message, TlsPeer, Wire
from tests.sip.test_teams import Trunks, linked_line, wait_until_used
from tests.system import Place, System, Trunk

pytestmark = pytest.mark.native  # starts nodes of its own

SOMEBODY = "+390299000001"
CLAIM = "smuggled"
VALUE = f"<sip:{CLAIM}@evil.invalid>"
# What tells who calls, or what to do with the call, to a device, a carrier or Teams.
NAMES = [
    *("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Diversion"),
    *("CC-Diversion", "History-Info", "Privacy", "Identity"),
    *("Identity-Info", "Referred-By", "Reply-To", "Call-Info"),
    *("Alert-Info", "Error-Info", "Organization", "Priority"),
    *("P-Asserted-Service", "P-Preferred-Service", "P-Served-User", "P-Called-Party-ID"),
    *("P-Associated-URI", "P-Access-Network-Info", "P-Visited-Network-ID", "P-Charging-Vector"),
    *("P-Charging-Function-Addresses", "P-Charge-Info", "P-User-Database", "P-Profile-Key"),
    *("P-Private-Network-Indication", "P-DCS-LAES", "P-DCS-Redirect", "P-Answer-State"),
    *("P-Refused-URI-List", "P-Media-Authorization", "Path", "Service-Route"),
    *("Join", "Answer-Mode", "Priv-Answer-Mode", "Request-Disposition"),
    *("Accept-Contact", "Reject-Contact", "Resource-Priority", "Geolocation"),
    *("Geolocation-Routing", "User-to-User", "Session-ID", "Feature-Caps"),
    *("Attestation-Info", "Origination-ID", "Verstat", "Authentication-Info"),
    *("X-Caller", "X-Account", "X-Asserted-Identity", "X-MS-Skype-Chain-ID"),
    *("X-FS-Support", "X-Asterisk-HangupCause", "RPID", "Caller-ID"),
    *("b", "y", "n", "a"),
    *("j", "d"),
]


# How a header is written: some spellings are not answered at all, the others pass without it.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda name: f"{name}: {VALUE}",
    "without a space": lambda name: f"{name}:{VALUE}",
    "a space before the colon": lambda name: f"{name} : {VALUE}",
    "tabs around the colon": lambda name: f"{name}\t:\t{VALUE}",
    "lower case": lambda name: f"{name.lower()}: {VALUE}",
    "upper case": lambda name: f"{name.upper()}: {VALUE}",
    "other case": lambda name: f"{name.swapcase()} : {VALUE}",
    "folded": lambda name: f"{name}:\r\n {VALUE}",
    "folded, with a tab": lambda name: f"{name} :\r\n\t{VALUE}",
    "twice": lambda name: f"{name}: {VALUE}\r\n{name}: {VALUE}",
    "a list": lambda name: f"{name}: {VALUE},\r\n\t{VALUE}",
    "with a name in UTF-8": lambda name: f'{name}: "Pölizei" {VALUE}',
    "after an empty value": lambda name: f"Subject:\r\n{name}: {VALUE}",
    "behind a line feed": lambda name: f"Subject: x\n{name}: {VALUE}",
}
DROPPED: dict[str, Callable[[str], str]] = {
    "behind a return": lambda name: f"User-Agent: x\r{name}: {VALUE}",
    "behind two returns": lambda name: f"Subject: x\r\r\n {name}: {VALUE}",
    "behind a vertical tab": lambda name: f"Subject: x\x0b{name}: {VALUE}",
    "behind a form feed": lambda name: f"Allow: INVITE\x0c{name}: {VALUE}",
    "behind a zero byte": lambda name: f"Supported: x\0\r\n {name}: {VALUE}",
    "behind a zero byte and a return": lambda name: f"Subject: x\0\r{name}: {VALUE}",
}
ALL = SPELLINGS | DROPPED
# That claims would pass otherwise is tried with a few each time, with all by `make attack`.
TRIED_EACH_TIME = {"plain", "folded", "behind a line feed", "behind a zero byte"}
CONTROLS = [
    pytest.param(one, marks=() if one in TRIED_EACH_TIME else pytest.mark.attack) for one in ALL
]
# The configuration that relays headers and bodies as they come.
RELAYING = {
    r'\tkeep_hf\("[^\n]*\n': "\treturn;\n",
    r"\tif \(\$\(rcv\(buf\)\{[^\n]*\n": "",
    r"^route\[KNOWNBODY\] \{\n": "route[KNOWNBODY] {\n\treturn;\n",
}


def claims(spelling: str) -> list[str]:
    """All of the names, spelled so."""
    return [ALL[spelling](name) for name in NAMES]


def shown(message: Message) -> list[str]:
    """The lines of a message that make a claim."""
    return [line for line in re.split(r"[\n\r\x0b\x0c\0]", written(message)) if CLAIM in line]


@pytest.fixture(scope="module")
def relaying(
    stack: Stack, system: System, trunk: Trunk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """The control; it starts once there is a trunk."""
    folder = tmp_path_factory.mktemp("relaying")
    with another_node(stack, system, folder, changes=RELAYING, tls=True) as node:
        yield node


@dataclass
class Pair:
    """Who calls whom, by which number."""

    caller: Device
    callee: Device
    number: str

    def close(self) -> None:
        """Close both; a trunk's port is wanted again."""
        self.caller.close()
        self.callee.close()


def device_to_device(system: System, trunk: Trunk, device: MakeDevice) -> Pair:
    callee = system.new_line()
    here = system.internet
    return Pair(
        device(system.new_line(), place=here, registered=False),
        device(callee, place=here),
        callee.number,
    )


def device_to_carrier(system: System, trunk: Trunk, device: MakeDevice) -> Pair:
    caller = device(system.new_line(), place=system.internet, registered=False)
    return Pair(caller, carrier_of(system, trunk), SOMEBODY)


def carrier_to_device(system: System, trunk: Trunk, device: MakeDevice) -> Pair:
    callee = system.new_line()
    return Pair(carrier_of(system, trunk), device(callee, place=system.internet), callee.number)


def carrier_of(system: System, trunk: Trunk) -> Device:
    place = Place("carriers", trunk.place.client, system.internet.registrar)
    return Device(system, None, place, trunk.transport, trunk.port)


PAIRS = [device_to_device, device_to_carrier, carrier_to_device]


MOMENT = 0.3  # seconds in which there would be an answer


def begun(pair: Pair, lines: Sequence[str], *, dropped: bool) -> list[Message]:
    """Claim in an INVITE, and in the answer to it; what the other side gets of either."""
    if dropped:
        # Not even a challenge.
        call = pair.caller.dial(pair.number, pair.caller.system.realm, lines=lines)
        with pytest.raises(ClientError):
            call.final(timeout=MOMENT)
        assert pair.callee.is_quiet()
        return []
    call = pair.caller.call(pair.number, lines=lines)
    incoming = pair.callee.incoming()
    incoming.respond(486, "Busy Here", lines=lines)
    return [incoming.invite, call.answered()]


def gone_on(pair: Pair, lines: Sequence[str], *, dropped: bool) -> list[Message]:
    """Claim within a call, in what both sides ask and answer; what the other side gets of it."""
    call = pair.caller.call(pair.number)
    incoming = pair.callee.incoming()
    incoming.respond(183, "Session Progress", lines=lines)
    seen = [] if dropped else [call.provisional(183)]
    talk(call, incoming)
    if dropped:
        with pytest.raises(ClientError):
            call.provisional(183, timeout=0.05)
    for one, other in ((call, incoming), (incoming, call)):
        one.request("INFO", lines=lines)
        if dropped:
            one.request("INFO")
        asked = other.endpoint.wait_request("INFO", call=other)
        other.endpoint.answer(asked, 200, "OK", lines=lines)
        if dropped:
            other.endpoint.answer(asked, 200, "Once More")
        answer = one.final("INFO")
        assert (answer.reason == "Once More") is dropped
        seen += [asked, answer]
    hang_up(call, incoming)
    return seen


def sent(
    system: System, device: MakeDevice, lines: Sequence[str], *, dropped: bool
) -> list[Message]:
    """Claim in a message outside any call, and in the answer to it."""
    line, callee, place = system.new_line(), system.new_line(), system.internet
    phone, sender = device(callee, place=place), device(line, place=place, registered=False)
    if dropped:
        user = line.credentials.username
        sender.send(sender.request("MESSAGE", user, system.realm, lines=lines))
        assert sender.receive(MOMENT) is None
        return []
    sender.send(authenticated(system, sender, line, "MESSAGE", callee, list(lines)))
    asked = phone.wait_request("MESSAGE")
    phone.answer(asked, 200, "OK", lines=lines)
    answer = sender.final_response()
    assert answer
    return [asked, answer]


@pytest.mark.parametrize("spelling", ALL)
def test_no_claim_passes(
    system: System, trunk: Trunk, device: MakeDevice, spelling: str, figures: Figures
) -> None:
    lines, dropped = claims(spelling), spelling in DROPPED
    seen = sent(system, device, lines, dropped=dropped)
    for make in PAIRS:
        with closing(make(system, trunk, device)) as pair:
            seen += begun(pair, lines, dropped=dropped)
            seen += gone_on(pair, lines, dropped=dropped)
    passed = [line for message in seen for line in shown(message)]
    figures(f"{len(NAMES)} headers, {spelling}: passed in {len(seen)} messages", len(passed))
    assert passed == []


@pytest.mark.parametrize("spelling", CONTROLS)
def test_where_all_is_relayed_claims_pass(
    relaying: Node, trunk: Trunk, device: MakeDevice, spelling: str, figures: Figures
) -> None:
    """The control."""
    lines = claims(spelling)
    with closing(device_to_carrier(relaying.system, trunk, device)) as pair:
        seen = begun(pair, lines, dropped=False) + gone_on(pair, lines, dropped=False)
    passed = [line for message in seen for line in shown(message)]
    figures(f"control: {len(NAMES)} headers, {spelling}: passed", len(passed))
    assert len(passed) >= len(NAMES)


# Teams


@pytest.fixture
def trunks(stack: Stack, system: System) -> Iterator[Trunks]:
    """A project's own trunks to Teams."""
    made = Trunks(stack, system)
    yield made
    made.close()


@pytest.mark.parametrize("spelling", ["plain", "other case", "folded"])
def test_no_claim_reaches_teams(
    system: System,
    relaying: Node,
    trunks: Trunks,
    device: MakeDevice,
    authority: Authority,
    spelling: str,
) -> None:
    line = linked_line(system, trunks)
    with TlsPeer(authority.issue(trunks.host)) as peer:
        relaying.kamailio.call("dns.add_a", trunks.host, 3600, "127.0.0.1", 0)
        trunks.add(peer)
        wait_until_used(peer, trunks)
        relaying.reload()
        for system_, passes in ((system, False), (relaying.system, True)):
            caller = device(system_.new_line(), place=system_.internet, registered=False)
            call = caller.call(line.number, lines=claims(spelling))
            assert call.outcome(timeout=10) == (200, "OK")
            seen = [peer.wait_for("INVITE")]
            call.request("INFO", lines=claims(spelling))
            seen.append(peer.wait_for("INFO"))
            assert call.bye().status == 200
            passed = [one for message in seen for one in shown(message)]
            assert bool(passed) is passes


# Bodies, and what is beside an address.

ISUP = "Content-Type: application/isup;version=itu-t92+"
BODIES = [
    "application/isup;version=itu-t92+",
    "Application/ISUP",
    "application/qsig",
    'multipart/mixed;boundary="x"',
    "message/sipfrag",
    "application/sdp\r\nContent-Type: application/isup",
    "application/sdp\r\nc: application/isup",
]


@pytest.mark.parametrize("kind", BODIES)
def test_only_sdp_sets_up_a_call(
    system: System, relaying: Node, trunk: Trunk, device: MakeDevice, kind: str
) -> None:
    """The signalling of the telephone network says who calls, too."""
    headers = {"Content-Type": kind}
    with closing(device_to_carrier(system, trunk, device)) as pair:
        call = pair.caller.call(pair.number, headers=headers)
        assert call.outcome() == (415, "Unsupported Media Type")
        assert pair.callee.is_quiet()
    with closing(device_to_carrier(relaying.system, trunk, device)) as pair:
        call = pair.caller.call(pair.number, headers=headers)
        pair.callee.incoming().respond(486, "Busy Here")
        assert call.outcome() == (486, "Busy Here")


def test_who_calls_for_help_may_say_where_he_is(
    system: System, trunk: Trunk, device: MakeDevice
) -> None:
    with closing(device_to_carrier(system, trunk, device)) as pair:
        headers = {"Content-Type": 'multipart/mixed;boundary="x"'}
        call = pair.caller.call("112", headers=headers)
        incoming = pair.callee.incoming()
        talk(call, incoming)
        call.request("INFO", lines=[ISUP], body=CLAIM)
        assert call.final("INFO").status == 415
        # What a carrier says so is its own, and keys that are pressed are no claim.
        incoming.request("INFO", lines=[ISUP], body="x")
        call.endpoint.answer(call.endpoint.wait_request("INFO"), 200, "OK")
        assert incoming.final("INFO").status == 200
        call.request("INFO", lines=["Content-Type: application/dtmf-relay"], body="Signal=1")
        pair.callee.answer(pair.callee.wait_request("INFO"), 200, "OK")
        assert call.final("INFO").status == 200
        hang_up(call, incoming)


@pytest.mark.parametrize(
    "form",
    [
        "<sip:{user}@{realm}>;isup-oli=62;tag=a1",
        "<sip:{user}@{realm};user=phone>;tag=a1;verstat=TN-Validation-Passed",
        "sip:{user}@{realm};cpc=operator;tag=a1;isup-oli=62",
        '"x;y" <sip:{user}@{realm}>;tag=a1;epid=1',
    ],
)
def test_from_has_a_tag_and_no_other_claim(
    system: System, trunk: Trunk, device: MakeDevice, form: str
) -> None:
    line = system.new_line()
    with closing(device_to_carrier(system, trunk, device)) as pair:
        caller = device(line, registered=False)
        user, realm = line.credentials.username, system.realm
        call = caller.call(SOMEBODY, headers={"From": form.format(user=user, realm=realm)})
        incoming = pair.callee.incoming()
        shown_from = (incoming.invite.header("From") or "").replace("<", "").replace(">", "")
        assert shown_from == f"sip:{line.number}@{realm};tag=a1"
        talk(call, incoming)
        hang_up(incoming, call)


def test_control_characters_are_not_answered_but_tabs_and_ends_of_lines_are(system: System) -> None:
    place = system.internet
    characters = [chr(code) for code in (*range(32), 127)]
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(place.registrar, place.client)) for _ in characters]
        for wire, character in zip(wires, characters, strict=True):
            line = f"Subject: one{character} two"
            wire.send(wire.request("OPTIONS", "nobody", system.realm, lines=[line]))
        answered = {
            character
            for wire, character in zip(wires, characters, strict=True)
            if wire.receive(0.05) is not None
        }
    assert answered == {"\t", "\n"}
