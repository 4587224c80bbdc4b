"""Trunks: what can be written, what Kamailio reads of it, and what changes tell the nodes."""

import subprocess
from typing import Any

from provisioner import db
from provisioner.access import Role
from tests.integration.conftest import Client
from tests.integration.test_cli import CONFLICT, USAGE, Run, cli, cli_server, told

__all__ = ["cli", "cli_server"]  # fixtures

CARRIER = {"name": "Carrier A", "kind": "carrier", "host": "203.0.113.5"}
TEAMS = {
    "name": "Teams",
    "kind": "teams",
    "host": "sip.pstnhub.microsoft.com",
    "project_id": 1,
    "fqdn": "sbc1.example.com",
}


def read_by_kamailio(admin: db.Connection) -> list[Any]:
    rows = admin.execute(
        "SELECT setid, destination, flags, priority, attrs FROM kamailio.dispatcher ORDER BY id"
    )
    return [tuple(row.values()) for row in rows]


def test_a_carrier_needs_a_name_and_a_host(client: Client, admin: db.Connection) -> None:
    answer = client("POST", "/trunks", CARRIER)
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith(f"/trunks/{answer.json['id']}")
    usual = {"port": 5060, "transport": "udp", "priority": 0, "keepalive": False}
    assert {name: answer.json[name] for name in usual} == usual
    assert read_by_kamailio(admin) == [(1, "sip:203.0.113.5:5060", 0, 0, "")]


def test_a_teams_trunk_is_its_projects(client: Client, admin: db.Connection) -> None:
    trunk = client.create("/trunks", **TEAMS, keepalive=True, priority=3)
    assert (trunk["port"], trunk["transport"]) == (5061, "tls")
    uri = "sip:sip.pstnhub.microsoft.com:5061;transport=tls"
    attributes = "fqdn=sbc1.example.com;ping_from=sip:sbc1.example.com"
    # 8: asked by OPTIONS; 16: a name that is looked up when a call goes there.
    assert read_by_kamailio(admin) == [(1001, uri, 8 + 16, 3, attributes)]


WRONG: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (CARRIER, {"host": "203.0.113.5;transport=tcp"}),
    (CARRIER, {"host": "carrier.example\r\nX: y"}),
    (CARRIER, {"kind": "peer"}),
    (CARRIER, {"port": 0}),
    (CARRIER, {"port": 65536}),
    (CARRIER, {"port": "5060"}),
    (CARRIER, {"transport": "sctp"}),
    (CARRIER, {"priority": 101}),
    (CARRIER, {"priority": -1}),
    (CARRIER, {"keepalive": 1}),
    (CARRIER, {"name": "a\nb"}),
    (CARRIER, {"fqdn": "sbc1.example.com"}),
    (CARRIER, {"project_id": 1}),
    (TEAMS, {"project_id": None}),
    (TEAMS, {"project_id": 999}),
    (TEAMS, {"fqdn": None}),
    (TEAMS, {"fqdn": "203.0.113.5"}),
    (TEAMS, {"fqdn": "a;b"}),
]


def test_the_field_at_fault_is_named(client: Client) -> None:
    for trunk, wrong in WRONG:
        answer = client("POST", "/trunks", trunk | wrong)
        assert answer.status_code == 422, wrong
        pointers = [error["pointer"] for error in answer.json["errors"]]
        assert pointers == [f"#/{next(iter(wrong))}"]
    assert client("GET", "/trunks").json["items"] == []


def test_a_name_is_one_trunks(client: Client) -> None:
    client.create("/trunks", **CARRIER)
    other = client.create("/trunks", **CARRIER | {"name": "Carrier B"})
    for answer in (
        client("POST", "/trunks", CARRIER),
        client("PATCH", f"/trunks/{other['id']}", {"name": "Carrier A"}),
    ):
        assert answer.status_code == 409
        assert answer.json["type"].endswith("name-taken")


def test_a_change_keeps_the_rest(client: Client) -> None:
    before = client.create("/trunks", **CARRIER, port=5080)
    path = f"/trunks/{before['id']}"
    answer = client("PATCH", path, {"transport": "tls", "priority": 9})
    changed = {"transport": "tls", "priority": 9, "changed_at": answer.json["changed_at"]}
    assert answer.json == before | changed
    assert client("GET", path).json == answer.json


def test_what_may_not_change_is_refused(client: Client) -> None:
    carrier, teams = client.create("/trunks", **CARRIER), client.create("/trunks", **TEAMS)
    for trunk, fields in (
        (carrier, {"kind": "teams"}),
        (carrier, {"project_id": 1}),
        (carrier, {"fqdn": "a.example"}),
        (teams, {"fqdn": None}),
    ):
        assert client("PATCH", f"/trunks/{trunk['id']}", fields).status_code == 422
    answer = client("PATCH", f"/trunks/{teams['id']}", {"fqdn": "SBC2.example.com"})
    assert answer.json["fqdn"] == "sbc2.example.com"


def test_a_change_is_refused_where_the_trunk_has_another_tag(client: Client) -> None:
    trunk = client.create("/trunks", **CARRIER)
    path = f"/trunks/{trunk['id']}"
    tag = client("GET", path).headers["ETag"]
    assert client("PATCH", path, {"priority": 1}, If_Match=tag).status_code == 200
    assert client("PATCH", path, {"priority": 2}, If_Match=tag).status_code == 412
    assert client("DELETE", path, If_Match=tag).status_code == 412
    assert client("DELETE", path).status_code == 204
    assert client("GET", path).status_code == 404


