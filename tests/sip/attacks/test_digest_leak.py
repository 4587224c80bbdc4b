"""Whoever a phone talks with asks it for its credentials: none of them reaches him."""

import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from secrets import token_hex

import pytest

from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.calls.conftest import Device, MakeDevice, talk
from tests.sip.calls.test_bypass import authenticated
from tests.sip.clients import (
    Baresip,
    Call,
    Credentials,
    IncomingCall,
    Message,
    digest_authorization,
    digest_parameters,
    uri_in,
)
from tests.system import Place, System, Trunk

pytestmark = pytest.mark.native  # starts nodes of its own

CREDENTIALS = ("Authorization", "Proxy-Authorization")
CHALLENGES = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}
# Within a call; BYE, which ends it, comes last.
METHODS = ["INFO", "UPDATE", "MESSAGE", "NOTIFY", "REFER", "SUBSCRIBE", "INVITE", "BYE"]
# The configuration that passes on what comes.
TALKATIVE = {
    r'\tif \(t_check_status\("401\|407\|3\[0-9\]\[0-9\]"\)\) t_reply[^\n]*\n': "\treturn;\n",
    r'\tif \(t_check_status\("401\|407\|3\[0-9\]\[0-9\]"\)\) \{': "\tif ($T_reply_code == 999) {",
    r"\tif \(!t_check_trans\(\)\) drop;\n": "",
    r'\tif \(is_method\("INVITE\|SUBSCRIBE"\)\) route\(WAYBACK\);\n': "",
    r'\tkeep_hf\("[^\n]*\n': "\treturn;\n",
}


