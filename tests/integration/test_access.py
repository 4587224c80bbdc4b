"""Who may do what, and on whose objects: every route, every role, another customer's objects."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from provisioner.access import Actor, Permission, Role, Via
from provisioner.api.operation import Operation
from tests.integration.conftest import Client, application
from tests.integration.databases import Databases
from tests.integration.world import (
    NOTHING,
    OPERATIONS,
    Tenant,
    example_body,
    new_tenant,
    path_of,
)

WITH_PATH = [one for one in OPERATIONS if "<" in one.path and "<name>" not in one.path]
LISTS = [one for one in OPERATIONS if one.method == "GET" and "<" not in one.path]


def named(value: object) -> str | None:
    return f"{value.method} {value.path}" if isinstance(value, Operation) else None


@pytest.fixture
def ours(client: Client) -> Tenant:
    return new_tenant(client, "Alpha", "06111111")


@pytest.fixture
def theirs(client: Client) -> Tenant:
    return new_tenant(client, "Zeta", "06222222")


def permission_of(app: Flask, endpoint: str) -> object:
    return getattr(app.view_functions[endpoint], "permission", None)


def undeclared(app: Flask) -> list[str]:
    """The routes that declare no permission."""
    return [
        str(rule)
        for rule in app.url_map.iter_rules()
        if not isinstance(permission_of(app, rule.endpoint), Permission)
    ]


def test_every_route_declares_its_permission(client: Client) -> None:
    assert len(list(client.http.application.url_map.iter_rules())) > 30
    assert undeclared(client.http.application) == []


def test_a_route_without_a_permission_is_found() -> None:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/forgotten", view_func=lambda: "")
    assert undeclared(app) == ["/forgotten"]


def test_what_is_public_is_known_by_name(client: Client) -> None:
    app = client.http.application
    public = {
        str(rule)
        for rule in app.url_map.iter_rules()
        if permission_of(app, rule.endpoint) is Permission.PUBLIC
    }
    viewer = {"/api/docs/", "/api/docs/<path:path>", "/api/docs/dist/<path:filename>"}
    console = {
        f"/console/{path}" for path in ("", "login", "login/code", "language", "<path:rest>")
    }
    console |= {"/console/invitations/<text>", "/console/provisioning"}
    console |= {"/console/static/<version>/<path:name>"}
    api = {"/livez", "/readyz", "/api/openapi.json", "/hooks/v1/events", "/metrics"}
    assert public - viewer == api | console


@pytest.fixture(scope="module")
def stranger(databases: Databases) -> Iterator[Client]:
    """Somebody with a wrong token, who so changes nothing for the next test."""
    with databases.lent() as settings, application(settings) as client:
        yield client.bearing("pv_wrong")


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_every_operation_asks_for_a_token(stranger: Client, operation: Operation) -> None:
    answer = stranger(operation.method, path_of(operation, NOTHING), example_body(operation))
    assert answer.status_code == 401


def test_a_role_is_refused_what_it_may_not_do(client: Client, ours: Tenant) -> None:
    for role in Role:
        actor = Actor(Via.API, 1, "", role, customer_id=ours.customer)
        member = client.bearing(ours.tokens[role])
        for operation in OPERATIONS:
            path = path_of(operation, NOTHING)
            answer = member(operation.method, path, example_body(operation))
            refused = answer.status_code == 403
            assert refused is not actor.may(operation.permission), f"{role} {named(operation)}"


@pytest.mark.parametrize("role", Role)
def test_another_customers_objects_are_as_if_they_did_not_exist(
    client: Client, ours: Tenant, theirs: Tenant, role: Role
) -> None:
    for token in (ours.tokens[role], ours.tokens_of_project[role]):
        member = client.bearing(token)
        for operation in WITH_PATH:
            of_theirs = answer_to(member, operation, theirs.parameters)
            of_nothing = answer_to(member, operation, NOTHING)
            assert of_theirs == of_nothing, named(operation)
            assert of_theirs[0] in (403, 404), named(operation)


def answer_to(member: Client, operation: Operation, parameters: dict[str, Any]) -> Any:
    """Status and body, without what differs between any two requests."""
    answer = member(operation.method, path_of(operation, parameters), example_body(operation))
    body = dict(answer.json or {})
    body.pop("request_id", None)
    return answer.status_code, body


@pytest.mark.parametrize("role", Role)
def test_anothers_part_cannot_be_reached_through_ones_own_account(
    client: Client, ours: Tenant, theirs: Tenant, role: Role
) -> None:
    member = client.bearing(ours.tokens[role])
    for operation in WITH_PATH:
        if "<number>" in operation.path or "rule_id" in operation.path:
            mixed = theirs.parameters | {"account_id": ours.parameters["account_id"]}
            nothing = NOTHING | {"account_id": ours.parameters["account_id"]}
            assert answer_to(member, operation, mixed) == answer_to(member, operation, nothing)


@pytest.mark.parametrize("operation", LISTS, ids=named)
def test_lists_show_ones_own(
    client: Client, ours: Tenant, theirs: Tenant, operation: Operation
) -> None:
    filters = ["", *filters_for(operation, theirs)]
    for role in Role:
        for token in (ours.tokens[role], ours.tokens_of_project[role]):
            for query in filters:
                text = client.bearing(token)("GET", f"{operation.path}?{query}").text
                assert not any(word in text for word in theirs.words), f"{role} {query}"


def filters_for(operation: Operation, theirs: Tenant) -> list[str]:
    """Queries that aim at another customer's objects."""
    wanted = {
        "q": "Zeta",
        "customer": theirs.customer,
        "project": theirs.project,
        "number": "%2B" + theirs.parameters["number"][1:],
        "account": theirs.parameters["account_id"],
        "user": theirs.parameters["user_id"],
        "external_id": "Zeta-a",
        "subject_id": theirs.parameters["account_id"],
    }
    return [f"{k}={v}" for k, v in wanted.items() if k in operation.query.model_fields]


