"""Who has one account's password tries to get another's calls, or to send his own astray."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_hex

import pytest

from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack
from tests.figures import Figures
from tests.sip.attacks.nodes import Node, another_node
from tests.sip.calls.conftest import Device, MakeDevice
from tests.sip.clients import Wire, digest_authorization
from tests.system import Line, Place, System, Trunk, eventually

pytestmark = pytest.mark.native  # starts nodes of its own, and looks into them

# The configuration that takes the name in To for the one that was proved.
BELIEVING = {
    r'pv_auth_check\(SIP_REALM, "\$var\(ha1\)", "1", "1"\)': (
        'pv_auth_check(SIP_REALM, "$var(ha1)", "1", "0")'
    ),
    r'save\("location", "0x02", "[^"]*"\)': 'save("location", "0x02")',
}
# The configuration that lets a device say where its calls go.
OBEDIENT = {
    r'^modparam\("registrar", "use_path", 0\)': 'modparam("registrar", "use_path", 1)',
    r'search_hf\("Contact", "[^"]*", "a"\)': 'search_hf("Contact", "^never$", "a")',
}


@dataclass(frozen=True)
class Forgery:
    """A REGISTER that the attacker can prove, and what it says besides.

    `headers` replace the usual ones, `before` and `after` are lines ahead of and behind the
    attacker's Authorization, and `uri` is what the request is for.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    uri: str | None = None
    username: str | None = None


class Names:
    """Who is who in a forgery."""

    def __init__(self, attacker: Line, victim: Line) -> None:
        self.attacker = attacker.credentials
        self.realm = attacker.credentials.realm
        self.mine, self.theirs = attacker.credentials.username, victim.credentials.username
        self.own = f"<sip:{self.mine}@{self.realm}>"
        self.other = f"<sip:{self.theirs}@{self.realm}>"

    def claim(self) -> str:
        """Credentials of the victim's that prove nothing."""
        value = f'Digest username="{self.theirs}", realm="{self.realm}", nonce="{token_hex(16)}"'
        value += f', uri="sip:{self.realm}", response="{"0" * 32}"'
        return f"Authorization: {value}, algorithm=MD5, qop=auth, nc=00000001, cnonce=00"


def tagged(address: str) -> str:
    return f"{address};tag={token_hex(4)}"