@pytest.fixture(scope="module")
def talkative(
    stack: Stack, system: System, trunk: Trunk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """The control; it starts once there is a trunk."""
    folder = tmp_path_factory.mktemp("talkative")
    with another_node(stack, system, folder, changes=TALKATIVE) as node:
        yield node


@dataclass
class Bait:
    """What an attacker does with the requests that he is sent, and what came of it.

    `status` is what he answers; `forged`: first as an answer that no transaction waits for.
    """

    attacker: Device
    status: int
    forged: bool
    realm: str
    shown: Counter[str] = field(default_factory=Counter)

    def take(self, method: str) -> None:
        """Challenge, or redirect, who asks."""
        request = self.attacker.wait_request(method)
        self.look(request, "unasked")
        if self.forged:
            self.attacker.send(self._beside(request))
        self.attacker.answer(request, self.status, "No", tag="bait", lines=[self.field()])

    def look(self, request: Message, how: str) -> None:
        """Count it if it shows credentials."""
        if any(request.all(name) for name in CREDENTIALS):
            self.shown[how] += 1

    def field(self) -> str:
        """What makes a device answer with its credentials, or come to where it can be asked."""
        if self.status not in CHALLENGES:
            return f"Contact: <{self.attacker.contact}>"
        challenge = f'Digest realm="{self.realm}", nonce="{token_hex(8)}", qop="auth"'
        return f"{CHALLENGES[self.status]}: {challenge}"

    def _beside(self, request: Message) -> bytes:
        """The same answer, to a branch of the server's that it does not know."""
        vias = [re.sub(r"branch=[^;]+", "branch=z9hG4bKbait.0", request.all("Via")[0])]
        vias += request.all("Via")[1:]
        lines = [f"SIP/2.0 {self.status} No", *(f"Via: {via}" for via in vias)]
        lines += [f"{name}: {request.header(name)}" for name in ("From", "Call-ID", "CSeq")]
        to = request.header("To") or ""
        lines += [f"To: {to if ';tag=' in to else f'{to};tag=bait'}", self.field()]
        return ("\r\n".join([*lines, "Content-Length: 0"]) + "\r\n\r\n").encode()


def ask(call: Call, credentials: Credentials, bait: Bait, method: str) -> None:
    """Have a device ask within a call, and answer a challenge as phones do.

    It shows its credentials without being asked, too, as phones do that were once.
    """
    known = {"realm": bait.realm, "nonce": token_hex(16), "qop": "auth"}
    unasked = digest_authorization(credentials, known, method=method, uri="sip:x")
    headers = {"Proxy-Authorization": unasked, "Contact": f"<{call.endpoint.contact}>"}
    headers |= {"Event": "refer", "Subscription-State": "active", "Refer-To": "<sip:1@x.invalid>"}
    call.request(method, headers=headers)
    bait.take(method)
    answer = call.final(method)
    if answer.status // 100 == 3:
        bait.shown["redirected"] += 1
    if answer.status not in CHALLENGES:
        return
    asked = digest_parameters(answer.header(CHALLENGES[answer.status]) or "")
    proof = digest_authorization(credentials, asked, method=method, uri="sip:x")
    del headers["Proxy-Authorization"]
    call.request(method, headers={**headers, "Authorization": proof})
    again = bait.attacker.wait_request(method)
    bait.look(again, "asked")
    bait.attacker.answer(again, 200, "OK")


Meeting = tuple[Call, Credentials, Device]  # the victim's side of a call, and the attacker


def met_as_callee(system: System, trunk: Trunk, device: MakeDevice) -> Meeting:
    """The victim calls the attacker."""
    line, callee = system.new_line(), system.new_line()
    attacker = device(callee, place=system.internet)
    call = device(line, place=system.internet, registered=False).call(callee.number)
    talk(call, attacker.incoming())
    return call, line.credentials, attacker


def met_as_caller(system: System, trunk: Trunk, device: MakeDevice) -> Meeting:
    """The attacker calls the victim."""
    line = system.new_line()
    victim = device(line, place=system.internet)
    attacker = device(system.new_line(), place=system.internet, registered=False)
    call = attacker.call(line.number)
    incoming = victim.incoming()
    talk(call, incoming)
    return incoming, line.credentials, attacker


def met_as_carrier(system: System, trunk: Trunk, device: MakeDevice) -> Meeting:
    """The victim calls through the attacker."""
    line = system.new_line()
    carriers = Place("carriers", trunk.place.client, system.internet.registrar)
    attacker = Device(system, None, carriers, trunk.transport, trunk.port)
    call = device(line, place=system.internet, registered=False).call("+390299000001")
    talk(call, attacker.incoming())
    return call, line.credentials, attacker


MEETINGS = [met_as_callee, met_as_caller, met_as_carrier]
BAITS = [(status, forged) for status in (401, 407, 302) for forged in (False, True)]


def leaks(system: System, trunk: Trunk, device: MakeDevice, figures: Figures) -> Counter[str]:
    """What attackers of every kind got, by how they got it."""
    shown: Counter[str] = Counter()
    for meet in MEETINGS:
        for status, forged in BAITS:
            call, credentials, attacker = meet(system, trunk, device)
            bait = Bait(attacker, status, forged, system.realm)
            for method in METHODS:
                ask(call, credentials, bait, method)
            shown += Counter(
                {f"{how}, forged" if forged else how: n for how, n in bait.shown.items()}
            )
            attacker.close()
    asked = len(MEETINGS) * len(BAITS) * len(METHODS)
    figures("requests within calls that were challenged or redirected", asked)
    figures("of which credentials were got", dict(shown))
    return shown


def test_nobody_gets_credentials_within_a_call(
    system: System, trunk: Trunk, device: MakeDevice, figures: Figures
) -> None:
    assert leaks(system, trunk, device, figures) == Counter()


def test_where_everything_is_passed_on_everybody_gets_them(
    talkative: Node, trunk: Trunk, device: MakeDevice, figures: Figures
) -> None:
    """The control."""
    shown = leaks(talkative.system, trunk, device, figures)
    assert set(shown) == {
        f"{how}{forged}"
        for how in ("unasked", "asked", "redirected")
        for forged in ("", ", forged")
    }


# What a call, a message or a subscription begins with.


def first_answer(system: System, device: MakeDevice, method: str, status: int) -> int:
    """What a device hears of a callee's answer to its first request."""
    line, callee, place = system.new_line(), system.new_line(), system.internet
    attacker = device(callee, place=place)
    victim = device(line, place=place, registered=False)
    bait = Bait(attacker, status, forged=False, realm=system.realm)
    if method == "INVITE":
        call = victim.call(callee.number)
        attacker.incoming().respond(status, "No", lines=[bait.field()])
        return call.outcome()[0]
    victim.send(authenticated(system, victim, line, method, callee, ["Event: dialog"]))
    bait.take(method)
    assert bait.shown == Counter()
    answer = victim.final_response()
    assert answer
    return answer.status


FIRST = [(method, status) for method in ("INVITE", "MESSAGE", "SUBSCRIBE") for status in (401, 302)]


@pytest.mark.parametrize(("method", "status"), FIRST)
def test_a_callees_challenge_or_redirection_is_not_passed_on(
    system: System, talkative: Node, device: MakeDevice, method: str, status: int
) -> None:
    assert first_answer(system, device, method, status) == 480
    assert first_answer(talkative.system, device, method, status) == status


# The way that later requests take.

# The Record-Routes of an answer; {ours} is what the server recorded, {his} where the attacker is.
WAYS = {
    "left out": [],
    "replaced": ["<{his};lr>"],
    "gone round": ["<{ours}>", "<{his};lr>"],
    "gone round in one field": ["<{ours}>, <{his};lr>"],
    "led elsewhere": ["<{ours};maddr={host}>"],
    "disguised": ['<{his};lr;x=",<{ours}>">'],
}


def without_route(invite: Message) -> Message:
    """An INVITE as if nobody had recorded a route in it."""
    headers = tuple(pair for pair in invite.headers if pair[0] != "Record-Route")
    return replace(invite, headers=headers)


def first_hop(system: System, device: MakeDevice, way: str) -> str:
    """The last Record-Route of the answer that the caller hears."""
    callee, place = system.new_line(), system.internet
    attacker = device(callee, place=place)
    call = device(system.new_line(), place=place, registered=False).call(callee.number)
    incoming = attacker.incoming()
    names = {
        "ours": uri_in(incoming.invite.header("Record-Route") or ""),
        "his": f"sip:{attacker.host_port}",
        "host": attacker.source,
    }
    routes = [route.format_map(names) for route in WAYS[way]]
    invite = without_route(incoming.invite)
    headers = (*invite.headers, *(("Record-Route", route) for route in routes))
    IncomingCall(attacker, replace(invite, headers=headers)).take()
    return (call.answered().all("Record-Route") or [""])[-1]


@pytest.mark.parametrize("way", WAYS)
def test_a_callee_cannot_take_the_servers_place(
    system: System, talkative: Node, device: MakeDevice, way: str
) -> None:
    here = system.internet.registrar.address
    ours = rf"<sip:{re.escape(here)};[^<>,\"]*>"
    hop = first_hop(system, device, way)
    assert re.fullmatch(ours, hop)
    assert "maddr" not in hop
    hop = first_hop(talkative.system, device, way)
    here = talkative.system.internet.registrar.address
    ours = rf"<sip:{re.escape(here)};[^<>,\"]*>"
    assert not re.fullmatch(ours, hop) or "maddr" in hop


def told_directly(system: System, device: MakeDevice) -> bool:
    """Whether a phone that holds a call shows its credentials to a callee who hid the way."""
    line, callee, place = system.new_line(), system.new_line(), system.internet
    attacker = device(callee, place=place)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
        Baresip(place.registrar, line.credentials, place.client) as phone,
    ):
        ear.bind((place.client, 0))
        assert phone.register().accepted
        phone.dial(f"sip:{callee.number}@{system.realm}")
        incoming = attacker.incoming()
        host, port = ear.getsockname()
        lines = [f"Contact: <sip:ear@{host}:{port}>", "Content-Type: application/sdp"]
        invite = without_route(incoming.invite)
        attacker.answer(invite, 200, "OK", tag="bait", lines=lines, body=attacker.sdp)
        phone.wait_established(timeout=10)
        phone.hold()
        phone.wait_requests("INVITE", count=3, timeout=10)
        ear.setblocking(False)
        heard = b""
        with suppress(BlockingIOError):
            while True:
                heard += ear.recv(65535)
        return b"Authorization:" in heard


def test_a_phone_does_not_tell_a_callee_who_hid_the_way(
    system: System, talkative: Node, device: MakeDevice
) -> None:
    """What baresip says in a call shows its credentials in each request of a call."""
    assert not told_directly(system, device)
    assert told_directly(talkative.system, device)