def test_the_operator_sees_all_customers(client: Client, ours: Tenant, theirs: Tenant) -> None:
    names = [item["name"] for item in client("GET", "/sip-accounts").json["items"]]
    assert names == ["Alpha account", "Zeta account"]
    found = client("GET", f"/sip-accounts?customer={theirs.customer}").json["items"]
    assert [item["name"] for item in found] == ["Zeta account"]


@pytest.mark.parametrize(
    ("path", "field", "body"),
    [
        ("/sip-accounts", "main_number", {"name": "x", "voice_channels": 1}),
        ("/sip-accounts", "project_id", {"name": "x", "voice_channels": 1}),
        ("/projects", "customer_id", {"name": "x"}),
        ("/users", "customer_id", {"name": "x", "email": "x@example.org", "role": "admin"}),
        ("/tokens", "customer_id", {"name": "x", "role": "admin"}),
        ("/tokens", "project_id", {"name": "x", "role": "admin"}),
        ("/tokens", "user_id", {"name": "x"}),
    ],
)
def test_another_customers_objects_cannot_be_named(
    client: Client, ours: Tenant, theirs: Tenant, path: str, field: str, body: Any
) -> None:
    """What is said of them is what is said of nothing."""
    member = client.bearing(ours.tokens[Role.ADMIN])
    if path == "/sip-accounts" and field != "main_number":
        body = body | {"main_number": ours.parameters["number"]}
    key = "number" if field == "main_number" else field
    answers = []
    for value in (theirs.parameters[key], NOTHING[key]):
        answer = member("POST", path, body | {field: value})
        answers.append((answer.status_code, answer.json["type"], answer.json["detail"]))
    assert answers[0] == answers[1]
    assert answers[0][0] == 422


def test_a_customers_admin_cannot_declare_a_number_his(client: Client, ours: Tenant) -> None:
    """Who could would receive somebody else's calls, or learn whose a number is."""
    member = client.bearing(ours.tokens[Role.ADMIN])
    answer = member("POST", "/numbers", {"number": "+390699999999"})
    assert answer.status_code == 403


