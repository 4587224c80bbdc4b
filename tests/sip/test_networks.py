"""An account's own networks: who is let in and who is not, at once and without a reload."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.kamailio import KamailioNode
from provisioner.stack.stack import Stack
from tests.sip.clients import PHONES, Baresip, Phone, Registrar, Sipp, Wire
from tests.system import Line, Place, System, eventually, native_system

REFUSED = (403, "Network Not Allowed")
ELSEWHERE = "192.0.2.0/24"


def phone(line: Line, place: Place) -> Sipp:
    return Sipp(place.registrar, line.credentials, place.client)


def own(place: Place) -> str:
    """A network that holds one phone."""
    return f"{place.client}/32"


def allow(line: Line, *networks: str, **fields: object) -> None:
    body = {"allowed_networks": list(networks) or None, **fields}
    line.api.patch(line.path, body, wait=10).expect(200)


@pytest.mark.parametrize("kind", PHONES, ids=lambda kind: kind.name)
def test_a_phone_in_its_own_network_registers(system: System, kind: type[Phone]) -> None:
    place = system.internet
    line = system.new_line(allowed_networks=[ELSEWHERE, own(place)])
    with kind(place.registrar, line.credentials, place.client) as device:
        assert device.register().accepted
        assert line.bindings()


@pytest.mark.parametrize("kind", PHONES, ids=lambda kind: kind.name)
def test_a_phone_elsewhere_is_refused(system: System, kind: type[Phone]) -> None:
    line = system.new_line(allowed_networks=[ELSEWHERE])
    place = system.internet
    with kind(place.registrar, line.credentials, place.client) as device:
        assert device.register().outcome == REFUSED
    assert line.bindings() == []


def test_either_kind_of_network_suffices(system: System) -> None:
    line = system.new_line(cloudfire_only=True, allowed_networks=[own(system.internet)])
    assert phone(line, system.cloudfire).register().accepted
    assert phone(line, system.internet).register().accepted


def test_who_is_in_neither_kind_of_network_is_refused(system: System) -> None:
    line = system.new_line(cloudfire_only=True, allowed_networks=[ELSEWHERE])
    assert phone(line, system.cloudfire).register().accepted
    assert phone(line, system.internet).register().outcome == REFUSED


def test_cloudfires_networks_are_not_an_accounts_own(system: System) -> None:
    line = system.new_line(allowed_networks=[ELSEWHERE])
    assert phone(line, system.cloudfire).register().outcome == REFUSED


def test_own_networks_do_not_let_a_teams_account_in(system: System) -> None:
    line = system.new_line(enabled=False, allowed_networks=[own(system.internet)])
    line.api.post(f"{line.path}/link-to-teams", wait=10).expect(200)
    assert phone(line, system.internet).register().outcome == REFUSED
    assert phone(line, system.cloudfire).register().accepted


def test_networks_hold_for_calls_as_for_registrations(system: System) -> None:
    line = system.new_line(allowed_networks=[ELSEWHERE])
    with Wire(system.internet.registrar, system.internet.client) as wire:
        answer = wire.invite(line.credentials, "390000000000").response
    assert answer
    assert (answer.status, answer.reason) == REFUSED


def test_a_wrong_password_from_elsewhere_is_only_challenged(system: System) -> None:
    line = system.new_line(allowed_networks=[ELSEWHERE])
    other = system.new_line()
    wrong = type(line.credentials)(
        line.credentials.username, other.credentials.password, system.realm
    )
    place = system.internet
    assert Sipp(place.registrar, wrong, place.client).register().status == 401


@pytest.mark.native  # stops the worker
def test_a_change_holds_at_once_and_without_a_reload(system: System, stack: Stack) -> None:
    """Without a worker nobody could tell the node to load anything."""
    line = system.new_line(allowed_networks=[ELSEWHERE])
    stack.worker.stop()
    try:
        for networks, accepted in (([own(system.internet)], True), ([ELSEWHERE], False)):
            line.api.patch(line.path, {"allowed_networks": networks}).expect(200)
            assert phone(line, system.internet).register().accepted is accepted
    finally:
        stack.worker.start()
        stack.worker.wait_ready()


# Narrower networks.


def test_narrowing_drops_the_binding_outside_and_keeps_the_one_inside(system: System) -> None:
    line = system.new_line()
    for place in (system.cloudfire, system.internet):
        assert phone(line, place).register().accepted
    assert len(line.bindings()) == 2
    allow(line, own(system.cloudfire))
    (binding,) = line.bindings()
    assert binding["source"].startswith(f"{system.cloudfire.client}:")


def test_a_real_phone_that_is_shut_out_is_refused_as_it_comes_back(system: System) -> None:
    place = system.internet
    line = system.new_line(allowed_networks=[own(place)])
    with Baresip(place.registrar, line.credentials, place.client) as baresip:
        assert baresip.register().accepted
        allow(line, ELSEWHERE)
        assert line.bindings() == []
        assert baresip.register().outcome == REFUSED
        allow(line)
        assert baresip.register().accepted


def test_replacing_own_networks_by_cloudfires_drops_the_binding(system: System) -> None:
    line = system.new_line(allowed_networks=[own(system.internet)])
    assert phone(line, system.internet).register().accepted
    allow(line, cloudfire_only=True)
    assert line.bindings() == []


def test_widening_drops_nothing(system: System) -> None:
    line = system.new_line(allowed_networks=[own(system.internet)])
    assert phone(line, system.internet).register().accepted
    allow(line, own(system.internet), ELSEWHERE)
    allow(line, own(system.internet), ELSEWHERE, cloudfire_only=True)
    allow(line, cloudfire_only=False)
    assert len(line.bindings()) == 1


def test_a_new_allowlist_of_cloudfires_leaves_who_is_in_its_own_network(system: System) -> None:
    line = system.new_line(cloudfire_only=True, allowed_networks=[own(system.internet)])
    for place in (system.cloudfire, system.internet):
        assert phone(line, place).register().accepted
    try:
        system.api.put("/networks/cloudfire", {"cidrs": [ELSEWHERE]}, wait=10).expect(200)
        (binding,) = line.bindings()
        assert binding["source"].startswith(f"{system.internet.client}:")
    finally:
        cidrs = [system.cloudfire_cidr]
        system.api.put("/networks/cloudfire", {"cidrs": cidrs}, wait=10).expect(200)


# IPv6.


@pytest.fixture(scope="module")
def system6(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that also listens on IPv6; the internet's place is there."""
    directory: Path = tmp_path_factory.mktemp("stack6")
    environ = {"SYNC_INTERVAL": "2"}
    with Stack(directory, environ=environ, extra_sip_addresses=["::1"]) as stack:
        system = native_system(stack)
        system.internet = Place("internet", "::1", Registrar("::1", stack.sip_port))
        yield system


