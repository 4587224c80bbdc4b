"""Credentials that expire or change at a chosen time, seen in the API and in Kamailio's table."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest

from provisioner import db, rotation
from provisioner.settings import Settings
from tests.integration.conftest import Client


@pytest.fixture
def account(client: Client) -> Any:
    return client.new_account()


@pytest.fixture
def worker(settings: Settings) -> Iterator[db.Connection]:
    """A connection as the worker has one."""
    with db.connect(settings.database_url, autocommit=True) as connection:
        yield connection


def at(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


def schedule(client: Client, account: Any, action: str, due_at: object) -> Any:
    body = {"action": action, "due_at": due_at}
    return client("POST", f"/sip-accounts/{account['id']}/credential-change", body)


def change(client: Client, account: Any) -> Any:
    return client("GET", f"/sip-accounts/{account['id']}/credential-change")


def come(admin: db.Connection) -> None:
    """Let the time come at which the change is due."""
    admin.execute("UPDATE provisioner.credential_changes SET due_at = now() - interval '1 s'")


def ha1(credentials: Any) -> str:
    line = f"{credentials['username']}:{credentials['realm']}:{credentials['password']}"
    return hashlib.md5(line.encode(), usedforsecurity=False).hexdigest()


def projected(admin: db.Connection) -> list[str]:
    rows = admin.execute("SELECT ha1 FROM kamailio.subscriber").fetchall()
    return [row["ha1"] for row in rows]


def test_a_scheduled_rotation_shows_the_new_password_once_and_changes_nothing_yet(
    client: Client, account: Any, admin: db.Connection
) -> None:
    answer = schedule(client, account, "rotate", at(hours=1))
    assert answer.status_code == 201
    new = answer.json["credentials"]
    assert new["password"] != account["credentials"]["password"]
    assert answer.json["action"] == "rotate"
    assert projected(admin) == [ha1(account["credentials"])]
    assert new["password"] not in change(client, account).text
    fields = {"action", "due_at", "created_at"}
    assert change(client, account).json == {name: answer.json[name] for name in fields}


def test_the_new_password_holds_when_it_is_due(
    client: Client, account: Any, admin: db.Connection, worker: db.Connection, node: int
) -> None:
    new = schedule(client, account, "rotate", at(hours=1)).json["credentials"]
    seconds = rotation.apply_due(worker)
    assert seconds
    assert 3590 < seconds < 3600
    assert projected(admin) == [ha1(account["credentials"])]
    come(admin)
    assert rotation.apply_due(worker) is None
    assert projected(admin) == [ha1(new)]
    assert change(client, account).status_code == 404
    kicks = admin.execute("SELECT username, drop_all FROM provisioner.pending_kicks").fetchall()
    assert kicks == [{"username": new["username"], "drop_all": True}]
    read = client("GET", f"/sip-accounts/{account['id']}").json
    assert read["generation"] > account["generation"]


def test_a_scheduled_expiry_takes_the_password_away_when_it_is_due(
    client: Client, account: Any, admin: db.Connection, worker: db.Connection
) -> None:
    answer = schedule(client, account, "expire", at(hours=1)).json
    assert answer["action"] == "expire"
    assert answer["credentials"] is None
    come(admin)
    rotation.apply_due(worker)
    assert projected(admin) == []
    assert admin.execute("SELECT 1 FROM provisioner.credentials").fetchone() is None


def test_credentials_expire_at_once_and_again_without_effect(
    client: Client, account: Any, admin: db.Connection
) -> None:
    path = f"/sip-accounts/{account['id']}/credentials/expire"
    expired = client("POST", path)
    assert expired.status_code == 200
    assert projected(admin) == []
    assert client("POST", path).json["generation"] == expired.json["generation"]


def test_an_account_without_credentials_gets_new_ones(
    client: Client, account: Any, admin: db.Connection, worker: db.Connection
) -> None:
    path = f"/sip-accounts/{account['id']}"
    client("POST", f"{path}/credentials/expire")
    new = client("POST", f"{path}/credentials").json["credentials"]
    assert projected(admin) == [ha1(new)]
    client("POST", f"{path}/credentials/expire")
    new = schedule(client, account, "rotate", at(hours=1)).json["credentials"]
    come(admin)
    rotation.apply_due(worker)
    assert projected(admin) == [ha1(new)]


def test_a_cancelled_change_does_not_happen(
    client: Client, account: Any, admin: db.Connection, worker: db.Connection
) -> None:
    schedule(client, account, "expire", at(hours=1))
    path = f"/sip-accounts/{account['id']}/credential-change"
    assert client("DELETE", path).status_code == 204
    assert client("DELETE", path).status_code == 404
    come(admin)
    assert rotation.apply_due(worker) is None
    assert projected(admin) == [ha1(account["credentials"])]


def test_a_second_change_replaces_the_first(
    client: Client, account: Any, admin: db.Connection, worker: db.Connection
) -> None:
    schedule(client, account, "expire", at(hours=1))
    first = schedule(client, account, "rotate", at(hours=2)).json["credentials"]
    second = schedule(client, account, "rotate", at(hours=3)).json["credentials"]
    assert first["password"] != second["password"]
    come(admin)
    rotation.apply_due(worker)
    assert projected(admin) == [ha1(second)]


def test_two_workers_put_a_change_in_force_once(
    client: Client, account: Any, admin: db.Connection, settings: Settings, node: int
) -> None:
    schedule(client, account, "rotate", at(hours=1))
    come(admin)

    def work() -> None:
        with db.connect(settings.database_url, autocommit=True) as connection:
            rotation.apply_due(connection)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = client("GET", f"/sip-accounts/{account['id']}").json
    (kick,) = admin.execute("SELECT generation FROM provisioner.pending_kicks").fetchall()
    assert kick["generation"] == read["generation"] + 1
    events = audit(admin)
    assert events.count("credentials.rotated") == 1


def test_what_was_scheduled_and_what_came_of_it_is_told(
    client: Client, account: Any, admin: db.Connection, worker: db.Connection
) -> None:
    schedule(client, account, "rotate", at(hours=1))
    client("DELETE", f"/sip-accounts/{account['id']}/credential-change")
    schedule(client, account, "expire", at(hours=1))
    come(admin)
    rotation.apply_due(worker)
    assert audit(admin)[-4:] == [
        "credentials.change_scheduled",
        "credentials.change_cancelled",
        "credentials.change_scheduled",
        "credentials.expired",
    ]
    row = admin.execute("SELECT via FROM provisioner.audit_events ORDER BY id DESC").fetchone()
    assert row == {"via": "worker"}


def audit(admin: db.Connection) -> list[str]:
    rows = admin.execute("SELECT type FROM provisioner.audit_events ORDER BY id").fetchall()
    return [row["type"] for row in rows]


def test_a_repeated_request_does_not_show_the_password_again(client: Client, account: Any) -> None:
    path = f"/sip-accounts/{account['id']}/credential-change"
    body = {"action": "rotate", "due_at": at(hours=1)}
    first = client("POST", path, body, Idempotency_Key="one").json
    again = client("POST", path, body, Idempotency_Key="one")
    assert again.status_code == 201
    assert first["credentials"].pop("password")
    assert again.json == first


def test_a_deleted_accounts_change_is_forgotten(
    client: Client, account: Any, admin: db.Connection
) -> None:
    schedule(client, account, "rotate", at(hours=1))
    assert client("DELETE", f"/sip-accounts/{account['id']}").status_code == 204
    assert admin.execute("SELECT 1 FROM provisioner.credential_changes").fetchone() is None


@pytest.mark.parametrize(
    "due_at",
    [
        at(seconds=-1),
        at(days=400),
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "2026-12-01T12:00:00",
        "soon",
        1798761600,
        None,
    ],
    ids=str,
)
def test_a_time_that_cannot_be_is_refused(client: Client, account: Any, due_at: object) -> None:
    refused = schedule(client, account, "expire", due_at)
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json["errors"]] == ["#/due_at"]
    assert change(client, account).status_code == 404


def test_an_unknown_account_has_no_change(client: Client) -> None:
    for method, path, body in (
        ("GET", "credential-change", None),
        ("POST", "credential-change", {"action": "expire", "due_at": at(hours=1)}),
        ("DELETE", "credential-change", None),
        ("POST", "credentials/expire", None),
        ("GET", "diagnosis", None),
    ):
        assert client(method, f"/sip-accounts/1/{path}", body).status_code == 404