def test_trunks_are_listed_a_page_at_a_time(client: Client) -> None:
    for number in range(3):
        client.create("/trunks", **CARRIER | {"name": f"Carrier {number}"})
    client.create("/trunks", **TEAMS)
    first = client("GET", "/trunks?limit=2&sort=-name").json
    assert [trunk["name"] for trunk in first["items"]] == ["Teams", "Carrier 2"]
    second = client("GET", first["next"].removeprefix("/api/v1")).json
    assert [trunk["name"] for trunk in second["items"]] == ["Carrier 1", "Carrier 0"]
    assert len(client("GET", "/trunks?kind=carrier").json["items"]) == 3
    (teams,) = client("GET", "/trunks?project=1").json["items"]
    assert teams["name"] == "Teams"


def test_every_change_is_written_down_and_told_the_nodes(
    client: Client, admin: db.Connection, node: int
) -> None:
    pending = "DELETE FROM provisioner.pending_reloads RETURNING node_id"
    trunk = client.create("/trunks", **CARRIER)
    path = f"/trunks/{trunk['id']}"
    assert admin.execute(pending).fetchall() == [{"node_id": node}]
    for fields in ({"priority": 1}, {"priority": 1}):
        client("PATCH", path, fields)
    assert admin.execute(pending).fetchall() == [{"node_id": node}]
    client("PATCH", path, {"priority": 1})
    assert admin.execute(pending).fetchall() == []
    client("DELETE", path)
    assert admin.execute(pending).fetchall() == [{"node_id": node}]
    events = client("GET", f"/audit-events?subject=trunk&subject_id={trunk['id']}&sort=id").json
    assert [event["type"] for event in events["items"]] == [
        "trunk.created",
        "trunk.updated",
        "trunk.deleted",
    ]
    assert events["items"][1]["before"]["priority"] == 0
    assert events["items"][1]["after"]["priority"] == 1


def test_who_waits_learns_that_a_node_has_yet_to_load_it(client: Client, node: int) -> None:
    assert client("POST", "/trunks", CARRIER, Prefer="wait=0").status_code == 202


def test_a_project_with_a_trunk_stays(client: Client) -> None:
    project = client.create("/projects", name="With Teams", customer_id=1)
    trunk = client.create("/trunks", **TEAMS | {"project_id": project["id"]})
    assert client("DELETE", f"/projects/{project['id']}").status_code == 409
    client("DELETE", f"/trunks/{trunk['id']}")
    assert client("DELETE", f"/projects/{project['id']}").status_code == 204


def test_trunks_are_the_operators(client: Client) -> None:
    trunk = client.create("/trunks", **TEAMS)
    token = client.create("/tokens", name="c", role=Role.ADMIN, customer_id=1)["token"]
    customer = client.bearing(token)
    for method, path in (("GET", ""), ("GET", f"/{trunk['id']}"), ("DELETE", f"/{trunk['id']}")):
        assert customer(method, f"/trunks{path}").status_code == 403
    token = client.create("/tokens", name="t", role=Role.TECHNICIAN)["token"]
    technician = client.bearing(token)
    assert technician("GET", "/trunks").status_code == 200
    assert technician("POST", "/trunks", CARRIER).status_code == 403


def test_carriers_are_a_network_of_their_own(client: Client, admin: db.Connection) -> None:
    client("PUT", "/networks/cloudfire", {"cidrs": ["127.0.10.0/24"]})
    answer = client("PUT", "/networks/carriers", {"cidrs": ["127.0.10.0/24", "127.0.30.0/24"]})
    assert answer.json["cidrs"] == ["127.0.10.0/24", "127.0.30.0/24"]
    rows = admin.execute("SELECT grp, ip_addr FROM kamailio.address ORDER BY grp, ip_addr")
    found = [tuple(row.values()) for row in rows]
    assert found == [(1, "127.0.10.0"), (2, "127.0.10.0"), (2, "127.0.30.0")]
    names = [network["name"] for network in client("GET", "/networks").json["items"]]
    assert names == ["carriers", "cloudfire", "teams"]


def test_the_command_line_adds_lists_and_removes(cli: Run) -> None:
    arguments = ["Carrier A", "203.0.113.5", "--priority", "5", "--keepalive", "--json"]
    trunk = told(cli("trunks", "add", *arguments))
    assert (trunk["host"], trunk["priority"], trunk["keepalive"]) == ("203.0.113.5", 5, True)
    teams = ["Teams", TEAMS["host"], "--kind", "teams", "--project", "1", "--fqdn", TEAMS["fqdn"]]
    assert told(cli("trunks", "add", *map(str, teams), "--json"))["port"] == 5061
    listed = told(cli("trunks", "list", "--kind", "carrier", "--json"))["items"]
    assert listed == [trunk]
    cli("trunks", "add", "Carrier A", "203.0.113.6", code=CONFLICT)
    wrong: subprocess.CompletedProcess[str] = cli("trunks", "add", "B", "b;lr", code=USAGE)
    assert "host" in wrong.stderr
    cli("trunks", "remove", str(trunk["id"]))
    assert told(cli("trunks", "list", "--kind", "carrier", "--json"))["items"] == []
