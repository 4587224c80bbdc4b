"""Requests at the same moment: each rule holds as if they came one after another."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

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

    assert sorted(at_once(12, create)) == [201] + [409] * 11
    assert admin.execute("SELECT count(*) AS n FROM kamailio.subscriber").fetchall() == [{"n": 1}]


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
