"""Roles, pages, buttons: whoever may not do a thing sees no way to it, and is refused it.

The routes are those that the application has, so a new page is covered by itself.
"""

import re
from collections.abc import Iterator

import pytest
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from provisioner import db
from provisioner.access import OPERATORS, Actor, Permission, Role, Via
from tests.integration.conftest import Client
from tests.integration.console import HOST, Visitor, logged_in, token_of, visitor
from tests.integration.walk import (
    START,
    Walk,
    Way,
    address_of,
    console_rules,
    endpoint_of,
    is_page,
    permission_of,
)
from tests.integration.world import NOTHING, Tenant, new_tenant

# What is shown in a state that the world of these tests is not in.
ONLY_SOMETIMES = {
    "console.people.remove_second_factor": "of a person who has a second factor",
    "console.profile.remove_second_factor": "to whoever has one",
    "console.profile.end_session": "of whoever has another session",
    "console.new_account.create": "after the confirmation",
    "console.new_account.search_numbers": "by the script of a field",
    "console.hook_sources.activate_source": "of a source that is not active",
    "console.hook_sources.apply_event": "of an event that waits for a decision",
    "console.hook_sources.dismiss_event": "of the same",
}


@pytest.fixture
def ours(client: Client) -> Tenant:
    """A customer who has accounts in all states."""
    tenant = new_tenant(client, "Alpha", "06111111")
    place = {"project_id": tenant.project}
    for digits, ways in (("31", ["enable"]), ("32", ["link-to-teams"]), ("33", [])):
        number = f"+390611111{digits}"
        client.create("/numbers", number=number, **place)
        account = client.create(
            "/sip-accounts", name=f"Alpha {digits}", main_number=number, voice_channels=2, **place
        )
        for way in ways:
            assert client("POST", f"/sip-accounts/{account['id']}/{way}").status_code == 200
    return tenant


@pytest.fixture
def theirs(client: Client) -> Tenant:
    return new_tenant(client, "Zeta", "06222222")


@pytest.fixture(params=["operator", "customer"])
def customer_id(request: pytest.FixtureRequest, ours: Tenant) -> int | None:
    """Of whom somebody is: None for the operator."""
    return ours.customer if request.param == "customer" else None


@pytest.fixture
def person(client: Client, admin: db.Connection, role: Role, customer_id: int | None) -> Visitor:
    return logged_in(client, admin, role, customer_id)


def actor_of(role: Role, customer_id: int | None) -> Actor:
    return Actor(Via.CONSOLE, 1, "", role, customer_id=customer_id)


def of_visits(client: Client) -> Iterator[tuple[Rule, str, Permission]]:
    """Routes that ask for a permission, with their method."""
    app = client.http.application
    for rule in console_rules(app):
        permission = permission_of(app, rule.endpoint)
        if permission is not Permission.PUBLIC:
            yield rule, "POST" if "POST" in (rule.methods or ()) else "GET", permission


@pytest.mark.parametrize("role", Role)
def test_links_and_buttons_lead_to_all_that_one_may_do_and_to_nothing_else(
    client: Client, person: Visitor, role: Role, customer_id: int | None
) -> None:
    app, actor = client.http.application, actor_of(role, customer_id)
    walk = Walk(person).go()
    assert walk.broken == []
    reached = {way: endpoint_of(app, way) for page in walk.pages for way in page.parsed.ways}
    assert [way for way, endpoint in reached.items() if endpoint is None] == []
    asked = {way: permission_of(app, endpoint) for way, endpoint in reached.items() if endpoint}
    public = {Permission.PUBLIC}
    assert [way for way, one in asked.items() if {one} != public and not actor.may(one)] == []
    wanted = {
        rule.endpoint
        for rule, _, permission in of_visits(client)
        if actor.may(permission) and is_page(rule.endpoint)
    }
    assert sorted(wanted - set(reached.values()) - set(ONLY_SOMETIMES)) == []


@pytest.mark.parametrize("role", Role)
def test_a_forged_request_is_refused_with_a_page(
    client: Client, person: Visitor, ours: Tenant, role: Role, customer_id: int | None
) -> None:
    actor, token = actor_of(role, customer_id), token_of(person.get("/accounts").text)
    parameters = ours.parameters | {"session_id": 999_999_999}
    for rule, method, permission in of_visits(client):
        if not actor.may(permission) and is_page(rule.endpoint):
            answer = ask(person, method, address_of(rule, parameters), token)
            assert answer.status_code == 403, rule
            assert "<h1>This page is not available</h1>" in answer.text, rule


