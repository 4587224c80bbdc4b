"""The console's pages of numbers, networks and nodes."""

import time
from collections.abc import Iterator

import pytest

from provisioner import db
from provisioner.access import Role
from provisioner.kamailio import BANS, KamailioNode
from provisioner.stack.stack import Stack
from tests.integration.conftest import NUMBER, Client
from tests.integration.console import Visitor, forms_of, logged_in


@pytest.fixture
def operator(client: Client, admin: db.Connection) -> Visitor:
    return logged_in(client, admin, Role.ADMIN)


@pytest.fixture
def customers(client: Client, admin: db.Connection) -> Visitor:
    customer = client.create("/customers", name="Bianchi")
    return logged_in(client, admin, Role.ADMIN, customer["id"])


def test_the_operator_adds_a_number_to_a_project(client: Client, operator: Visitor) -> None:
    answer = operator.post("/numbers/new", number="+39 06 1234 5678", state="porting")
    assert answer.status_code == 302
    assert client("GET", f"/numbers/{NUMBER}").json["state"] == "porting"
    assert NUMBER in operator.get("/numbers").text


def test_a_wrong_number_is_told_beside_its_field(operator: Visitor) -> None:
    answer = operator.post("/numbers/new", number="0612345678")
    assert answer.status_code == 422
    assert 'id="number-error">Must be in E.164 format' in answer.text
    assert 'value="0612345678"' in answer.text


def test_a_number_that_exists_is_told_beside_its_field(client: Client, operator: Visitor) -> None:
    client.new_number()
    answer = operator.post("/numbers/new", number=NUMBER)
    assert 'id="number-error">The number exists already.' in answer.text


def test_a_number_moves_to_states_that_it_may_have(client: Client, operator: Visitor) -> None:
    client.new_number(state="ordered")
    page = operator.get(f"/numbers/{NUMBER}").text
    assert 'value="active"' in page
    assert operator.post(f"/numbers/{NUMBER}", state="active").status_code == 302
    assert client("GET", f"/numbers/{NUMBER}").json["state"] == "active"
    refused = operator.post(f"/numbers/{NUMBER}", state="ordered")
    assert 'id="state-error">A number that is active cannot become ordered.' in refused.text


def test_a_number_shows_the_account_that_uses_it(client: Client, operator: Visitor) -> None:
    account = client.new_account()
    link = f'<a href="/console/accounts/{account["id"]}">{account["name"]}</a>'
    for page in ("", f"/{account['main_number']}"):
        assert link in operator.get(f"/numbers{page}").text


def test_numbers_are_searched(client: Client, operator: Visitor) -> None:
    client.new_number()
    client.new_number("+390699999999", "ceased")
    found = operator.get("/numbers?q=0699&state=&choosable=").text
    assert "+390699999999" in found
    assert NUMBER not in found
    assert NUMBER not in operator.get("/numbers?state=ceased").text
    assert "No number fits." in operator.get("/numbers?q=777").text


def test_a_customer_neither_adds_nor_changes_numbers(customers: Visitor) -> None:
    page = customers.get("/numbers").text
    assert "Numbers are activated by CloudFire" in page
    assert "/console/numbers/new" not in page
    assert customers.post("/numbers/new", "/numbers", number=NUMBER).status_code == 403


def test_the_operator_changes_a_network(client: Client, operator: Visitor) -> None:
    path = "/networks/cloudfire"
    assert operator.post(path, cidrs="198.51.100.0/24\n203.0.113.0/24").status_code == 302
    assert "198.51.100.0/24" in operator.get("/networks").text
    refused = operator.post(path, cidrs="198.51.100.1/24")
    assert 'id="cidrs-error">Must be a network in CIDR notation' in refused.text
    assert 'id="cidrs-error">Must have at least 1 entries.' in operator.post(path, cidrs="").text


