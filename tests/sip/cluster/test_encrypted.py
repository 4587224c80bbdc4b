"""Devices over TLS, and web pages, are reached through another node than their own."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.sip.calls.conftest import Device, give_up, hang_up, talk
from tests.sip.clients import Authority, Baresip, Registrar, Softphone, Transport, page_of
from tests.sip.cluster.conftest import Cluster, ClusterNode, MakePhone, cluster_of_two
from tests.system import SOFTPHONE_ORIGIN, Line, eventually

pytestmark = pytest.mark.native  # looks into the nodes' memory

HEARD = 50  # packets: a second of talk


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Cluster]:
    """Two nodes with TLS and WebSocket, and rtpengine."""
    own = authority.issue("127.0.0.1")
    directory: Path = tmp_path_factory.mktemp("encrypted")
    environ = {
        "KAMAILIO_TLS_CERTIFICATE": str(own.certificate),
        "KAMAILIO_TLS_PRIVATE_KEY": str(own.private_key),
        "KAMAILIO_TLS_CA": str(authority.certificate),
        "KAMAILIO_WS_ORIGINS": SOFTPHONE_ORIGIN,
    }
    with cluster_of_two(directory, environ) as cluster:
        yield cluster


@pytest.fixture
def phone(cluster: Cluster, authority: Authority) -> Iterator[MakePhone]:
    """Make phones that register with a node, over TLS unless told otherwise."""
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    ports = {node.name: node.tls for node in cluster.stack.nodes}
    with ExitStack() as devices:

        def make(node: ClusterNode, line: Line, transport: Transport = "tls") -> Device:
            place = node.system.internet
            if transport == "tls":
                registrar = Registrar(place.registrar.host, ports[node.name] or 0, "tls")
                place = replace(place, registrar=registrar)
            device = Device(node.system, line, place, transport, tls=trusting)
            devices.enter_context(device)
            assert device.register(line.credentials).status == 200
            return device

        yield make


def test_a_device_over_tls_is_called_through_the_other_node(
    cluster: Cluster, phone: MakePhone
) -> None:
    line, other = cluster.system.new_line(), cluster.system.new_line()
    callee, caller = phone(cluster.a, line), phone(cluster.b, other, "udp")
    eventually(lambda: cluster.b.knows(line))
    assert [one["transport"] for one in line.bindings()] == ["tls"]
    call = caller.call(line.number)
    incoming = callee.incoming()
    talk(call, incoming)
    for asking, device in ((call, callee), (incoming, caller)):
        asking.request("INFO")
        device.answer(device.wait_request("INFO"), 200, "OK")
        assert asking.final("INFO").status == 200
    hang_up(incoming, call)
    give_up(caller, callee, line)


def test_both_may_speak_to_their_own_node_over_tls(cluster: Cluster, phone: MakePhone) -> None:
    line, other = cluster.system.new_line(), cluster.system.new_line()
    callee, caller = phone(cluster.a, line), phone(cluster.b, other)
    eventually(lambda: cluster.b.knows(line))
    call = caller.call(line.number)
    incoming = callee.incoming()
    talk(call, incoming)
    hang_up(call, incoming)
    call = caller.call(line.number)
    incoming = callee.incoming()
    talk(call, incoming)
    hang_up(incoming, call)


def test_an_accounts_devices_at_both_nodes_ring(cluster: Cluster, phone: MakePhone) -> None:
    line, other = cluster.system.new_line(), cluster.system.new_line()
    devices = [phone(node, line) for node in cluster.nodes]
    eventually(lambda: len(line.bindings()) == 2)
    call = phone(cluster.a, other, "udp").call(line.number)
    beside, incoming = (device.incoming() for device in devices)
    beside.ring()
    call.provisional(180)
    talk(call, incoming)
    beside.wait_cancel()
    hang_up(call, incoming)


def test_disabling_throws_them_out_of_both_nodes(
    cluster: Cluster, phone: MakePhone, page: Page
) -> None:
    line = cluster.system.new_line()
    phone(cluster.a, line)
    softphone(cluster, page, cluster.b, line)
    eventually(lambda: len(line.bindings()) == 2)
    line.disable()
    assert not any(node.knows(line) for node in cluster.nodes)


# Web pages.


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that may connect."""
    with page_of(browser, SOFTPHONE_ORIGIN) as page:
        yield page


def softphone(cluster: Cluster, page: Page, node: ClusterNode, line: Line) -> Softphone:
    """The softphone of an account, registered with a node."""
    ports = {one.name: one.ws for one in cluster.stack.nodes}
    url = f"wss://{cluster.stack.sip_address}:{ports[node.name]}/"
    phone = Softphone(page, url, line.credentials)
    assert phone.register().outcome == (200, "OK")
    return phone


def address(cluster: Cluster, line: Line) -> str:
    return f"sip:{line.credentials.username}@{cluster.system.realm}"


def test_a_page_at_one_node_calls_one_at_the_other(
    cluster: Cluster, browser: Browser, page: Page
) -> None:
    lines = cluster.system.new_line(), cluster.system.new_line()
    with page_of(browser, SOFTPHONE_ORIGIN) as other:
        caller = softphone(cluster, page, cluster.b, lines[0])
        callee = softphone(cluster, other, cluster.a, lines[1])
        eventually(lambda: cluster.b.knows(lines[1]))
        caller.dial(address(cluster, lines[1]))
        callee.wait_incoming()
        callee.answer()
        caller.wait_established()
        callee.wait_established()
        assert eventually(lambda: caller.heard() >= HEARD and callee.heard() >= HEARD)
        callee.hangup()
        caller.wait_closed()


def test_a_page_and_a_desk_phone_of_different_nodes_call_each_other(
    cluster: Cluster, page: Page
) -> None:
    """Each understands only its own kind of voice, whichever node the other is at."""
    lines = cluster.system.new_line(), cluster.system.new_line()
    place = cluster.b.system.internet
    with Baresip(place.registrar, lines[0].credentials, place.client) as desk:
        assert desk.register().accepted
        browser = softphone(cluster, page, cluster.a, lines[1])
        eventually(lambda: cluster.b.knows(lines[1]) and cluster.a.knows(lines[0]))
        desk.dial(address(cluster, lines[1]))
        browser.wait_incoming()
        browser.answer()
        browser.wait_established()
        desk.wait_established(timeout=10)
        assert eventually(lambda: browser.heard() >= HEARD)
        desk.hangup()
        browser.wait_closed()

        browser.dial(address(cluster, lines[0]))
        desk.wait_incoming(timeout=10)
        desk.answer()
        browser.wait_established()
        assert eventually(lambda: browser.heard() >= HEARD)
        browser.hangup()
        desk.wait_closed(timeout=10)


def test_a_page_that_is_closed_leaves_no_binding_at_either_node(
    cluster: Cluster, page: Page
) -> None:
    line = cluster.system.new_line()
    phone = softphone(cluster, page, cluster.a, line)
    eventually(lambda: cluster.b.knows(line))
    phone.close()
    eventually(lambda: not any(node.knows(line) for node in cluster.nodes))
