"""Rates: imported by the file, whole or not at all; what has happened is not rewritten."""

from typing import Any

import psycopg
import pytest

from provisioner import db
from provisioner.access import Role
from tests.integration.billing import HEADER, import_rates, new_rates
from tests.integration.conftest import Client
from tests.integration.world import new_tenant


def listed(client: Client, query: str = "") -> list[Any]:
    answer = client("GET", f"/rates?{query}")
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json["items"]
    return items


def faults(client: Client, *lines: str, header: str = HEADER) -> list[tuple[int, str | None]]:
    answer = import_rates(client, *lines, header=header)
    assert answer.status_code == 422, answer.text
    assert answer.json["type"].endswith(":rates-invalid")
    assert all(fault["detail"] for fault in answer.json["errors"])
    return [(fault["line"], fault["field"]) for fault in answer.json["errors"]]


def test_a_file_is_imported(client: Client) -> None:
    done = new_rates(client, "customer;+39;0,05;0,0125;60;30;true;2026-02-01;")
    assert done == {"added": 1, "ended": 0, "unchanged": 0}
    (rate,) = listed(client)
    assert (rate["side"], rate["prefix"], rate["flat"]) == ("customer", "+39", True)
    assert (rate["connection_fee"], rate["price_per_minute"]) == ("0.050000", "0.012500")
    assert (rate["first_interval"], rate["next_interval"]) == (60, 30)
    assert rate["valid_from"] == "2026-01-31T23:00:00.000Z"  # midnight in Rome
    assert rate["valid_until"] is None


def test_what_is_empty_has_its_default(client: Client) -> None:
    answer = import_rates(
        client,
        ",operator,1.5,2026-07-01T00:00:00Z",
        header="prefix,side,price_per_minute,valid_from",
    )
    assert answer.status_code == 200, answer.text
    (rate,) = listed(client)
    assert (rate["prefix"], rate["connection_fee"], rate["flat"]) == ("", "0.000000", False)
    assert (rate["first_interval"], rate["next_interval"]) == (1, 1)
    assert rate["valid_from"] == "2026-07-01T00:00:00.000Z"


def test_a_plus_that_a_spreadsheet_has_guarded_is_one(client: Client) -> None:
    new_rates(client, "customer;'+39;0;0,01;1;1;;2026-02-01;")
    assert [rate["prefix"] for rate in listed(client)] == ["+39"]


def test_every_fault_is_told_and_nothing_is_imported(client: Client) -> None:
    found = faults(
        client,
        "customer;+39;0;0,01;1;1;;2026-02-01;",
        "nobody;39;x;-1;0;4000;perhaps;2026-02-30;",
        "operator;+39;0;0,01;1;1;true;2026-02-01;",
        "customer;+39;0;0,02;1;1;;2026-02-01;",
        "customer;+40;0;0.01;1;1;;2026-02-01;2026-01-01",
        "customer;+41;0",
    )
    wrong = ["side", "prefix", "connection_fee", "price_per_minute"]
    wrong += ["first_interval", "next_interval", "flat", "valid_from"]
    assert found == [*((3, name) for name in wrong), (6, "price_per_minute"), (7, None)]
    assert listed(client) == []


def test_faults_that_other_lines_make_are_told(client: Client) -> None:
    found = faults(
        client,
        "customer;+39;0;0,01;1;1;;2026-02-01;",
        "operator;+39;0;0,01;1;1;true;2026-02-01;",
        "customer;+39;0;0,02;1;1;;2026-02-01;",
        "customer;+40;0;0,01;1;1;;2026-02-01;2026-01-01",
    )
    assert found == [(3, "flat"), (4, "valid_from"), (5, "valid_until")]
    assert listed(client) == []


def test_columns_must_be_known(client: Client) -> None:
    assert faults(client, header="side;prefix;price;valid_from") == [
        (1, "price"),
        (1, "price_per_minute"),
    ]


def test_a_new_rate_ends_the_one_before(client: Client) -> None:
    new_rates(client, "customer;+39;0;0,01;1;1;;2026-02-01;")
    done = new_rates(client, "customer;+39;0;0,02;1;1;;2999-01-01;")
    assert done == {"added": 1, "ended": 1, "unchanged": 0}
    first, second = listed(client)
    assert first["valid_until"] == second["valid_from"] == "2998-12-31T23:00:00.000Z"
    assert [rate["id"] for rate in listed(client, "at=2998-12-31T22:59:59Z")] == [first["id"]]
    assert [rate["id"] for rate in listed(client, "at=2998-12-31T23:00:00Z")] == [second["id"]]


