"""Nodes in the API, on the command line and in the console: what is wanted of them, what shows."""

from typing import Any

import pytest

from provisioner import db
from provisioner.access import Role
from tests.integration.conftest import Client
from tests.integration.console import Visitor, logged_in
from tests.integration.test_cli import (
    CONFLICT,
    IN_PART,
    NOT_FOUND,
    USAGE,
    Run,
    cli,
    cli_server,
    told,
)

__all__ = ["cli", "cli_server"]  # fixtures

URL = "http://10.0.0.12:8090/rpc"


def added(client: Client, name: str = "node2", rpc_url: str = URL) -> Any:
    return client.create("/nodes", name=name, rpc_url=rpc_url)


def empty(admin: db.Connection, **columns: Any) -> None:
    """What a worker writes of a node that drains and has no call any more."""
    values = {"state": "up", "dialogs": 0, "seconds": 6, "seen": 0, **columns}
    admin.execute(
        "UPDATE provisioner.nodes SET state = %(state)s, dialogs = %(dialogs)s,"
        " refuses_since = now() - make_interval(secs => %(seconds)s),"
        " last_seen_at = now() - make_interval(secs => %(seen)s), last_compared_at = now()",
        values,
    )


def events(client: Client) -> list[str]:
    items = client("GET", "/audit-events?subject=node&sort=id").json["items"]
    assert {one["subject_id"] for one in items} <= {"node2"}
    return [one["type"] for one in items]


def test_a_node_is_added_once_however_often_it_is_asked_for(client: Client) -> None:
    node = added(client)
    assert (node["state"], node["converged"], node["draining"]) == ("catching_up", False, False)
    assert added(client) == node
    assert client("GET", "/nodes/node2").json == node
    assert [one["name"] for one in client("GET", "/nodes").json["items"]] == ["node2"]
    assert events(client) == ["node.added"]


@pytest.mark.parametrize(
    ("name", "rpc_url", "pointer"),
    [("node2", "http://10.0.0.13:8090/rpc", "#/name"), ("node3", URL, "#/rpc_url")],
)
def test_another_node_takes_neither_name_nor_address(
    client: Client, name: str, rpc_url: str, pointer: str
) -> None:
    added(client)
    answer = client("POST", "/nodes", {"name": name, "rpc_url": rpc_url})
    assert answer.status_code == 409
    assert answer.json["type"] == "urn:provisioner:problem:node-exists"
    assert answer.json["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "rpc_url",
    [
        "https://10.0.0.12:8090/rpc",
        "http://10.0.0.12/rpc",
        "http://10.0.0.12:8090/",
        "http://10.0.0.12:8090/rpc?x=/rpc",
        "http://user@10.0.0.12:8090/rpc",
        # where the worker's token would be shown to whoever asks
        "http://203.0.113.7:8090/rpc",
        "http://169.254.169.254:80/rpc",
        "http://[2001:db8::1]:8090/rpc",
        "http://[::ffff:203.0.113.7]:8090/rpc",
        "http://node.example.com:8090/rpc",
        "http://0.0.0.0:8090/rpc",
        "http://2130706433:8090/rpc",
    ],
)
def test_the_token_is_shown_to_no_address_outside(client: Client, rpc_url: str) -> None:
    answer = client("POST", "/nodes", {"name": "node2", "rpc_url": rpc_url})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "#/rpc_url"
    assert client("GET", "/nodes").json["items"] == []


@pytest.mark.parametrize("host", ["192.168.1.2", "172.16.0.9", "[fd00::1]", "127.0.0.1"])
def test_addresses_of_private_networks_are_taken(client: Client, host: str) -> None:
    assert added(client, rpc_url=f"http://{host}:8090/node2/rpc")["name"] == "node2"


def test_draining_is_wanted_until_the_node_shall_take_calls_again(client: Client) -> None:
    added(client)
    for _ in range(2):
        node = client("POST", "/nodes/node2/drain").json
        assert (node["draining"], node["drained"], node["dialogs"]) == (True, False, None)
    for _ in range(2):
        assert not client("POST", "/nodes/node2/resume").json["draining"]
    assert events(client) == ["node.added", "node.draining", "node.resumed"]


@pytest.mark.parametrize(
    ("columns", "drained"),
    [
        ({}, True),
        ({"dialogs": 1}, False),
        ({"dialogs": None}, False),
        ({"seconds": 3}, False),  # what was let in just before may become a call yet
        ({"seconds": None}, False),
        ({"state": "away"}, False),
        ({"seen": 11}, False),  # nobody looks at it
    ],
)
def test_a_node_is_drained_when_it_has_no_calls_and_can_get_none(
    client: Client, admin: db.Connection, columns: dict[str, Any], drained: bool
) -> None:
    added(client)
    empty(admin, **columns)
    assert not client("GET", "/nodes/node2").json["drained"]
    answer = client("POST", "/nodes/node2/drain", Prefer="wait=0")
    assert answer.status_code == (200 if drained else 202)
    assert answer.json["drained"] is drained