FORGERIES: dict[str, Callable[[Names], Forgery]] = {
    "to": lambda n: Forgery({"To": n.other, "From": tagged(n.own)}),
    "to and from": lambda n: Forgery({"To": n.other, "From": tagged(n.other)}),
    "from": lambda n: Forgery({"To": n.own, "From": tagged(n.other)}),
    "request-uri": lambda n: Forgery({"To": n.own}, uri=n.other.strip("<>")),
    "to, and request-uri": lambda n: Forgery({"To": n.other}, uri=n.other.strip("<>")),
    "to with a name": lambda n: Forgery({"To": f'"{n.mine}" {n.other}'}),
    "to as a plain uri": lambda n: Forgery({"To": n.other.strip("<>")}),
    "to with a port": lambda n: Forgery({"To": f"<sip:{n.theirs}@{n.realm}:5060>"}),
    "to with parameters": lambda n: Forgery({"To": f"<sip:{n.theirs};x={n.mine}@{n.realm}>"}),
    "to with a password": lambda n: Forgery({"To": f"<sip:{n.theirs}:{n.mine}@{n.realm}>"}),
    "to with headers": lambda n: Forgery({"To": f"<sip:{n.theirs}@{n.realm}?To={n.mine}>"}),
    "to with a plus": lambda n: Forgery({"To": f"<sip:+{n.theirs}@{n.realm}>"}),
    "to escaped": lambda n: Forgery({"To": f"<sip:%3{n.theirs[0]}{n.theirs[1:]}@{n.realm}>"}),
    "to as a sips uri": lambda n: Forgery({"To": f"<sips:{n.theirs}@{n.realm}>"}),
    "to as a telephone number": lambda n: Forgery({"To": f"<tel:+{n.theirs}>"}),
    "to of another domain": lambda n: Forgery({"To": f"<sip:{n.theirs}@elsewhere.test>"}),
    "to in capitals": lambda n: Forgery({"To": f"<sip:{n.theirs}@{n.realm.upper()}>"}),
    "to twice": lambda n: Forgery({"To": n.own}, after=[f"To: {n.other}"]),
    "to twice, the other first": lambda n: Forgery({"To": n.own}, before=[f"To: {n.other}"]),
    "to twice, one compact": lambda n: Forgery({"To": n.own}, before=[f"t: {n.other}"]),
    "to as a list": lambda n: Forgery({"To": f"{n.own}, {n.other}"}),
    "to folded": lambda n: Forgery({"To": f"{n.own}\r\n {n.other}"}),
    "to with a lone return": lambda n: Forgery({"To": f"{n.own}\rTo: {n.other}"}),
    "to with a zero byte": lambda n: Forgery({"To": f"<sip:{n.theirs}\0{n.mine}@{n.realm}>"}),
    "credentials of both": lambda n: Forgery({"To": n.other}, after=[n.claim()]),
    "credentials of both, the other's first": lambda n: Forgery(
        {"To": n.other}, before=[n.claim()]
    ),
    "credentials of both, to oneself": lambda n: Forgery({"To": n.own}, before=[n.claim()]),
    "credentials of both, the other's as a proxy's": lambda n: Forgery(
        {"To": n.other}, before=[f"Proxy-{n.claim()}"]
    ),
    "the other's name in the credentials": lambda n: Forgery(
        {"To": n.other}, username=f'"{n.theirs}"'
    ),
    "both names in the credentials": lambda n: Forgery(
        {"To": n.other}, username=f'"{n.mine}", username="{n.theirs}"'
    ),
    "both names, the other's first": lambda n: Forgery(
        {"To": n.other}, username=f'"{n.theirs}", username="{n.mine}"'
    ),
    "a name with a domain": lambda n: Forgery({"To": n.other}, username=f'"{n.theirs}@{n.realm}"'),
    "a name with a quote": lambda n: Forgery(
        {"To": n.other}, username=f'"{n.mine}\\", username=\\"{n.theirs}"'
    ),
    "everything of the other is taken away": lambda n: Forgery(
        {"To": n.other, "Contact": "*", "Expires": "0"}
    ),
}


@pytest.fixture
def victim(system: System) -> Line:
    """An account of another customer."""
    customer = system.api.post("/customers", {"name": token_hex(8)}).expect(201)
    project = {"name": token_hex(8), "customer_id": customer["id"]}
    made = system.api.post("/projects", project).expect(201)
    return system.new_line(project_id=made["id"])


