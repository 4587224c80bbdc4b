"""The console's pages of hooks: what is sent, what is received, and what a person decides."""

import re
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from werkzeug.test import TestResponse

from provisioner import db
from provisioner.access import Role
from provisioner.settings import Settings
from tests.integration.conftest import Client
from tests.integration.console import Visitor, forms_of, links_of, logged_in
from tests.integration.hooks import Portal, ago
from tests.integration.receiver import ALLOWED, HOST

URL = f"http://{HOST}:9/hooks"  # nobody listens
SECRET = re.compile(r"whsec_[\w+/=]+")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings that allow webhooks to one private network."""
    return replace(settings, webhook_networks=(ip_network(ALLOWED),))


@pytest.fixture
def operator(client: Client, admin: db.Connection) -> Visitor:
    return logged_in(client, admin, Role.ADMIN)


@pytest.fixture
def portal(client: Client) -> Portal:
    return Portal(client, client.create("/hook-sources", name="Portal")["secret"])


@pytest.fixture
def endpoint(client: Client) -> Any:
    return client.create("/webhook-endpoints", url=URL)


def form(person: Visitor, page: str, path: str) -> dict[str, str]:
    return forms_of(person.get(page).text)[f"/console{path}"]


def secret_of(answer: TestResponse) -> str:
    """The secret that a page shows."""
    assert answer.status_code == 200, answer.text
    (secret,) = set(SECRET.findall(answer.text))
    return str(secret)


# What is sent.


def test_an_endpoint_is_added_and_its_secret_is_shown_once(
    client: Client, operator: Visitor
) -> None:
    types = ["account.created", "number.linked"]
    answer = operator.post("/hooks/new", url=URL, description="CRM", types=types)
    assert 'data-copy="secret"' in answer.text
    secret = secret_of(answer)
    (added,) = client("GET", "/webhook-endpoints").json["items"]
    assert (added["url"], added["description"], added["types"]) == (URL, "CRM", types)
    assert secret not in operator.get(f"/hooks/{added['id']}").text
    assert URL in operator.get("/hooks").text


def test_a_form_that_is_sent_twice_adds_one_endpoint(client: Client, operator: Visitor) -> None:
    sent = form(operator, "/hooks/new", "/hooks/new") | {"url": URL}
    secret_of(operator.send("/hooks/new", sent))
    (added,) = client("GET", "/webhook-endpoints").json["items"]
    assert operator.send("/hooks/new", sent).location == f"/console/hooks/{added['id']}"
    assert len(client("GET", "/webhook-endpoints").json["items"]) == 1


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("", "Must be given."),
        ("gopher://example.org", "Must be a URL like https://example.com/path."),
        ("https://127.0.0.1/", "Must lead to public addresses only, not to 127.0.0.1."),
    ],
)
def test_an_address_that_is_refused_is_told_beside_its_field(
    client: Client, operator: Visitor, url: str, rule: str
) -> None:
    answer = operator.post("/hooks/new", url=url, description="CRM", types=["number.linked"])
    assert answer.status_code == 422
    assert f'id="url-error">{rule}<' in answer.text
    assert 'value="CRM"' in answer.text
    assert re.search('value="number.linked" checked', answer.text)
    assert client("GET", "/webhook-endpoints").json["items"] == []


def test_an_endpoint_is_changed(client: Client, operator: Visitor, endpoint: Any) -> None:
    path = f"/hooks/{endpoint['id']}"
    answer = operator.post(path, description="CRM", types=["account.deleted"], active=None)
    assert answer.status_code == 302
    changed = client("GET", f"/webhook-endpoints/{endpoint['id']}").json
    assert (changed["description"], changed["types"]) == ("CRM", ["account.deleted"])
    assert changed["active"] is False
    assert f"/console{path}/test" not in forms_of(operator.get(path).text)


def test_the_second_of_two_people_sees_what_the_first_has_changed(
    client: Client, admin: db.Connection, operator: Visitor, endpoint: Any
) -> None:
    path = f"/hooks/{endpoint['id']}"
    sent = form(operator, path, path) | {"description": "Mine"}
    other = logged_in(client, admin, Role.ADMIN)
    assert other.post(path, description="Theirs").status_code == 302
    answer = operator.send(path, sent)
    assert answer.status_code == 409
    assert "Description: none → Theirs" in answer.text
    assert 'value="Mine"' in answer.text
    assert operator.send(path, forms_of(answer.text)[f"/console{path}"]).status_code == 302
    assert client("GET", f"/webhook-endpoints/{endpoint['id']}").json["description"] == "Mine"


def test_a_new_secret_is_shown_once(operator: Visitor, endpoint: Any) -> None:
    path = f"/hooks/{endpoint['id']}"
    sent = form(operator, path, f"{path}/secret")
    secret = secret_of(operator.send(f"{path}/secret", sent))
    assert secret != endpoint["secret"]
    assert operator.send(f"{path}/secret", sent).location == f"/console{path}"


def test_a_test_leads_to_what_comes_of_it(client: Client, operator: Visitor, endpoint: Any) -> None:
    path = f"/hooks/{endpoint['id']}"
    answer = operator.post(f"{path}/test", path)
    (sent,) = client("GET", "/webhook-deliveries").json["items"]
    assert answer.location == f"/console/hooks/deliveries/{sent['id']}"
    page = operator.get(f"/hooks/deliveries/{sent['id']}").text
    assert "There was no attempt yet." in page
    assert f'data-live="/console/hooks/deliveries/{sent["id"]}/live"' in page


def test_what_was_given_up_is_found_and_sent_again(
    client: Client, admin: db.Connection, operator: Visitor, endpoint: Any
) -> None:
    client.new_number()
    (sent,) = client("GET", "/webhook-deliveries").json["items"]
    admin.execute(
        "UPDATE provisioner.webhook_deliveries SET state = 'dead', last_error = 'no answer'"
    )
    path = f"/hooks/deliveries/{sent['id']}"
    query = f"endpoint={endpoint['id']}&state=dead"
    assert f"/console/hooks/deliveries?{query}" in links_of(operator.get("/hooks").text)
    found = operator.get(f"/hooks/deliveries?{query}").text
    assert "no answer" in found
    assert f"/console{path}" in links_of(found)
    assert f"/console{path}" not in links_of(operator.get("/hooks/deliveries?state=pending").text)
    assert operator.post(f"{path}/replay", path).location == f"/console{path}"
    assert client("GET", f"/webhook-deliveries/{sent['id']}").json["state"] == "pending"


def test_all_events_of_a_period_are_sent_again(
    client: Client, admin: db.Connection, operator: Visitor, endpoint: Any
) -> None:
    client.new_number()
    admin.execute("UPDATE provisioner.webhook_deliveries SET state = 'dead'")
    path = f"/hooks/{endpoint['id']}"
    answer = operator.post(f"{path}/replay", path, period="week")
    assert answer.location == f"/console/hooks/deliveries?endpoint={endpoint['id']}"
    assert "Events that are sent again: 1." in operator.get("/hooks/deliveries").text
    (sent,) = client("GET", "/webhook-deliveries").json["items"]
    assert sent["state"] == "pending"


def test_an_attempts_answer_is_shown_as_text(
    client: Client, admin: db.Connection, operator: Visitor, endpoint: Any
) -> None:
    client.new_number()
    (sent,) = client("GET", "/webhook-deliveries").json["items"]
    admin.execute(
        "INSERT INTO provisioner.webhook_attempts (delivery_id, status, duration_ms, response)"
        " VALUES (%s, 500, 31, '<script>')",
        (sent["id"],),
    )
    page = operator.get(f"/hooks/deliveries/{sent['id']}").text
    assert "&lt;script&gt;" in page
    assert "31 ms" in page


def test_an_endpoint_is_deleted_in_two_steps(
    client: Client, operator: Visitor, endpoint: Any
) -> None:
    path = f"/hooks/{endpoint['id']}/delete"
    assert "This cannot be undone." in operator.get(path).text
    assert operator.post(path).location == "/console/hooks"
    assert client("GET", f"/webhook-endpoints/{endpoint['id']}").status_code == 404


# What is received.


def test_a_sender_is_added_and_its_secret_works(client: Client, operator: Visitor) -> None:
    secret = secret_of(operator.post("/hooks/sources/new", name="Portal"))
    client.new_number()
    Portal(client, secret).create()
    assert "account.created" in operator.get("/hooks/events").text


def test_a_senders_name_is_asked_for(client: Client, operator: Visitor) -> None:
    answer = operator.post("/hooks/sources/new", name=" ")
    assert answer.status_code == 422
    assert 'id="name-error">Must have 1 to' in answer.text
    assert client("GET", "/hook-sources").json["items"] == []


def test_a_senders_key_is_changed(client: Client, operator: Visitor, portal: Portal) -> None:
    (source,) = client("GET", "/hook-sources").json["items"]
    path = f"/hooks/sources/{source['id']}"
    sent = form(operator, path, f"{path}/keys")
    secret = secret_of(operator.send(f"{path}/keys", sent))
    assert operator.send(f"{path}/keys", sent).location == f"/console{path}"
    former = f"{path}/keys/{source['keys'][0]['id']}/delete"
    assert f"/console{former}" in links_of(operator.get(path).text)
    assert operator.post(former).location == f"/console{path}"
    assert portal.send("ping").status_code == 401
    assert Portal(client, secret).send("ping").status_code == 200
    assert operator.get(former).status_code == 404


def test_a_sender_is_refused_accepted_and_deleted(
    client: Client, operator: Visitor, portal: Portal
) -> None:
    (source,) = client("GET", "/hook-sources").json["items"]
    path = f"/hooks/sources/{source['id']}"
    operator.post(f"{path}/deactivate", path)
    assert portal.send("ping").status_code == 401
    operator.post(f"{path}/activate", path)
    assert portal.send("ping").status_code == 200
    assert operator.post(f"{path}/delete").location == "/console/hooks/sources"
    assert portal.send("ping").status_code == 401


def conflict(client: Client, portal: Portal) -> str:
    """Let an event contradict a person; return where the console shows it."""
    client.new_number()
    account = portal.create()
    client("POST", f"/sip-accounts/{account['id']}/enable")
    client("POST", f"/sip-accounts/{account['id']}/disable")
    answer = portal.send("account.enabled", at=ago(hours=1), external_id="crm-1")
    assert answer.json["status"] == "conflict", answer.json
    return f"/hooks/events/{answer.json['event_id']}"


def test_a_conflict_is_found_and_applied(client: Client, operator: Visitor, portal: Portal) -> None:
    path = conflict(client, portal)
    assert f"/console{path}" in links_of(operator.get("/hooks/events?status=conflict").text)
    page = operator.get(path).text
    assert "decide which of the two shall hold" in page
    assert "changed here (account.disabled) after the event" in page
    assert operator.post(f"{path}/apply", path).location == f"/console{path}"
    assert portal.account()["state"] == "enabled"
    assert f"/console{path}/apply" not in forms_of(operator.get(path).text)
    assert operator.post(f"{path}/apply", path).status_code == 409


def test_a_conflict_is_dismissed(client: Client, operator: Visitor, portal: Portal) -> None:
    path = conflict(client, portal)
    assert operator.post(f"{path}/dismiss", path).status_code == 302
    assert portal.account()["state"] == "disabled"
    assert "Somebody has decided that it shall not count." in operator.get(path).text


def test_an_event_that_still_cannot_be_applied_says_why(
    client: Client, operator: Visitor, portal: Portal
) -> None:
    client.new_number(state="ordered")
    fields: Any = {"name": "Line", "main_number": "+390612345678", "voice_channels": 2}
    answer = portal.send("account.created", external_id="crm-1", **fields)
    assert answer.json["status"] == "rejected", answer.json
    path = f"/hooks/events/{answer.json['event_id']}"
    operator.post(f"{path}/apply", path)
    page = operator.get(path).text
    assert "The event could not be applied" in page
    assert "The number is not active, so no account can use it yet." in page
    assert "&#34;name&#34;: &#34;Line&#34;" in page


@pytest.mark.parametrize(
    "query", ["deliveries?state=lost", "events?status=lost", "events?source=x"]
)
def test_a_filter_that_no_form_has_is_no_page(operator: Visitor, query: str) -> None:
    assert operator.get(f"/hooks/{query}").status_code == 404


# Who may.


def test_a_customer_sees_his_own_hooks_only(
    client: Client, admin: db.Connection, endpoint: Any, portal: Portal
) -> None:
    bianchi = client.create("/customers", name="Bianchi")["id"]
    his = logged_in(client, admin, Role.ADMIN, bianchi)
    (source,) = client("GET", "/hook-sources").json["items"]
    event = conflict(client, portal)
    (delivery, *_) = client("GET", "/webhook-deliveries").json["items"]
    assert "Nothing is sent anywhere yet." in his.get("/hooks").text
    assert 'name="customer_id"' not in his.get("/hooks/new").text
    for path in (
        f"/hooks/{endpoint['id']}",
        f"/hooks/deliveries/{delivery['id']}",
        f"/hooks/sources/{source['id']}",
        event,
    ):
        assert his.get(path).status_code == 404
    for path in (
        f"/hooks/{endpoint['id']}/delete",
        f"/hooks/{endpoint['id']}/secret",
        f"/hooks/deliveries/{delivery['id']}/replay",
        f"/hooks/sources/{source['id']}/keys",
        f"{event}/dismiss",
    ):
        assert his.post(path, "/hooks").status_code == 404
    assert client("GET", f"/webhook-endpoints/{endpoint['id']}").status_code == 200


@pytest.mark.parametrize("path", ["/hooks/new", "/hooks/sources/new"])
def test_the_operator_names_the_customer(client: Client, operator: Visitor, path: str) -> None:
    bianchi = client.create("/customers", name="Bianchi")["id"]
    operator.post(path, url=URL, name="Portal", customer_id=str(bianchi))
    resource = "/hook-sources" if "sources" in path else "/webhook-endpoints"
    (added,) = client("GET", resource).json["items"]
    assert added["customer_id"] == bianchi


@pytest.mark.parametrize("role", [one for one in Role if one is not Role.ADMIN])
def test_only_an_admin_sees_hooks(client: Client, admin: db.Connection, role: Role) -> None:
    person = logged_in(client, admin, role)
    assert "/console/hooks" not in links_of(person.get("/accounts").text)
    for path in ("/hooks", "/hooks/deliveries", "/hooks/sources", "/hooks/events"):
        assert person.get(path).status_code == 403
    assert person.post("/hooks/new", "/accounts", url=URL).status_code == 403
    assert person.post("/hooks/sources/new", "/accounts", name="Mine").status_code == 403
    assert client("GET", "/webhook-endpoints").json["items"] == []
    assert client("GET", "/hook-sources").json["items"] == []
