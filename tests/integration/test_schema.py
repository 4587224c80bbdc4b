"""Migrations, and what the schema promises."""

import pytest

from provisioner import db
from provisioner.db import translated_errors
from provisioner.errors import DatabaseUnavailable, RealmDiffers, StillInUse
from provisioner.migrate import migrate
from provisioner.settings import Settings, load_settings
from provisioner.stack.stack import Stack
from tests.integration.conftest import Client
from tests.integration.databases import as_role


def test_migrating_again_changes_nothing(settings: Settings) -> None:
    assert migrate(settings) == []


def test_the_realm_never_changes_by_itself(settings: Settings, admin: db.Connection) -> None:
    other = load_settings(
        {"DATABASE_ADMIN_URL": settings.database_admin_url, "SIP_REALM": "other.test"}
    )
    with pytest.raises(RealmDiffers, match=r"other\.test.*talkytime\.test"):
        migrate(other)
    assert admin.execute("SELECT realm FROM provisioner.installation").fetchall() == [
        {"realm": "talkytime.test"}
    ]


def test_a_database_that_is_away_is_said_in_one_sentence() -> None:
    url = "postgresql://postgres@127.0.0.1:9/provisioner"
    with pytest.raises(DatabaseUnavailable, match="cannot be reached"):
        migrate(load_settings({"DATABASE_ADMIN_URL": url}))


def test_an_unknown_username_gets_one_row_that_nobody_can_use(
    client: Client, settings: Settings, stack: Stack
) -> None:
    client.new_account()
    query = "SELECT ha1, registration_allowed, ha1_sha256 FROM cred(%s, 'talkytime.test')"
    with as_role(settings, stack, "kamailio") as connection:
        known = connection.execute(query, ["390612345678"]).fetchall()
        first = connection.execute(query, ["390000000000"]).fetchall()
        second = connection.execute(query, ["390000000000"]).fetchall()
    assert [len(rows) for rows in (known, first, second)] == [1, 1, 1]
    assert [len(rows[0][0]) for rows in (known, first, second)] == [32, 32, 32]
    assert first[0][0] != second[0][0]
    assert first[0][1] == 0
    assert [len(rows[0][2]) for rows in (known, first, second)] == [64, 64, 64]
    assert first[0][2] != second[0][2]


def test_a_hash_that_is_missing_is_made_up(admin: db.Connection) -> None:
    """An empty one would let anybody in who knows that it is."""
    admin.execute(
        "INSERT INTO kamailio.subscriber (username, domain, ha1) VALUES ('39999', 'x', md5('x'))"
    )
    query = "SELECT ha1_sha256 FROM kamailio.cred('39999', 'x')"
    first, second = (admin.execute(query.encode()).fetchone() for _ in range(2))
    assert first
    assert len(first["ha1_sha256"]) == 64
    assert first != second


def test_what_belongs_to_a_customer_or_project_is_told_when_that_is_deleted(
    admin: db.Connection,
) -> None:
    """A foreign key that stands in the way is a conflict, not an error of ours."""
    found = admin.execute(
        "SELECT conname FROM pg_constraint WHERE contype = 'f' AND confdeltype = 'a' AND confrelid"
        " IN ('provisioner.customers'::regclass, 'provisioner.projects'::regclass)"
    ).fetchall()
    assert found
    for row in found:
        with pytest.raises(StillInUse), translated_errors():
            admin.execute(
                f"DO $$ BEGIN RAISE foreign_key_violation USING CONSTRAINT = '{row['conname']}'; "
                "END $$".encode()
            )


def test_a_node_learns_at_its_start_where_devices_are(admin: db.Connection) -> None:
    received = [
        *("sip:203.0.113.7:5060", "sip:203.0.113.7:41000;transport=tcp", "sip:198.51.100.1:5060"),
        *("sip:[2001:db8::7]:5060", "sip:[2001:db8:0:0:1::9]:5061;transport=tls", "sip:phone:5060"),
        *("sip:[nonsense]:5060", None),
    ]
    with admin.transaction(force_rollback=True):
        admin.execute("DELETE FROM kamailio.location")
        for number, uri in enumerate(received):
            admin.execute(
                "INSERT INTO kamailio.location (ruid, received, socket) VALUES (%s, %s, 'udp:x')",
                [number, uri],
            )
        rows = admin.execute("SELECT key_name FROM kamailio.homes ORDER BY key_name").fetchall()
        homes = [row["key_name"] for row in rows]
    assert homes == ["198.51.100.1", "2001:db8:0:0::/64", "203.0.113.7"]
