"""Whose an event's subject is: the portal's own keys are unique within a customer only."""

from typing import Any

import pytest

from provisioner.access import Role
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.integration.hooks import Portal


class Tenant:
    """A customer with a project, a number, and an admin of his own."""

    def __init__(self, operator: Client, name: str, number: str) -> None:
        self.operator = operator
        self.id = operator.create("/customers", name=name)["id"]
        self.project_id = operator.create("/projects", name=name, customer_id=self.id)["id"]
        self.number = number
        operator.create("/numbers", number=number, project_id=self.project_id)
        token = operator.create("/tokens", name=name, role=Role.ADMIN, customer_id=self.id)
        self.api = operator.bearing(token["token"])

    def create(self, external_id: str = "crm-1") -> Any:
        """Create an account by the API."""
        fields = {"name": self.number, "main_number": self.number, "voice_channels": 2}
        return self.api.create(
            "/sip-accounts", external_id=external_id, project_id=self.project_id, **fields
        )

    def account(self, external_id: str = "crm-1") -> Any:
        """Read his account by the portal's key; None where he has none."""
        found = self.api("GET", f"/sip-accounts?external_id={external_id}").json["items"]
        return found[0] if found else None

    def fields(self) -> dict[str, Any]:
        """Return what an event needs to create an account of his."""
        return {
            "name": "Front desk",
            "main_number": self.number,
            "voice_channels": 2,
            "project_id": self.project_id,
        }


@pytest.fixture
def portal(client: Client) -> Portal:
    return Portal(client, client.create("/hook-sources", name="Portal")["secret"])


@pytest.fixture
def bianchi(client: Client) -> Tenant:
    return Tenant(client, "Bianchi", NUMBER)


@pytest.fixture
def verdi(client: Client) -> Tenant:
    """Who uses the portal's keys of other customers."""
    return Tenant(client, "Verdi", OTHER_NUMBER)


def test_a_key_that_another_customer_uses_too_does_not_stop_a_creation(
    portal: Portal, bianchi: Tenant, verdi: Tenant
) -> None:
    verdi.create()
    portal.apply("account.created", external_id="crm-1", **bianchi.fields())
    assert bianchi.account()["name"] == "Front desk"
    assert verdi.account()["name"] == OTHER_NUMBER


def test_what_the_portal_has_created_is_meant_by_its_key_whoever_uses_that_too(
    portal: Portal, bianchi: Tenant, verdi: Tenant
) -> None:
    theirs = verdi.create()
    portal.apply("account.created", external_id="crm-1", **bianchi.fields())
    verdi.api("POST", f"/sip-accounts/{theirs['id']}/disable")
    portal.apply("account.enabled", external_id="crm-1")
    assert bianchi.account()["state"] == "enabled"
    assert verdi.account()["state"] == "disabled"


def test_a_key_stays_its_owners_when_another_customer_takes_it_later(
    portal: Portal, bianchi: Tenant, verdi: Tenant
) -> None:
    bianchi.create()
    portal.apply("account.enabled", external_id="crm-1")
    bianchi.api("POST", f"/sip-accounts/{bianchi.account()['id']}/disable")
    assert bianchi.api("DELETE", f"/sip-accounts/{bianchi.account()['id']}").status_code == 204
    verdi.create()
    answer = portal.send("account.enabled", external_id="crm-1")
    assert answer.json["status"] == "waiting"
    assert verdi.account()["state"] == "disabled"


def test_a_key_of_two_customers_is_a_persons_to_decide(
    portal: Portal, client: Client, bianchi: Tenant, verdi: Tenant
) -> None:
    bianchi.create()
    theirs = verdi.create()
    answer = portal.send("account.enabled", external_id="crm-1").json
    assert (answer["status"], answer["code"]) == ("conflict", "customer-unclear")
    assert "name the customer_id" in answer["detail"]
    path = f"/hook-events/{answer['event_id']}/apply"
    assert client("POST", path).json["status"] == "conflict"
    assert {bianchi.account()["state"], verdi.account()["state"]} == {"disabled"}
    assert verdi.api("DELETE", f"/sip-accounts/{theirs['id']}").status_code == 204
    assert client("POST", path).json["status"] == "applied"
    assert bianchi.account()["state"] == "enabled"


@pytest.mark.parametrize("name", ["customer_id", "project_id"])
def test_an_event_may_name_the_customer_or_the_project(
    portal: Portal, bianchi: Tenant, verdi: Tenant, name: str
) -> None:
    bianchi.create()
    verdi.create()
    whose = {"customer_id": bianchi.id, "project_id": bianchi.project_id}
    portal.apply("account.enabled", external_id="crm-1", **{name: whose[name]})
    assert bianchi.account()["state"] == "enabled"
    assert verdi.account()["state"] == "disabled"


