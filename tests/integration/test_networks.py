from typing import Any

from provisioner import db
from tests.integration.conftest import Client


def addresses(admin: db.Connection) -> list[Any]:
    rows = admin.execute(
        "SELECT grp, ip_addr, mask, port FROM kamailio.address ORDER BY ip_addr, mask"
    )
    return [tuple(row.values()) for row in rows]


def test_a_network_is_projected_into_kamailios_address_table(
    client: Client, admin: db.Connection
) -> None:
    cidrs = ["127.0.10.0/24", "192.0.2.1/32", "2001:db8::/32"]
    answer = client("PUT", "/networks/cloudfire", {"cidrs": cidrs})
    assert answer.status_code == 200
    assert answer.json["cidrs"] == cidrs
    assert addresses(admin) == [
        (1, "127.0.10.0", 24, 0),
        (1, "192.0.2.1", 32, 0),
        (1, "2001:db8::", 32, 0),
    ]


def test_replacing_a_network_removes_what_is_not_named(
    client: Client, admin: db.Connection
) -> None:
    client("PUT", "/networks/cloudfire", {"cidrs": ["127.0.10.0/24", "127.0.11.0/24"]})
    client("PUT", "/networks/cloudfire", {"cidrs": ["127.0.11.0/24", "127.0.11.0/24"]})
    assert addresses(admin) == [(1, "127.0.11.0", 24, 0)]


def test_a_change_leaves_one_reload_a_node(client: Client, admin: db.Connection, node: int) -> None:
    for last in (10, 11, 12):
        answer = client("PUT", "/networks/cloudfire", {"cidrs": [f"127.0.{last}.0/24"]})
    assert answer.json["convergence"]["pending_nodes"] == ["away"]
    rows = admin.execute("SELECT node_id FROM provisioner.pending_reloads").fetchall()
    assert rows == [{"node_id": node}]


def test_repeating_a_network_changes_nothing(
    client: Client, admin: db.Connection, node: int
) -> None:
    client("PUT", "/networks/cloudfire", {"cidrs": ["127.0.10.0/24"]})
    admin.execute("DELETE FROM provisioner.pending_reloads")
    client("PUT", "/networks/cloudfire", {"cidrs": ["127.0.10.0/24"]})
    assert admin.execute("SELECT FROM provisioner.pending_reloads").fetchone() is None


def test_the_operators_own_addresses_stay(client: Client, admin: db.Connection) -> None:
    admin.execute("INSERT INTO kamailio.address (grp, ip_addr, mask) VALUES (5, '10.0.0.0', 8)")
    client("PUT", "/networks/cloudfire", {"cidrs": ["127.0.10.0/24"]})
    assert (5, "10.0.0.0", 8, 0) in addresses(admin)


def test_an_empty_network_is_refused(client: Client) -> None:
    answer = client("PUT", "/networks/cloudfire", {"cidrs": []})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "#/cidrs"


def test_an_unknown_network_is_not_found(client: Client) -> None:
    assert client("GET", "/networks/office").status_code == 404
    answer = client("PUT", "/networks/office", {"cidrs": ["127.0.10.0/24"]})
    assert answer.status_code == 404
