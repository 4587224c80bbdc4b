"""Who did what to what, when, from where, before and after; and nobody can undo that."""

from typing import Any

import psycopg
import pytest

from provisioner import comparison, db
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.integration.databases import as_role


def events(client: Client, query: str = "") -> list[Any]:
    items: list[Any] = client("GET", f"/audit-events?limit=500{query}").json["items"]
    return items


def types(client: Client, query: str = "") -> list[str]:
    return [event["type"] for event in events(client, query)]


def test_an_accounts_whole_life_is_written_down(client: Client) -> None:
    account = client.new_account()
    path = f"/sip-accounts/{account['id']}"
    client.new_number(OTHER_NUMBER)
    client("PATCH", path, {"tariff": "flat"})
    client("POST", f"{path}/enable")
    client("POST", f"{path}/link-to-teams")
    client("PUT", f"{path}/numbers/{OTHER_NUMBER}")
    rule = client.create(f"{path}/caller-id-rules", number=OTHER_NUMBER)
    client("PUT", f"{path}/call-transfer", {"unreachable": {"target": "+390687654321"}})
    client("POST", f"{path}/credentials")
    client("DELETE", f"{path}/registrations")
    client("POST", f"{path}/disable")
    client("DELETE", f"{path}/caller-id-rules/{rule['id']}")
    client("DELETE", f"{path}/numbers/{OTHER_NUMBER}")
    client("DELETE", path)
    assert types(client, "&sort=id") == [
        "number.created",
        "account.created",
        "number.created",
        "account.updated",
        "account.enabled",
        "account.teams_linked",
        "number.linked",
        "caller_id_rule.created",
        "call_transfer.updated",
        "credentials.rotated",
        "registrations.dropped",
        "account.disabled",
        "caller_id_rule.deleted",
        "number.unlinked",
        "account.deleted",
    ]


def test_a_change_tells_what_it_was_before_and_after(client: Client) -> None:
    account = client.new_account()
    client("PATCH", f"/sip-accounts/{account['id']}", {"tariff": "flat"})
    event = events(client)[0]
    assert event["before"]["tariff"] == "pay_per_use"
    assert event["after"]["tariff"] == "flat"
    assert event["via"] == "api"
    assert event["actor_name"] == "test"
    assert event["source"] == "127.0.0.1"
    assert (event["subject"], event["subject_id"]) == ("account", str(account["id"]))


def test_what_changes_nothing_is_not_written_down(client: Client) -> None:
    account = client.new_account()
    path = f"/sip-accounts/{account['id']}"
    count = len(events(client))
    client("POST", f"{path}/disable")
    client("PATCH", path, {"voice_channels": 2})
    client("PUT", f"{path}/call-transfer", {})
    client("PATCH", f"/numbers/{NUMBER}", {"state": "active"})
    assert len(events(client)) == count


def test_what_was_refused_is_not_written_down(client: Client) -> None:
    account = client.new_account()
    count = len(events(client))
    client("POST", f"/sip-accounts/{account['id']}/enable")
    assert client("DELETE", f"/sip-accounts/{account['id']}").status_code == 409
    assert len(events(client)) == count + 1


def test_the_trail_of_a_deleted_account_stays(client: Client) -> None:
    account = client.new_account()
    client("DELETE", f"/sip-accounts/{account['id']}")
    found = types(client, f"&subject=account&subject_id={account['id']}")
    assert found == ["account.deleted", "account.created"]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {
            "external_id": "crm-1",
            "tariff": "flat",
            "cloudfire_only": True,
            "allowed_networks": ["198.51.100.7", "2001:db8::/48", "192.0.2.0/24"],
        },
    ],
)
def test_the_database_tells_of_a_new_account_what_is_told_of_any(
    client: Client, more: dict[str, Any]
) -> None:
    """It writes this line itself, in the same call that makes the account."""
    account = client.new_account(**more)
    client("DELETE", f"/sip-accounts/{account['id']}")
    deleted, created = events(client, f"&subject=account&subject_id={account['id']}")
    assert created["after"] == deleted["before"]
    assert created["before"] is None
    same = ("via", "actor_name", "source", "customer_id", "project_id", "subject", "subject_id")
    assert {name: created[name] for name in same} == {name: deleted[name] for name in same}
    assert created["request_id"] not in (None, deleted["request_id"])