def test_a_node_that_is_forgotten_is_not_waited_for(client: Client) -> None:
    added(client)
    assert client.new_account()["convergence"]["pending_nodes"] == ["node2"]
    assert client("DELETE", "/nodes/node2").status_code == 204
    assert client("GET", "/sip-accounts").json["items"][0]["convergence"]["converged"]
    assert events(client) == ["node.added", "node.forgotten"]
    for method, path in (("DELETE", ""), ("GET", ""), ("POST", "/drain"), ("POST", "/resume")):
        assert client(method, f"/nodes/node2{path}").status_code == 404


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_the_operators_admin_may(client: Client, role: Role) -> None:
    added(client)
    other = client.bearing(client.create("/tokens", name=role, role=role)["token"])
    customer = client.create("/customers", name="Bianchi")["id"]
    theirs = client.create("/tokens", name="theirs", role="admin", customer_id=customer)
    for member in (other, client.bearing(theirs["token"])):
        body = {"name": "node3", "rpc_url": "http://10.0.0.13:8090/rpc"}
        assert member("POST", "/nodes", body).status_code == 403
        assert member("DELETE", "/nodes/node2").status_code == 403
        assert member("POST", "/nodes/node2/drain").status_code == 403
        assert member("POST", "/nodes/node2/resume").status_code == 403


# The command line.


def test_a_node_that_does_not_join_in_time_is_told(cli: Run) -> None:
    done = cli("nodes", "add", "node2", "http://kamailio2:8090/rpc", "--wait", "1", code=IN_PART)
    assert done.stdout.startswith("node2: no worker looks at it\n")
    assert told(cli("nodes", "list", "--json")) == told(cli("nodes", "--json"))
    cli("nodes", "add", "node2", "http://kamailio2:8090/rpc", "--wait", "0")
    cli("nodes", "add", "node2", "http://kamailio3:8090/rpc", code=CONFLICT)
    cli("nodes", "add", "node 2", "http://kamailio2:8090/rpc", code=USAGE)
    cli("nodes", "add", "node2", "kamailio2:8090", code=USAGE)


def test_a_node_drains_and_resumes(cli: Run, client: Client, admin: db.Connection) -> None:
    added(client)
    assert told(cli("nodes", "drain", "node2", "--json"))["draining"]
    empty(admin, dialogs=2)
    done = cli("nodes", "drain", "node2", "--wait", "1", code=IN_PART)
    assert done.stdout.startswith("No other node takes calls: only those for help are taken now.\n")
    assert "\nnode2: calls in progress: 2\n" in done.stdout
    empty(admin)
    assert told(cli("nodes", "drain", "node2", "--wait", "--json"))["drained"]
    assert not told(cli("nodes", "resume", "node2", "--json"))["draining"]
    cli("nodes", "drain", "node3", code=NOT_FOUND)


@pytest.mark.parametrize("command", [("nodes", "forget"), ("forget-node",)])
def test_a_node_is_forgotten(cli: Run, client: Client, command: tuple[str, ...]) -> None:
    added(client)
    assert cli(*command, "node2").stdout == "The node is forgotten.\n"
    cli(*command, "node2", code=NOT_FOUND)


def test_a_node_that_would_come_back_is_told(cli: Run, client: Client) -> None:
    added(client, name="node1")  # as in the stack's KAMAILIO_NODES
    assert "out of KAMAILIO_NODES" in cli("nodes", "forget", "node1").stdout


# The console.


def test_the_console_drains_and_resumes(client: Client, admin: db.Connection) -> None:
    added(client)
    empty(admin, dialogs=7)
    operator = logged_in(client, admin, Role.ADMIN, None)
    assert "Draining" not in operator.get("/nodes").text
    operator.post("/nodes/drain", "/nodes", name="node2")
    page = operator.get("/nodes").text
    assert "node2 takes nothing new; its calls go on." in page
    assert "<td>7</td>" in page
    assert "Draining" in page
    empty(admin)
    assert "Drained" in operator.get("/nodes").text
    operator.post("/nodes/resume", "/nodes", name="node2")
    assert "node2 takes registrations and calls again." in operator.get("/nodes").text
    operator.post("/nodes/resume", "/nodes", name="node3")
    assert "There is no such node." in operator.get("/nodes").text


def test_whoever_only_sees_nodes_has_no_buttons(client: Client, admin: db.Connection) -> None:
    added(client)
    technician: Visitor = logged_in(client, admin, Role.TECHNICIAN, None)
    assert 'action="/console/nodes/drain"' not in technician.get("/nodes").text
    assert technician.post("/nodes/drain", "/numbers", name="node2").status_code == 403