def test_history_is_not_rewritten(client: Client) -> None:
    line = "customer;+39;0;0,01;1;1;;2026-02-01;"
    new_rates(client, line)
    assert faults(client, "customer;+39;0;0,02;1;1;;2026-03-01;") == [(2, "valid_from")]
    assert new_rates(client, line) == {"added": 0, "ended": 0, "unchanged": 1}
    assert len(listed(client)) == 1


def test_a_rate_that_is_to_come_can_be_removed(client: Client) -> None:
    new_rates(client, "customer;+39;0;0,01;1;1;;2026-02-01;2999-06-01")
    new_rates(client, "customer;+39;0;0,02;1;1;;2999-01-01;")
    first, second = listed(client)
    assert client("DELETE", f"/rates/{first['id']}").json["type"].endswith(":rate-in-force")
    assert client("DELETE", f"/rates/{second['id']}").status_code == 204
    (left,) = listed(client)
    assert left["valid_until"] == "2999-05-31T22:00:00.000Z"  # what its own file said
    assert client("DELETE", f"/rates/{second['id']}").status_code == 404


def test_rates_of_a_number_are_found(client: Client) -> None:
    lines = [f"customer;{prefix};0;0,01;1;1;;2026-02-01;" for prefix in ("", "+39", "+393", "+40")]
    new_rates(client, *lines)
    found = listed(client, "number=%2B393331234567&side=customer&sort=-prefix")
    assert [rate["prefix"] for rate in found] == ["+393", "+39", ""]


def test_rates_are_the_operators_alone(client: Client) -> None:
    tenant = new_tenant(client, "Alpha", "06111111")
    assert client.bearing(tenant.tokens[Role.ADMIN])("GET", "/rates").status_code == 403
    for role in Role:
        token = client.create("/tokens", name=str(role), role=role)["token"]
        may = role in (Role.ADMIN, Role.ACCOUNTING)
        assert client.bearing(token)("GET", "/rates").status_code == (200 if may else 403)
        answer = import_rates(client.bearing(token), "customer;;0;0;1;1;;2026-02-01;")
        assert answer.status_code == (200 if may else 403)


def test_imports_and_removals_are_in_the_audit_trail(client: Client) -> None:
    new_rates(client, "customer;+39;0;0,01;1;1;;2999-01-01;")
    (rate,) = listed(client)
    client("DELETE", f"/rates/{rate['id']}")
    deleted, imported = client("GET", "/audit-events?limit=2").json["items"]
    assert (imported["type"], imported["after"]["added"]) == ("rates.imported", 1)
    assert (deleted["type"], deleted["subject_id"]) == ("rate.deleted", str(rate["id"]))
    assert deleted["before"]["prefix"] == "+39"


def test_an_import_is_done_once(client: Client) -> None:
    line = "customer;+39;0;0,01;1;1;;2026-02-01;"
    first = import_rates(client, line, **{"Idempotency-Key": "k1"})
    again = import_rates(client, line, **{"Idempotency-Key": "k1"})
    assert again.json == first.json == {"added": 1, "ended": 0, "unchanged": 0}


def test_the_database_itself_refuses_two_rates_at_a_time(
    client: Client, admin: db.Connection
) -> None:
    new_rates(client, "customer;+39;0;0,01;1;1;;2026-02-01;")
    copy = (
        "INSERT INTO provisioner.rates (side, prefix, description, connection_fee,"
        " price_per_minute, first_interval, next_interval, flat, valid_from)"
        " SELECT {}, {}, '', 0, 1, 1, 1, false, valid_from + interval '1 d' FROM provisioner.rates"
        " LIMIT 1"
    )
    with pytest.raises(psycopg.errors.ExclusionViolation):
        admin.execute(copy.format("side", "prefix").encode())
    admin.execute(copy.format("'operator'", "prefix").encode())
    admin.execute(copy.format("side", "'+3'").encode())


def test_many_rates_are_found_by_an_index(client: Client, admin: db.Connection) -> None:
    lines = [f"customer;+{i};0;0,01;1;1;;2026-02-01;" for i in range(1_000_000, 1_020_000)]
    assert new_rates(client, *lines)["added"] == 20_000
    admin.execute("ANALYZE provisioner.rates")
    plan = admin.execute(
        "EXPLAIN SELECT id FROM provisioner.rates WHERE side = 'customer'"
        " AND prefix = ANY (provisioner.prefixes('+1012345678')) AND valid_from <= now()"
        " ORDER BY length(prefix) DESC LIMIT 1"
    ).fetchall()
    assert "rates_lookup_idx" in str(plan)
