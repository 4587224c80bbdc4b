"""A transaction that fails half way leaves nothing: whatever had been written by then is gone."""

from collections.abc import Callable
from typing import Any

import pytest

from provisioner import db
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client

# The journal is written last, so a failure there finds everything else done.
BREAK = """
    CREATE FUNCTION provisioner.fail() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER fail BEFORE INSERT ON provisioner.audit_events
        FOR EACH ROW EXECUTE FUNCTION provisioner.fail();
"""


def content(admin: db.Connection) -> dict[str, list[Any]]:
    """Every row of every table, ours and Kamailio's."""
    tables = admin.execute(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname IN ('provisioner', 'kamailio') ORDER BY 1"
    ).fetchall()
    return {
        table["name"]: admin.execute(
            f"SELECT to_jsonb(t) AS row FROM {table['name']} AS t ORDER BY 1".encode()  # noqa: S608 - names of tables
        ).fetchall()
        for table in tables
    }


def path_of(client: Client) -> str:
    return f"/sip-accounts/{client('GET', '/sip-accounts').json['items'][0]['id']}"


ACTS: dict[str, Callable[[Client, str], Any]] = {
    "create": lambda api, _: api(
        "POST", "/sip-accounts", {"name": "x", "main_number": OTHER_NUMBER, "voice_channels": 1}
    ),
    "configure": lambda api, one: api("PATCH", one, {"tariff": "flat", "cloudfire_only": True}),
    "enable": lambda api, one: api("POST", f"{one}/enable"),
    "rotate": lambda api, one: api("POST", f"{one}/credentials"),
    "link": lambda api, one: api("PUT", f"{one}/numbers/{OTHER_NUMBER}"),
    "caller id": lambda api, one: api("POST", f"{one}/caller-id-rules", {"number": None}),
    "transfer": lambda api, one: api(
        "PUT", f"{one}/call-transfer", {"unreachable": {"target": "+390687654321"}}
    ),
    "delete": lambda api, one: api("DELETE", one),
    "number": lambda api, _: api("POST", "/numbers", {"number": "+390600000001"}),
    "network": lambda api, _: api("PUT", "/networks/cloudfire", {"cidrs": ["127.0.11.0/24"]}),
    "customer": lambda api, _: api("POST", "/customers", {"name": "Bianchi"}),
    "token": lambda api, _: api(
        "POST", "/tokens", {"name": "x", "role": "admin"}, Idempotency_Key="k1"
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_what_fails_half_way_leaves_nothing(
    client: Client, admin: db.Connection, node: int, act: str
) -> None:
    client.new_account(NUMBER)
    client.new_number(OTHER_NUMBER)
    one = path_of(client)
    before = content(admin)
    admin.execute(BREAK)
    answer = ACTS[act](client, one)
    assert answer.status_code == 503
    assert content(admin) == before
    admin.execute("DROP TRIGGER fail ON provisioner.audit_events")
    assert ACTS[act](client, one).status_code < 300
    assert content(admin) != before