@pytest.mark.parametrize("role", Role)
def test_what_is_live_ends_for_who_may_not_see_it(
    client: Client, person: Visitor, ours: Tenant, role: Role, customer_id: int | None
) -> None:
    actor = actor_of(role, customer_id)
    for rule, _, permission in of_visits(client):
        if is_page(rule.endpoint):
            continue
        event = first_event(person, address_of(rule, ours.parameters))
        assert event.startswith("event: parts" if actor.may(permission) else "event: end"), rule


def test_another_customers_objects_are_as_if_they_did_not_exist(
    client: Client, admin: db.Connection, ours: Tenant, theirs: Tenant
) -> None:
    person = logged_in(client, admin, Role.ADMIN, ours.customer)
    token = token_of(person.get("/accounts").text)
    other = theirs.parameters | {"session_id": session_of_other(client, admin, theirs)}
    nothing = NOTHING | {"session_id": 999_999_999}
    compared = 0
    for rule, method, permission in of_visits(client):
        if permission in OPERATORS or not rule.arguments:
            continue
        if not is_page(rule.endpoint):
            event = first_event(person, address_of(rule, other))
            assert event.startswith("event: end"), rule
            continue
        answers = [
            ask(person, method, address_of(rule, parameters), token)
            for parameters in (other, nothing)
        ]
        assert answers[0].status_code == answers[1].status_code, rule
        assert answers[0].status_code in (302, 404, 422), rule  # an empty form may be wrong
        assert without_values(answers[0].text) == without_values(answers[1].text), rule
        if answers[0].status_code == 302:
            person.get("/profile")  # shows what has been said, so that it is not on the next page
        compared += 1
    assert compared > 20
    sessions = admin.execute("SELECT count(*) AS n FROM provisioner.sessions").fetchone()
    assert sessions == {"n": 2}  # another's has not been ended


def session_of_other(client: Client, admin: db.Connection, tenant: Tenant) -> int:
    logged_in(client, admin, Role.SALES, tenant.customer)
    row = admin.execute("SELECT max(id) AS id FROM provisioner.sessions").fetchone()
    assert row
    return int(row["id"])


def without_values(page: str) -> str:
    """A page without what differs from one address to another by nature."""
    return re.sub(r'(value|action)="[^"]*"', "", page)


def ask(person: Visitor, method: str, address: str, token: str) -> TestResponse:
    """Ask for a page, or send an empty form with a good token, as one may who forges it."""
    if method == "GET":
        return person.http.get(address, base_url=HOST)
    return person.send(address.removeprefix("/console"), {"csrf_token": token})


def first_event(person: Visitor, address: str) -> str:
    """Open a stream, and return what it says first after the time to wait before the next one."""
    with person.http.get(address, base_url=HOST, buffered=False) as answer:
        assert answer.mimetype == "text/event-stream", address
        events = (part.decode() for part in answer.iter_encoded())
        assert next(events).startswith("retry: ")
        return next(events)


def test_a_stranger_is_asked_to_log_in_by_every_page(client: Client, ours: Tenant) -> None:
    stranger = visitor(client)
    token = token_of(stranger.get("/login").text)
    parameters = ours.parameters | {"session_id": 1}
    for rule, method, _ in of_visits(client):
        if rule.endpoint == "console.login.log_out":
            continue  # who is out already is led to the login
        if is_page(rule.endpoint):
            answer = ask(stranger, method, address_of(rule, parameters), token)
            if method == "GET":
                assert answer.status_code == 302, rule
                assert answer.location.startswith("/console/login?following=/console/"), rule
            else:
                assert answer.status_code == 401, rule
                assert 'name="password"' in answer.text, rule
        else:
            event = first_event(stranger, address_of(rule, parameters))
            assert event.startswith("event: end"), rule


def test_a_way_that_is_not_allowed_would_be_found(client: Client) -> None:
    """The walk's own test: it knows what a form leads to, and what that asks for."""
    app = client.http.application
    endpoint = endpoint_of(app, Way("POST", "/console/accounts/7/delete"))
    assert endpoint == "console.account.delete_account"
    assert permission_of(app, endpoint) is Permission.ACCOUNTS_MANAGE
    assert endpoint_of(app, Way("POST", "/console/accounts/7/nonsense")) is None
    assert endpoint_of(app, Way("GET", START)) == "console.accounts.show_accounts"