def test_a_token_gives_no_more_than_its_maker_has(client: Client, ours: Tenant) -> None:
    member = client.bearing(ours.tokens[Role.ADMIN])
    made = member.create("/tokens", name="second", role="admin")
    assert made["customer_id"] == ours.customer
    limited = client.bearing(ours.tokens_of_project[Role.ADMIN])
    made = limited.create("/tokens", name="third", role="read_only")
    assert (made["customer_id"], made["project_id"]) == (ours.customer, ours.project)
    user = {"email": "a@b.example", "name": "x", "role": "admin"}
    assert limited("POST", "/users", user).status_code == 403
    answers = [
        limited("POST", "/tokens", {"name": "x", "user_id": user_id})
        for user_id in (ours.parameters["user_id"], NOTHING["user_id"])
    ]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].json["detail"] == answers[1].json["detail"]


def test_a_project_limited_token_sees_its_project_only(client: Client, ours: Tenant) -> None:
    admin = client.bearing(ours.tokens[Role.ADMIN])
    other = admin.create("/projects", name="Second")
    client.create("/numbers", number="+390677777777", project_id=other["id"])
    limited = client.bearing(ours.tokens_of_project[Role.ADMIN])
    assert limited("GET", f"/projects/{other['id']}").status_code == 404
    assert limited("GET", "/numbers/+390677777777").status_code == 404
    assert admin("GET", "/numbers/+390677777777").status_code == 200


def test_a_project_limited_token_finds_nothing_of_another_project(
    client: Client, ours: Tenant
) -> None:
    """What belongs to the customer's other projects is as another customer's."""
    admin = client.bearing(ours.tokens[Role.ADMIN])
    other = admin.create("/projects", name="Second")
    token = admin.create("/tokens", name="x", role="admin", project_id=other["id"])["token"]
    limited = client.bearing(token)
    for operation in WITH_PATH:
        of_ours = answer_to(limited, operation, ours.parameters)
        if operation.path.startswith("/customers") and of_ours[0] == 200:
            continue  # its own customer, which it sees
        assert of_ours == answer_to(limited, operation, NOTHING), named(operation)


def test_an_inactive_users_token_is_refused(client: Client, ours: Tenant) -> None:
    user = ours.parameters["user_id"]
    token = client.create("/tokens", name="Anna's", user_id=user)["token"]
    assert client.bearing(token)("GET", "/sip-accounts").status_code == 200
    assert client("PATCH", f"/users/{user}", {"active": False}).status_code == 200
    assert client.bearing(token)("GET", "/sip-accounts").status_code == 401
    assert client("PATCH", f"/users/{user}", {"active": True}).status_code == 200
    assert client.bearing(token)("GET", "/sip-accounts").status_code == 200


def test_a_users_token_has_the_users_role_as_it_is_now(client: Client, ours: Tenant) -> None:
    user = ours.parameters["user_id"]
    member = client.bearing(client.create("/tokens", name="Anna's", user_id=user)["token"])
    assert member("GET", "/users").status_code == 200
    client("PATCH", f"/users/{user}", {"role": "sales"})
    assert member("GET", "/users").status_code == 403


def test_a_revoked_token_is_refused(client: Client) -> None:
    made = client.create("/tokens", name="Portal", role="read_only")
    portal = client.bearing(made["token"])
    assert portal("GET", "/numbers").status_code == 200
    assert client("DELETE", f"/tokens/{made['id']}").status_code == 204
    assert portal("GET", "/numbers").status_code == 401


def test_a_token_expires(client: Client, admin: Any) -> None:
    made = client.create(
        "/tokens", name="Visitor", role="read_only", expires_at="2999-01-01T00:00:00Z"
    )
    visitor = client.bearing(made["token"])
    assert visitor("GET", "/numbers").status_code == 200
    admin.execute("UPDATE provisioner.api_tokens SET expires_at = now() WHERE name = 'Visitor'")
    assert visitor("GET", "/numbers").status_code == 401
    answer = client(
        "POST", "/tokens", {"name": "x", "role": "admin", "expires_at": "2001-01-01T00:00:00Z"}
    )
    assert answer.json["errors"][0]["pointer"] == "#/expires_at"


def test_an_email_address_tells_nothing_of_other_customers(
    client: Client, ours: Tenant, theirs: Tenant
) -> None:
    member = client.bearing(ours.tokens[Role.ADMIN])
    body = {"email": "Zeta@example.org", "name": "x", "role": "sales"}
    assert member("POST", "/users", body).status_code == 201
    again = member("POST", "/users", body | {"email": "zeta@EXAMPLE.org"})
    assert again.json["type"].endswith(":email-taken")