def test_customers_users_and_tokens_are_written_down(client: Client) -> None:
    customer = client.create("/customers", name="Bianchi")
    project = client.create("/projects", name="Milan", customer_id=customer["id"])
    user = client.create("/users", email="a@b.example", name="Anna", role="admin")
    token = client.create("/tokens", name="Portal", role="sales")
    client("PATCH", f"/customers/{customer['id']}", {"name": "Rossi"})
    client("PATCH", f"/users/{user['id']}", {"active": False})
    client("DELETE", f"/tokens/{token['id']}")
    client("DELETE", f"/users/{user['id']}")
    client("DELETE", f"/projects/{project['id']}")
    client("DELETE", f"/customers/{customer['id']}")
    client("PUT", "/networks/cloudfire", {"cidrs": ["127.0.10.0/24"]})
    assert types(client, "&sort=id") == [
        "customer.created",
        "project.created",
        "user.created",
        "token.created",
        "customer.updated",
        "user.updated",
        "token.revoked",
        "user.deleted",
        "project.deleted",
        "customer.deleted",
        "network.updated",
    ]


def test_credentials_are_never_in_it(client: Client, admin: db.Connection) -> None:
    account = client.new_account()
    rotated = client("POST", f"/sip-accounts/{account['id']}/credentials").json
    token = client.create("/tokens", name="Portal", role="sales")
    trail = str(admin.execute("SELECT * FROM provisioner.audit_events").fetchall())
    hashes = admin.execute("SELECT ha1, ha1_sha256 FROM provisioner.credentials").fetchone()
    assert hashes
    secrets = [
        account["credentials"]["password"],
        rotated["credentials"]["password"],
        token["token"],
        *hashes.values(),
    ]
    assert not any(secret in trail for secret in secrets)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE provisioner.audit_events SET actor_name = 'nobody'",
        "DELETE FROM provisioner.audit_events",
        "TRUNCATE provisioner.audit_events",
        "UPDATE provisioner.account_tariffs SET tariff = 'flat'",
        "DELETE FROM provisioner.account_tariffs",
    ],
)
def test_the_service_can_add_to_it_and_nothing_else(
    client: Client, settings: Settings, stack: Stack, statement: str
) -> None:
    client.new_account()
    denied = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with as_role(settings, stack, "provisioner") as connection, denied:
        connection.execute(statement.encode())


def test_a_repair_is_written_down(client: Client, admin: db.Connection, settings: Settings) -> None:
    account = client.new_account()
    admin.execute("UPDATE kamailio.subscriber SET channels = 99")
    with db.connect(settings.database_url, autocommit=True) as connection:
        plan, present = comparison.plan_tables(connection)
        comparison.repair(connection, plan, present, None)
    event = events(client)[0]
    assert (event["via"], event["type"]) == ("worker", "repair.subscriber")
    assert event["subject_id"] == account["username"]
    assert event["after"] == {"action": "update", "detail": "channels"}


# Tariffs


def test_a_tariff_can_be_changed_at_any_time_and_has_a_history(client: Client) -> None:
    path = f"/sip-accounts/{client.new_account()['id']}"
    client("POST", f"{path}/enable")
    for tariff in ("flat", "flat", "pay_per_use"):
        assert client("PATCH", path, {"tariff": tariff}).json["tariff"] == tariff
    history = client("GET", f"{path}/tariff-history").json["items"]
    assert [(item["previous"], item["tariff"]) for item in history] == [
        ("flat", "pay_per_use"),
        ("pay_per_use", "flat"),
        (None, "pay_per_use"),
    ]
    assert {item["actor_name"] for item in history} == {"test"}
    assert history[0]["since"] > history[1]["since"]


def test_tariffs_outlive_the_account(client: Client, admin: db.Connection) -> None:
    account = client.new_account()
    client("DELETE", f"/sip-accounts/{account['id']}")
    found = admin.execute("SELECT account_id, tariff FROM provisioner.account_tariffs").fetchall()
    assert found == [{"account_id": account["id"], "tariff": "pay_per_use"}]
