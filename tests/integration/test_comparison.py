"""The comparison finds what was edited by hand in Kamailio's tables, and repairs only ours."""

from typing import Any

import pytest

from provisioner import comparison, db, sync_store
from provisioner.errors import PlanDangerous
from provisioner.reconcile import Limits
from provisioner.settings import Settings
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client

LIMITS = Limits(share=0.2, floor=50)
WHOLE_TABLES = {
    "subscriber": "SELECT account_id, username, domain, password, ha1, ha1b, ha1_sha256,"
    " registration_allowed, channels, source_group, allowed_networks FROM kamailio.subscriber"
    " ORDER BY username",
    "address": "SELECT network_id, grp, ip_addr, mask, port, tag FROM kamailio.address"
    " ORDER BY ip_addr",
}


def tables(admin: db.Connection) -> list[Any]:
    return [admin.execute(query.encode()).fetchall() for query in WHOLE_TABLES.values()]


def repair(settings: Settings, limits: Limits = LIMITS) -> list[str]:
    """Compare and repair as the worker does; say what was repaired."""
    with db.connect(settings.database_url, autocommit=True) as connection:
        plan, present = comparison.plan_tables(connection)
        done = comparison.repair(connection, plan, present, limits)
        return [f"{one.action} {one.target} {one.key}" for one in done]


@pytest.fixture
def account(client: Client) -> Any:
    client("PUT", "/networks/cloudfire", {"cidrs": ["127.0.10.0/24", "2001:db8::/32"]})
    return client.new_account()


def test_nothing_differs_after_ordinary_changes(
    client: Client, account: Any, settings: Settings
) -> None:
    client.new_account(OTHER_NUMBER, cloudfire_only=True)
    client("POST", f"/sip-accounts/{account['id']}/enable")
    client("POST", f"/sip-accounts/{account['id']}/credentials")
    client("PATCH", f"/sip-accounts/{account['id']}", {"voice_channels": 8})
    assert repair(settings) == []


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        ("UPDATE kamailio.subscriber SET ha1 = md5('x')", ["update subscriber 390612345678"]),
        (
            "UPDATE kamailio.subscriber SET registration_allowed = true",
            ["update subscriber 390612345678"],
        ),
        ("UPDATE kamailio.subscriber SET source_group = 9", ["update subscriber 390612345678"]),
        (
            "UPDATE kamailio.subscriber SET allowed_networks = '10.0.0.0/8'",
            ["update subscriber 390612345678"],
        ),
        ("UPDATE kamailio.subscriber SET channels = 9", ["update subscriber 390612345678"]),
        ("UPDATE kamailio.subscriber SET ha1b = 'x'", ["update subscriber 390612345678"]),
        (
            "UPDATE kamailio.subscriber SET username = '39'",
            ["delete subscriber 39", "insert subscriber 390612345678"],
        ),
        ("DELETE FROM kamailio.subscriber", ["insert subscriber 390612345678"]),
        (
            "UPDATE kamailio.subscriber SET account_id = NULL",
            ["insert subscriber 390612345678"],
        ),
        (
            "INSERT INTO kamailio.subscriber (account_id, username) VALUES (999, '39')",
            ["delete subscriber 39"],
        ),
        ("DELETE FROM kamailio.address WHERE mask = 24", ["insert address 127.0.10.0/24"]),
        (
            "UPDATE kamailio.address SET mask = 8 WHERE mask = 24",
            ["delete address 127.0.10.0/8", "insert address 127.0.10.0/24"],
        ),
        (
            "UPDATE kamailio.address SET grp = 2 WHERE mask = 24",
            ["delete address 127.0.10.0/24", "insert address 127.0.10.0/24"],
        ),
        (
            "UPDATE kamailio.address SET tag = 'x' WHERE mask = 24",
            ["update address 127.0.10.0/24"],
        ),
    ],
)
def test_an_edit_by_hand_is_found_and_repaired(
    admin: db.Connection, account: Any, settings: Settings, edit: str, found: list[str]
) -> None:
    before = tables(admin)
    admin.execute(edit.encode())
    assert repair(settings) == found
    assert tables(admin) == before
    assert repair(settings) == []


def test_the_subscriber_table_can_be_rebuilt(
    client: Client, admin: db.Connection, account: Any, settings: Settings
) -> None:
    client.new_account(OTHER_NUMBER)
    before = tables(admin)
    admin.execute("TRUNCATE kamailio.subscriber")
    repair(settings)
    assert tables(admin) == before


def test_a_repair_is_recorded_without_secrets(
    admin: db.Connection, account: Any, settings: Settings
) -> None:
    admin.execute("UPDATE kamailio.subscriber SET ha1 = md5('x'), channels = 9")
    repair(settings)
    (row,) = admin.execute("SELECT target, action, key, detail FROM provisioner.repairs").fetchall()
    assert tuple(row.values()) == ("subscriber", "update", "390612345678", "ha1, channels")


