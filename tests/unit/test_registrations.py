from datetime import UTC, datetime

from provisioner.kamailio import NOT_SET, Binding
from provisioner.registrations import each_once

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def binding(name: str, socket: str, ruid: str = "a") -> Binding:
    contact = {"Ruid": ruid, "Address": f"sip:{name}@192.0.2.1", "Expires": 60, "Socket": socket}
    return Binding.from_rpc({**contact, "Last-Modified": 1_700_000_000}, NOW)


def test_a_binding_that_several_nodes_show_is_told_once_at_the_node_of_its_device() -> None:
    own, told = binding("a", "udp:192.0.2.9:5060", ruid="b"), binding("a", NOT_SET)
    assert each_once([("node1", told), ("node2", own), ("node3", told)]) == [("node2", own)]
    assert each_once([("node1", own), ("node2", told)]) == [("node1", own)]


def test_a_binding_of_a_node_that_is_gone_is_still_told() -> None:
    told = binding("a", NOT_SET)
    assert each_once([("node2", told), ("node3", told)]) == [("node2", told)]


def test_other_bindings_are_all_told() -> None:
    one, other = binding("a", NOT_SET), binding("b", "udp:192.0.2.9:5060")
    assert each_once([("node1", one), ("node1", other)]) == [("node1", one), ("node1", other)]