def test_an_account_that_an_event_names_by_id_is_that_one(
    portal: Portal, bianchi: Tenant, verdi: Tenant
) -> None:
    account = bianchi.create()
    verdi.create()
    portal.apply("account.enabled", id=account["id"])
    assert bianchi.account()["state"] == "enabled"
    other = portal.send("account.disabled", id=account["id"], customer_id=verdi.id).json
    assert other["status"] == "waiting"
    assert bianchi.account()["state"] == "enabled"


def test_an_event_that_came_first_waits_for_the_creation_whoevers_it_is(
    portal: Portal, bianchi: Tenant
) -> None:
    early = portal.send("account.enabled", external_id="crm-1", version=5).json
    assert early["status"] == "waiting"
    portal.apply("account.created", external_id="crm-1", **bianchi.fields(), version=4)
    assert bianchi.account()["state"] == "enabled"


def test_a_customer_who_does_not_exist_is_a_persons_to_correct(portal: Portal) -> None:
    answer = portal.send("account.enabled", external_id="crm-1", customer_id=999_999).json
    assert (answer["status"], answer["code"]) == ("conflict", "customer-unclear")


def test_a_number_is_meant_by_a_key_within_its_customer_too(
    portal: Portal, client: Client, bianchi: Tenant, verdi: Tenant
) -> None:
    for tenant in (bianchi, verdi):
        client("PATCH", f"/numbers/{tenant.number}", {"external_id": "n-1"})
    unclear = portal.send("number.ceased", external_id="n-1").json
    assert (unclear["status"], unclear["code"]) == ("conflict", "customer-unclear")
    portal.apply("number.ceased", external_id="n-1", customer_id=bianchi.id)
    assert client("GET", f"/numbers/{NUMBER}").json["state"] == "ceased"
    assert client("GET", f"/numbers/{OTHER_NUMBER}").json["state"] == "active"
    wrong = portal.send("number.ceased", number=OTHER_NUMBER, customer_id=bianchi.id).json
    assert (wrong["status"], wrong["code"]) == ("conflict", "customer-unclear")


# A customer's source.


def answer_to(portal: Portal, kind: str, **data: Any) -> Any:
    answer = portal.send(kind, **data).json
    return {name: answer[name] for name in ("status", "code", "detail")}


@pytest.fixture
def theirs(client: Client, verdi: Tenant) -> Portal:
    return Portal(client, verdi.api.create("/hook-sources", name="Verdi")["secret"])


@pytest.mark.parametrize("kind", ["account.updated", "account.enabled", "account.deleted"])
def test_to_a_customers_source_anothers_account_is_like_none(
    theirs: Portal, bianchi: Tenant, kind: str
) -> None:
    account = bianchi.create()
    bianchi.api("PATCH", f"/sip-accounts/{account['id']}", {"name": "Changed"})
    for extra in ({"generation": 1}, {}):
        given = {"name": "x"} if kind == "account.updated" else {}
        nothing = answer_to(theirs, kind, id=999_999_999, **extra, **given)
        assert answer_to(theirs, kind, id=account["id"], **extra, **given) == nothing
        nothing = answer_to(theirs, kind, external_id="none", **extra, **given)
        assert answer_to(theirs, kind, external_id="crm-1", **extra, **given) == nothing


def test_a_customers_source_learns_nothing_of_anothers_accounts_history(
    theirs: Portal, client: Client, bianchi: Tenant, verdi: Tenant
) -> None:
    """An id that it has claimed beside a key of its own does not lead it there."""
    account = bianchi.create()
    bianchi.api("POST", f"/sip-accounts/{account['id']}/enable")
    named = {"external_id": "mine", "id": account["id"]}
    theirs.send("account.enabled", **named, generation=1)
    answer = theirs.send("account.created", external_id="mine", **verdi.fields(), generation=1)
    assert answer.json["status"] == "applied"
    assert "crm-1" not in client("GET", "/hook-events").text


def test_a_customer_of_others_is_none_to_a_customers_source(
    theirs: Portal, bianchi: Tenant
) -> None:
    nothing = answer_to(theirs, "account.enabled", external_id="crm-1", customer_id=999_999_999)
    other = answer_to(theirs, "account.enabled", external_id="crm-1", customer_id=bianchi.id)
    assert other == nothing
    assert other["status"] == "conflict"