def test_who_registered_with_an_edited_row_is_kicked(
    admin: db.Connection, account: Any, settings: Settings, node: int
) -> None:
    admin.execute("UPDATE kamailio.subscriber SET ha1 = md5('x')")
    repair(settings)
    rows = admin.execute("SELECT username, drop_all FROM provisioner.pending_kicks").fetchall()
    assert rows == [{"username": "390612345678", "drop_all": True}]


def test_an_edited_allowlist_is_loaded_again(
    admin: db.Connection, account: Any, settings: Settings, node: int
) -> None:
    admin.execute("UPDATE kamailio.address SET mask = 8 WHERE mask = 24")
    repair(settings)
    assert admin.execute("SELECT node_id FROM provisioner.pending_reloads").fetchall() == [
        {"node_id": node}
    ]


def test_the_operators_own_rows_are_not_touched(
    admin: db.Connection, account: Any, settings: Settings
) -> None:
    admin.execute("INSERT INTO kamailio.subscriber (username, domain) VALUES ('bob', 'x.test')")
    admin.execute("INSERT INTO kamailio.address (grp, ip_addr, mask) VALUES (1, '10.0.0.0', 8)")
    before = tables(admin)
    assert repair(settings) == []
    assert tables(admin) == before


def test_what_admits_nobody_kicks_nobody(
    admin: db.Connection, account: Any, settings: Settings, node: int
) -> None:
    admin.execute("UPDATE kamailio.subscriber SET channels = 9")
    assert repair(settings) == ["update subscriber 390612345678"]
    assert admin.execute("SELECT 1 FROM provisioner.pending_kicks").fetchone() is None


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE kamailio.subscriber SET username = '39'",
        "UPDATE kamailio.subscriber SET account_id = NULL",
    ],
)
def test_an_account_obeys_although_its_row_was_edited(
    client: Client, admin: db.Connection, account: Any, edit: str
) -> None:
    client("POST", f"/sip-accounts/{account['id']}/enable")
    admin.execute(edit.encode())
    assert client("POST", f"/sip-accounts/{account['id']}/disable").status_code == 200
    (row,) = admin.execute("SELECT * FROM kamailio.subscriber").fetchall()
    assert (row["username"], row["registration_allowed"]) == ("390612345678", False)


def test_a_row_that_is_in_the_way_is_not_called_repaired(
    admin: db.Connection, account: Any, settings: Settings
) -> None:
    admin.execute("UPDATE kamailio.subscriber SET account_id = NULL, ha1 = md5('theirs')")
    before = tables(admin)
    assert repair(settings) == []
    assert tables(admin) == before
    assert admin.execute("SELECT 1 FROM provisioner.repairs").fetchone() is None


def test_a_repair_does_not_bring_back_what_a_change_removes(
    client: Client, admin: db.Connection, account: Any, settings: Settings
) -> None:
    """The repair was planned before the change, and waits for it."""
    admin.execute("UPDATE kamailio.address SET tag = 'x' WHERE mask = 24")
    with db.connect(settings.database_url, autocommit=True) as connection:
        plan, present = comparison.plan_tables(connection)
        client("PUT", "/networks/cloudfire", {"cidrs": ["2001:db8::/32"]})
        comparison.repair(connection, plan, present, LIMITS)
    rows = admin.execute("SELECT ip_addr FROM kamailio.address").fetchall()
    assert rows == [{"ip_addr": "2001:db8::"}]


def test_a_plan_that_deletes_too_much_is_refused_and_deletes_nothing(
    admin: db.Connection, account: Any, settings: Settings
) -> None:
    admin.execute(
        "INSERT INTO kamailio.subscriber (account_id, username, domain)"
        " SELECT 1000 + n, '39' || n, 'talkytime.test' FROM generate_series(1, 60) AS n"
    )
    before = tables(admin)
    with pytest.raises(PlanDangerous, match="60 of 61 subscriber"):
        repair(settings)
    assert tables(admin) == before
    assert admin.execute("SELECT FROM provisioner.repairs").fetchone() is None
    assert len(repair(settings, Limits(share=1.0, floor=0))) == 60
    assert NUMBER.removeprefix("+") in str(tables(admin))


def test_repairs_are_forgotten_after_90_days(
    admin: db.Connection, account: Any, settings: Settings
) -> None:
    keys = "SELECT key FROM provisioner.repairs ORDER BY id"
    for days, key in ((91, "old"), (89, "young")):
        admin.execute(
            "INSERT INTO provisioner.repairs (repaired_at, target, action, key, detail)"
            " VALUES (now() - make_interval(days => %s), 'subscriber', 'update', %s, '')",
            [days, key],
        )
    with db.connect(settings.database_url, autocommit=True) as connection:
        sync_store.prune_repairs(connection)
    assert admin.execute(keys.encode()).fetchall() == [{"key": "young"}]