@pytest.fixture(scope="module")
def believing(
    stack: Stack, system: System, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """The control."""
    folder = tmp_path_factory.mktemp("believing")
    with another_node(stack, system, folder, changes=BELIEVING) as node:
        yield node


def forge(place: Place, names: Names, forgery: Forgery, contact: str) -> int:
    """Send a forgery, and return the status that it gets, 0 for none."""
    uri = forgery.uri or f"sip:{names.realm}"
    with Wire(place.registrar, place.client) as wire:
        first = wire.exchange(wire.request("REGISTER", names.mine, names.realm, uri=uri))
        wire.timeout = 1.0  # some are not answered at all
        proof = digest_authorization(names.attacker, first.challenge, method="REGISTER", uri=uri)
        if forgery.username:
            proof = proof.replace(f'username="{names.mine}"', f"username={forgery.username}", 1)
        headers = {"Contact": contact, "Expires": "300", **forgery.headers}
        lines = [*forgery.before, f"Authorization: {proof}", *forgery.after]
        request = wire.request("REGISTER", names.mine, names.realm, headers, uri=uri, lines=lines)
        return wire.exchange(request).status


def bound(node: KamailioNode, names: Names) -> list[str]:
    """Where the victim's calls go."""
    return [one.contact for one in node.bindings(f"{names.theirs}@{names.realm}")]


def hijacks(system: System, node: KamailioNode, names: Names, home: str) -> list[str]:
    """The forgeries that changed where the victim's calls go; each is undone."""
    successful: list[str] = []
    for name, make in FORGERIES.items():
        forge(system.internet, names, make(names), f"<sip:attacker@192.0.2.66:{len(successful)}>")
        if bound(node, names) != [home]:
            successful.append(name)
            node.drop_bindings(f"{names.theirs}@{names.realm}")
            node.call(
                "ul.add", "location", f"{names.theirs}@{names.realm}", home, 300, 1.0, "", 0, 0, 0
            )
    return successful


def attacked(
    system: System, node: KamailioNode, victim: Line, figures: Figures, title: str
) -> list[str]:
    """Register the victim's device, attack, and return what was successful."""
    place = system.internet
    with Wire(place.registrar, place.client) as device:
        assert device.register(victim.credentials).status == 200
        names = Names(system.new_line(), victim)
        (home,) = bound(node, names)
        before = set(node.aors())
        successful = hijacks(system, node, names, home)
        # Nor under another spelling of the victim's name.
        added = set(node.aors()) - before - {f"{names.mine}@{names.realm}"}
        figures(title, f"{len(successful)} of {len(FORGERIES)}")
        return [*successful, *added]


def test_nobody_gets_the_calls_of_another_customers_account(
    system: System, kamailio: KamailioNode, victim: Line, figures: Figures
) -> None:
    assert attacked(system, kamailio, victim, figures, "registrations hijacked") == []


def test_where_to_is_believed_calls_are_hijacked(
    believing: Node, victim: Line, figures: Figures
) -> None:
    """The control."""
    title = "control: registrations hijacked"
    successful = attacked(believing.system, believing.kamailio, victim, figures, title)
    assert {"to", "to and from", "everything of the other is taken away"} <= set(successful)


# Calls that are led astray.

ASTRAY = {
    "path": lambda where: {"Path": f"<sip:{where};lr>", "Supported": "path"},
    "received": lambda where: {"Contact": f'<{premium(where)}>;received="sip:{where}"'},
    "received, spelled otherwise": lambda where: {
        "Contact": f'<{premium(where)}>;q=1 ; RECEIVED\t=\r\n "sip:{where}"'
    },
    "received, in the second place": lambda where: {
        "Contact": f'<sip:1@192.0.2.1>, <{premium(where)}>;received="sip:{where}"'
    },
    "maddr": lambda where: {"Contact": f"<{premium(where)};maddr={where.partition(':')[0]}>"},
    "alias": lambda where: {
        "Contact": f"<{premium(where)};alias={where.replace(':', '~')}~1;received=sip:{where}>"
    },
    "route": lambda where: {"Contact": f"<{premium(where)}?Route=%3Csip:{where}%3Blr%3E>"},
    "contact": lambda where: {"Contact": f"<{premium(where)}>"},
}


def premium(where: str) -> str:
    return f"sip:+39899123456@{where}"


@pytest.fixture(scope="module")
def obedient(
    stack: Stack, system: System, trunk: Trunk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """The control; it starts once there is a trunk."""
    folder = tmp_path_factory.mktemp("obedient")
    with another_node(stack, system, folder, changes=OBEDIENT) as node:
        yield node


def led_astray(system: System, trunk: Trunk, device: MakeDevice, way: str) -> bool:
    """Whether a call to an account arrives at the carrier, to a number that nobody dialled."""
    callee, place = system.new_line(), system.internet
    carriers = Place("carriers", trunk.place.client, place.registrar)
    attacker = device(callee, place=place, registered=False)
    with Device(system, None, carriers, trunk.transport, trunk.port) as carrier:
        headers = ASTRAY[way](carrier.host_port)
        status = attacker.register(callee.credentials, headers=headers).status
        call = device(system.new_line(), place=place, registered=False).call(callee.number)
        if status == 400:
            assert call.outcome() == (480, "Temporarily Unavailable")
            return not carrier.is_quiet()
        assert status == 200
        eventually(lambda: not carrier.is_quiet() or not attacker.is_quiet())
        called = attacker if carrier.is_quiet() else carrier
        called.incoming().respond(486, "Busy Here")
        assert call.outcome() == (486, "Busy Here")
        return called is carrier


@pytest.mark.parametrize("way", ASTRAY)
def test_a_device_cannot_have_its_calls_sent_to_a_carrier(
    system: System, trunk: Trunk, device: MakeDevice, way: str
) -> None:
    assert not led_astray(system, trunk, device, way)


@pytest.mark.parametrize("way", ["path", "received", "received, spelled otherwise"])
def test_where_a_device_is_obeyed_the_carrier_is_called(
    obedient: Node, trunk: Trunk, device: MakeDevice, way: str
) -> None:
    """The control."""
    assert led_astray(obedient.system, trunk, device, way)