def test_two_people_change_a_network(
    client: Client, admin: db.Connection, operator: Visitor
) -> None:
    path = "/networks/cloudfire"
    page = operator.get(path).text
    other = logged_in(client, admin, Role.ADMIN)
    other.post(path, cidrs="203.0.113.0/24")
    answer = operator.send(path, forms_of(page)[f"/console{path}"] | {"cidrs": "198.51.100.0/24"})
    assert answer.status_code == 409
    assert "Anna admin has changed this" in answer.text
    assert "198.51.100.0/24</textarea>" in answer.text


def test_each_network_says_what_comes_from_it(operator: Visitor) -> None:
    page = operator.get("/networks").text
    for text in (
        "the devices of SIP accounts that are reachable only from CloudFire networks",
        "From here come calls of the carriers.",
        "From here come calls of Microsoft Teams.",
    ):
        assert page.count(text) == 1
    assert "Devices elsewhere are logged out" in operator.get("/networks/cloudfire").text
    assert "Devices elsewhere are logged out" not in operator.get("/networks/teams").text


def test_projects_of_one_name_are_told_apart_by_their_customers(
    client: Client, operator: Visitor
) -> None:
    for name in ("Bianchi", "Verdi"):
        customer = client.create("/customers", name=name)
        client.create("/projects", name="Office", customer_id=customer["id"])
    for page in ("/numbers/new", "/calls"):
        text = operator.get(page).text
        assert ">Office · Bianchi<" in text
        assert ">Office · Verdi<" in text


def test_a_customer_sees_networks_and_changes_none(customers: Visitor) -> None:
    assert customers.get("/networks").status_code == 200
    assert customers.get("/networks/cloudfire").status_code == 403


def test_nodes_show_their_health_and_what_was_repaired(
    admin: db.Connection, operator: Visitor, node: int
) -> None:
    admin.execute(
        "INSERT INTO provisioner.repairs (node_id, target, action, key, detail)"
        " VALUES (%s, 'binding', 'delete', '390612345678', '')",
        (node,),
    )
    admin.execute(
        "UPDATE provisioner.nodes SET replica = '10.0.0.5:5432', replica_state = 'behind'"
    )
    page = operator.get("/nodes").text
    assert "Does not answer" in page
    assert "Replica not used" in page
    assert "Not all nodes answer: away." in page
    assert "No address is banned." not in page
    assert "390612345678" in page


@pytest.fixture
def kamailio(stack: Stack, admin: db.Connection) -> Iterator[KamailioNode]:
    """The stack's node, known to the test's database, too."""
    query = "INSERT INTO provisioner.nodes (name, rpc_url) VALUES ('node1', %s)"
    admin.execute(query, [stack.rpc_url])
    kamailio = KamailioNode(stack.rpc_url, stack.rpc_root_token)
    yield kamailio
    kamailio.close()


def test_bans_are_shown_and_lifted(operator: Visitor, kamailio: KamailioNode) -> None:
    now = int(time.time())
    kamailio.call("htable.sets", BANS, "203.0.113.7 390612345678", f"{now} {now + 60} 10")
    kamailio.call("htable.sets", BANS, "203.0.113.8", f"{now - 90} {now - 30} 25")
    page = operator.get("/nodes").text
    assert 'name="address" value="203.0.113.7"' in page
    assert "390612345678" in page
    assert "Not all nodes answer" not in page
    assert "203.0.113.8" not in page  # it has ended
    assert operator.post("/nodes/lift", "/nodes", address="203.0.113.7").status_code == 302
    page = operator.get("/nodes").text
    assert "The bans of 203.0.113.7 are lifted." in page
    assert 'value="203.0.113.7"' not in page
    assert operator.post("/nodes/lift", "/nodes", address="203.0.113.7").status_code == 302
    assert "There is no such ban." in operator.get("/nodes").text


def test_a_customer_sees_no_nodes(customers: Visitor) -> None:
    assert customers.get("/nodes").status_code == 403
    refused = customers.post("/nodes/lift", "/numbers", address="203.0.113.7")
    assert refused.status_code == 403
