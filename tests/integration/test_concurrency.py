"""Requests at the same moment: each rule holds as if they came one after another."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from provisioner import db
from tests.integration.conftest import NUMBER, Client


def at_once(count: int, act: Any) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(act, range(count)))


def test_one_number_serves_one_account(client: Client, admin: db.Connection) -> None:
    client.new_number()

    def create(i: int) -> int:
        body = {"name": f"Line {i}", "main_number": NUMBER, "voice_channels": 1}
        return client("POST", "/sip-accounts", body).status_code

    assert sorted(at_once(50, create)) == [201] + [409] * 49
    assert admin.execute("SELECT count(*) AS n FROM kamailio.subscriber").fetchall() == [{"n": 1}]


def test_one_number_is_linked_to_one_account(client: Client) -> None:
    accounts = [client.new_account(f"+39060000000{i}")["id"] for i in range(4)]
    client.new_number()

    def link(i: int) -> int:
        return client("PUT", f"/sip-accounts/{accounts[i % 4]}/numbers/{NUMBER}").status_code

    assert sorted(at_once(12, link)) == [200] * 3 + [409] * 9


def test_the_database_refuses_a_number_of_two_accounts(
    client: Client, admin: db.Connection
) -> None:
    """An account's main number is a row that says whose it is, and there is one such row."""
    client.new_account()
    other = client.new_account("+390600000001")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        admin.execute(
            "UPDATE provisioner.numbers SET account_id = %s WHERE number = %s",
            [other["id"], NUMBER],
        )


def test_the_projection_follows_the_last_change(client: Client, admin: db.Connection) -> None:
    path = f"/sip-accounts/{client.new_account()['id']}"

    def change(i: int) -> int:
        if i % 2:
            return client("POST", f"{path}/{'enable' if i % 4 == 1 else 'disable'}").status_code
        return client("PATCH", path, {"voice_channels": i + 1}).status_code

    assert set(at_once(12, change)) == {200}
    account = client("GET", path).json
    row = admin.execute("SELECT registration_allowed, channels FROM kamailio.subscriber").fetchone()
    assert row == {
        "registration_allowed": account["state"] == "enabled",
        "channels": account["voice_channels"],
    }