@pytest.mark.native  # the harness has IPv4 networks
@pytest.mark.parametrize(
    ("networks", "accepted"),
    [
        (["::1/128"], True),
        (["::/64"], True),
        (["2001:db8::/32", "::1/128"], True),
        (["::1/128", "2001:db8::/32", "127.0.0.0/8"], True),
        (["2001:db8::/32"], False),
        (["127.0.0.0/8"], False),
        # As they stand, Kamailio would let ::1 in.
        (["4::/16", "::/128"], False),
        (["::2/128", "8000::/1", "::/128"], False),
    ],
    ids=str,
)
def test_ipv6_networks_let_in_whom_they_name(
    system6: System, networks: list[str], accepted: bool
) -> None:
    line = system6.new_line(allowed_networks=networks)
    with Wire(system6.internet.registrar, "::1") as wire:
        answer = wire.register(line.credentials).response
    assert answer
    assert (answer.status, answer.reason) == ((200, "OK") if accepted else REFUSED)


@pytest.mark.native
def test_narrowing_ipv6_networks_drops_the_binding(system6: System) -> None:
    line = system6.new_line(allowed_networks=["::/64"])
    with Wire(system6.internet.registrar, "::1") as wire:
        assert wire.register(line.credentials).status == 200
    (binding,) = line.bindings()
    assert binding["source"].startswith("[::1]:")
    allow(line, "::/128")
    assert line.bindings() == []


# The comparison.


@pytest.mark.native  # edits the database
def test_a_binding_from_outside_an_accounts_own_networks_is_found(
    system: System, stack: Stack
) -> None:
    line = system.new_line(allowed_networks=[own(system.internet)])
    node = KamailioNode(stack.rpc_url, stack.rpc_root_token)
    aor = f"{line.credentials.username}@{system.realm}"
    for host in (system.internet.client, "127.0.20.9"):
        node.call("ul.add", "location", aor, f"sip:x@{host}:5060", 300, 1.0, "", 0, 0, 0)
    node.close()
    eventually(lambda: len(line.bindings()) == 1)
    assert line.bindings()[0]["source"].startswith(f"{system.internet.client}:")
