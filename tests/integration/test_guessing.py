"""That an account's password is guessed at from many addresses is told by hooks, now and then."""

from collections.abc import Iterator
from typing import Any

import pytest

from provisioner import db, guard_store, guessing
from provisioner.settings import Settings
from tests.integration.conftest import OTHER_NUMBER, Client

ADDRESSES = 10


@pytest.fixture
def worker(settings: Settings) -> Iterator[db.Connection]:
    """The connection of a worker."""
    with db.connect(settings.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def account(client: Client) -> Any:
    """An account, and an endpoint that nothing is sent to, because no worker runs."""
    client.create("/webhook-endpoints", url="https://1.1.1.1/", types=["guessing.suspected"])
    return client.new_account(external_id="crm-1")


def seen(admin: db.Connection, account_id: int, addresses: int = ADDRESSES) -> None:
    """What a node does that has seen so many."""
    admin.execute("SELECT kamailio.note_guessing(%s, %s)", [account_id, addresses])


def told(client: Client) -> list[Any]:
    items = client("GET", "/webhook-deliveries?limit=500").json["items"]
    assert {one["type"] for one in items} <= {"guessing.suspected"}
    return [one["data"] for one in sorted(items, key=lambda one: one["id"])]


def later(admin: db.Connection, interval: str) -> None:
    """Let time pass."""
    admin.execute(
        "UPDATE provisioner.guessing SET told_at = told_at - %(by)s::interval,"
        " first_at = first_at - %(by)s::interval, last_at = last_at - %(by)s::interval",
        {"by": interval},
    )


def test_guessing_is_told(
    client: Client, admin: db.Connection, worker: db.Connection, account: Any
) -> None:
    guessing.tell(worker)
    assert told(client) == []
    seen(admin, account["id"])
    guessing.tell(worker)
    (event,) = told(client)
    assert event.pop("since").endswith("Z")
    assert event.pop("at").endswith("Z")
    assert event == {
        "id": account["id"],
        "account_id": account["id"],
        "external_id": "crm-1",
        "customer_id": 1,
        "project_id": 1,
        "version": account["generation"],
        "addresses": ADDRESSES,
    }


def test_while_it_goes_on_it_is_told_every_ten_minutes(
    client: Client, admin: db.Connection, worker: db.Connection, account: Any
) -> None:
    for addresses in range(ADDRESSES, ADDRESSES + 5):
        seen(admin, account["id"], addresses)
        guessing.tell(worker)
    assert [one["addresses"] for one in told(client)] == [ADDRESSES]
    later(admin, "10 min")
    guessing.tell(worker)
    assert [one["addresses"] for one in told(client)] == [ADDRESSES, ADDRESSES + 4]
    later(admin, "10 min")
    guessing.tell(worker)
    assert len(told(client)) == 2


def test_each_account_is_told_of_by_itself(
    client: Client, admin: db.Connection, worker: db.Connection, account: Any
) -> None:
    other = client.new_account(OTHER_NUMBER)
    for one in (account, other):
        seen(admin, one["id"])
    guessing.tell(worker)
    assert {one["id"] for one in told(client)} == {account["id"], other["id"]}


def test_the_diagnosis_tells_it_for_a_day(
    client: Client, admin: db.Connection, worker: db.Connection, account: Any
) -> None:
    def codes() -> list[str]:
        answer = client("GET", f"/sip-accounts/{account['id']}/diagnosis").json
        return [one["code"] for one in answer["findings"]]

    assert "guessing_suspected" not in codes()
    seen(admin, account["id"])
    assert "guessing_suspected" in codes()
    later(admin, "23 hours")
    guard_store.prune_guessing(worker)
    assert "guessing_suspected" in codes()
    later(admin, "1 hour")
    guard_store.prune_guessing(worker)
    assert "guessing_suspected" not in codes()


def test_guessing_at_an_account_that_is_gone_is_nothing(
    client: Client, admin: db.Connection, worker: db.Connection
) -> None:
    seen(admin, 999_999)
    guessing.tell(worker)
    assert admin.execute("SELECT count(*) AS found FROM provisioner.guessing").fetchone() == {
        "found": 0
    }
