"""What calls cost, and the records of them: as a page, as CSV, by the month."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from provisioner import costing, db
from provisioner.access import Role
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.integration.billing import (
    Kamailio,
    cost_calls,
    import_rates,
    kamailio_of,
    new_rates,
)
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.integration.world import Tenant, new_tenant
from tests.system import System, eventually

MOBILE = "+393331234567"
# One second costs the operator 0.0001 and the customer 0.0010.
RATES = ("operator;;0;0,006;1;1;;2020-01-01;", "customer;;0;0,06;1;1;;2020-01-01;")
HEADER = (
    "cliente;id_cliente;nome_progetto;id_progetto;nome_account;data_inizio;data_fine;durata;"
    "numero_chiamante;numero_chiamato;direzione;costo_sp;costo_cliente"
)


@pytest.fixture
def kamailio(settings: Settings, stack: Stack, admin: db.Connection) -> Iterator[Kamailio]:
    with kamailio_of(settings, stack, admin) as kamailio:
        yield kamailio


def account(client: Client, number: str = NUMBER, **fields: Any) -> int:
    return int(client.new_account(number, **fields)["id"])


def records(client: Client, query: str = "") -> list[Any]:
    answer = client("GET", f"/call-records?sort=started_at&{query}")
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json["items"]
    return items


def costs(client: Client, query: str = "") -> list[tuple[str | None, str | None]]:
    return [(one["cost_operator"], one["cost_customer"]) for one in records(client, query)]


def spent(admin: db.Connection, column: str = "amount") -> dict[str, str]:
    rows = admin.execute("SELECT * FROM provisioner.project_spend ORDER BY day").fetchall()
    return {str(row["day"]): str(row[column]) for row in rows}


# Costs.


def test_a_call_is_costed_for_both_sides_and_once(
    client: Client, settings: Settings, admin: db.Connection, kamailio: Kamailio
) -> None:
    new_rates(client, *RATES)
    kamailio.called(account(client), MOBILE, "2026-03-02 10:00:00Z", "2026-03-02 10:01:01.9Z")
    for _ in range(3):
        cost_calls(settings)
    assert costs(client) == [("0.0061", "0.0610")]
    assert spent(admin) == {"2026-03-02": "0.0610"}


def test_an_answer_that_is_told_late_counts_from_when_it_was(
    client: Client, settings: Settings, admin: db.Connection, kamailio: Kamailio
) -> None:
    new_rates(client, *RATES)
    call = kamailio.place(account(client), MOBILE)
    admin.execute(
        "UPDATE kamailio.calls SET started_at = now() - interval '90 s' WHERE call = %s", (call,)
    )
    kamailio.connection.execute("SELECT kamailio.answer_call(%s, 60)", (call,))
    kamailio.answer(call)
    kamailio.end(call)
    cost_calls(settings)
    (record,) = records(client)
    assert record["duration"] in (60, 61)
    assert record["cost_customer"] == f"{record['duration'] / 1000:.4f}"


@pytest.mark.parametrize("told_before", [False, True])
def test_an_answer_that_is_told_with_the_end_counts_from_when_it_was(
    client: Client,
    settings: Settings,
    admin: db.Connection,
    kamailio: Kamailio,
    told_before: bool,
) -> None:
    new_rates(client, *RATES)
    call = kamailio.place(account(client), MOBILE)
    admin.execute(
        "UPDATE kamailio.calls SET started_at = now() - interval '90 s' WHERE call = %s", (call,)
    )
    if told_before:
        kamailio.answer(call)
    kamailio.connection.execute("SELECT kamailio.end_call(%s, 487, 1764.25 - 1703.75)", (call,))
    kamailio.end(call)
    cost_calls(settings)
    (record,) = records(client)
    assert record["status"] == 200
    assert record["duration"] in (60, 61)
    assert record["cost_customer"] == f"{record['duration'] / 1000:.4f}"


def test_the_longest_prefix_decides_of_flat_too(
    client: Client, settings: Settings, kamailio: Kamailio
) -> None:
    """Numbers of Italy are flat, but not the mobile ones, of which one network is again."""
    new_rates(
        client,
        *RATES,
        "customer;+39;0;0,60;1;1;true;2020-01-01;",
        "customer;+393;0;1,20;1;1;false;2020-01-01;",
        "customer;+393331;0;6,00;1;1;true;2020-01-01;",
    )
    flat = account(client, tariff="flat")
    other = account(client, OTHER_NUMBER)
    called = ["+390298765432", "+393201234567", MOBILE, "+4930123456"]
    for caller in (flat, other):
        for number in called:
            kamailio.called(caller, number, "2026-03-02 10:00Z", "2026-03-02 10:00:10Z")
    cost_calls(settings)
    # What it costs the operator does not depend on the tariff.
    assert {operator for operator, _ in costs(client)} == {"0.0010"}
    assert [customer for _, customer in costs(client, f"account={flat}")] == [
        *("0.0000", "0.2000", "0.0000", "0.0100")
    ]
    assert [customer for _, customer in costs(client, f"account={other}")] == [
        *("0.1000", "0.2000", "1.0000", "0.0100")
    ]


def test_the_start_decides_of_rate_and_tariff(
    client: Client, settings: Settings, kamailio: Kamailio
) -> None:
    new_rates(client, RATES[0], "customer;;0;0,06;1;1;;2020-01-01;2026-03-02")
    new_rates(client, "customer;;0;0,60;1;1;true;2026-03-02;")
    mine = account(client)
    before = kamailio.place(mine, MOBILE)
    after = kamailio.place(mine, MOBILE)
    for call in (before, after):
        kamailio.answer(call)
    client("PATCH", f"/sip-accounts/{mine}", {"tariff": "flat"})
    # Midnight in Rome is 23:00 UTC.
    kamailio.began(before, "2026-03-01 22:59:59Z")
    kamailio.began(after, "2026-03-01 23:00:00Z")
    for call in (before, after):
        kamailio.ended(call, "2026-03-01 23:00:09Z")
    cost_calls(settings)
    assert [customer for _, customer in costs(client)] == ["0.0100", "0.0900"]
    assert {record["tariff"] for record in records(client)} == {"pay_per_use"}


def test_what_costs_nothing_is_costed_without_a_rate(client: Client, kamailio: Kamailio) -> None:
    mine = account(client)
    client("POST", f"/sip-accounts/{mine}/enable")
    kamailio.called(mine, "112", "2026-03-02 10:00Z", "2026-03-02 10:01Z", emergency=True)
    unanswered = kamailio.place(mine, MOBILE)
    kamailio.end(unanswered, 480)
    incoming = kamailio.place_from_carrier(MOBILE, NUMBER)
    kamailio.answer(incoming)
    kamailio.end(incoming)
    assert costs(client) == [("0.0000", "0.0000")] * 3
    assert [record["rated_at"] is None for record in records(client)] == [False] * 3
    assert [record["status"] for record in records(client)] == [200, 480, 200]


def test_an_answered_call_of_no_seconds_costs_its_first_interval(
    client: Client, settings: Settings, kamailio: Kamailio
) -> None:
    new_rates(client, RATES[0], "customer;;0,05;0,09;60;30;;2020-01-01;")
    kamailio.called(account(client), MOBILE, "2026-03-02 10:00:00.1Z", "2026-03-02 10:00:00.9Z")
    cost_calls(settings)
    (record,) = records(client)
    assert (record["duration"], record["cost_customer"]) == (0, "0.1400")


def test_a_number_of_no_country_has_the_rate_of_all_numbers(
    client: Client, settings: Settings, kamailio: Kamailio
) -> None:
    new_rates(client, *RATES, "customer;+4;0;6,00;1;1;;2020-01-01;")
    kamailio.called(account(client), "4242", "2026-03-02 10:00:00Z", "2026-03-02 10:00:10Z")
    cost_calls(settings)
    assert costs(client) == [("0.0010", "0.0100")]


def test_a_call_without_a_rate_waits_for_one(
    client: Client, settings: Settings, admin: db.Connection, kamailio: Kamailio
) -> None:
    """It is not touched again until rates have changed."""
    new_rates(client, "customer;+39;0;0,06;1;1;;2020-01-01;")
    kamailio.called(account(client), MOBILE, "2026-03-02 10:00:00Z", "2026-03-02 10:00:10Z")
    version = "SELECT xmin::text FROM provisioner.call_records"
    cost_calls(settings)
    assert costs(client) == [(None, "0.0100")]
    assert records(client, "rated=true") == []
    seen = admin.execute(version.encode()).fetchall()
    cost_calls(settings)
    assert admin.execute(version.encode()).fetchall() == seen
    new_rates(client, "operator;+40;0;0,06;1;1;;2020-01-01;")
    cost_calls(settings)
    assert records(client, "rated=true") == []
    new_rates(client, RATES[0])
    cost_calls(settings)
    assert costs(client, "rated=true") == [("0.0010", "0.0100")]
    assert spent(admin) == {"2026-03-02": "0.0100"}


@pytest.mark.parametrize("tariff", ["pay_per_use", "flat"])
def test_a_call_that_was_given_up_is_costed_by_its_true_end(
    client: Client, settings: Settings, admin: db.Connection, kamailio: Kamailio, tariff: str
) -> None:
    new_rates(client, RATES[0], "customer;;0;0,06;1;1;true;2020-01-01;")
    call = kamailio.place(account(client, tariff=tariff), MOBILE)
    kamailio.answer(call)
    admin.execute("UPDATE kamailio.calls SET started_at = now() - interval '100 s',"
                  " answered_at = now() - interval '100 s'")  # fmt: skip
    admin.execute("SELECT kamailio.record_call(%s, now() - interval '60 s', 500, true)", (call,))
    cost_calls(settings)
    (given_up,) = records(client)
    assert (given_up["node_lost"], given_up["duration"] in (40, 41)) == (True, True)
    kamailio.end(call)
    cost_calls(settings)
    (true,) = records(client)
    assert true["node_lost"] is False
    assert float(true["cost_operator"]) == pytest.approx(true["duration"] * 0.0001)
    assert true["duration"] >= 99
    rate = 0 if tariff == "flat" else 0.001
    assert float(true["cost_customer"]) == pytest.approx(true["duration"] * rate)
    assert sum(map(float, spent(admin).values())) == pytest.approx(float(true["cost_customer"]))


def test_calls_in_progress_count_towards_the_cap(
    client: Client, settings: Settings, admin: db.Connection, kamailio: Kamailio
) -> None:
    new_rates(client, RATES[0], "customer;;5;0;1;1;;2020-01-01;")
    mine = account(client)
    admin.execute("UPDATE provisioner.projects SET daily_spend_cap = 5")
    ringing = kamailio.place(mine, MOBILE)
    cost_calls(settings)
    assert spent(admin, "running") == {}
    kamailio.answer(ringing)
    cost_calls(settings)
    assert list(spent(admin, "running").values()) == ["5.0000"]
    refused = kamailio.connection.execute(
        "SELECT (kamailio.place_call(%s, '', %s, %s, false, 'node1/a', 9, 0, '00', 1)).reason",
        (mine, MOBILE, MOBILE[1:]),
    ).fetchone()
    assert refused == ("Daily Spend Cap Reached",)
    kamailio.end(ringing)
    cost_calls(settings)
    assert list(spent(admin, "running").values()) == ["0.0000"]
    assert list(spent(admin).values()) == ["5.0000"]


def test_several_workers_cost_each_call_once(
    client: Client,
    settings: Settings,
    admin: db.Connection,
    kamailio: Kamailio,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(costing, "BATCH", 2)
    new_rates(client, *RATES)
    mine = account(client)
    for _ in range(9):
        kamailio.called(mine, MOBILE, "2026-03-02 10:00:00Z", "2026-03-02 10:00:10Z")

    def work(_: int) -> None:
        while not costs(client, "rated=true")[8:]:
            cost_calls(settings)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert costs(client) == [("0.0010", "0.0100")] * 9
    assert spent(admin) == {"2026-03-02": "0.0900"}


@pytest.mark.native
def test_the_worker_costs_calls(system: System, stack: Stack) -> None:
    api, number = system.api, "+390655501790"
    api.post("/numbers", {"number": number}).expect(201)
    body = {"name": "Costed", "main_number": number, "voice_channels": 1}
    made = api.post("/sip-accounts", body).expect(201)["id"]
    with db.connect(stack.database_admin_url, autocommit=True) as admin:
        lines = "INSERT INTO provisioner.rates (side, prefix, description, connection_fee,"
        lines += " price_per_minute, first_interval, next_interval, flat, valid_from)"
        lines += " SELECT side, '+390698000', '', 1, 0, 1, 1, false, '2020-01-01'"
        lines += " FROM unnest('{operator,customer}'::text[]) AS side"
        admin.execute(lines.encode())
        call = admin.execute(
            "SELECT (kamailio.place_call(%s, '', '+390698000111', '390698000111', false,"
            " 'records/a', 1, 0, '00', 1)).call",
            (made,),
        ).fetchone()
        assert call
        admin.execute("SELECT kamailio.answer_call(%s)", (call["call"],))
        admin.execute("SELECT kamailio.end_call(%s, 200)", (call["call"],))

    def cost() -> Any:
        (record,) = api.get(f"/call-records?account={made}").expect(200)["items"]
        return record["cost_customer"]

    eventually(lambda: cost() == "1.0000")


# Lists.


def test_records_come_a_page_at_a_time(client: Client, kamailio: Kamailio) -> None:
    mine = account(client)
    # Three of them began at the same time.
    seconds = [5, 1, 3, 3, 3]
    for second in seconds:
        began = f"2026-03-02 10:00:0{second}.000001Z"
        kamailio.called(mine, MOBILE, began, "2026-03-02 10:01Z")
    for sort, ordered in (("started_at", sorted(seconds)), ("-started_at", sorted(seconds)[::-1])):
        path: str | None = f"/call-records?limit=2&sort={sort}"
        found = []
        while path:
            answer = client("GET", path.removeprefix("/api/v1"))
            assert answer.status_code == 200
            found += answer.json["items"]
            path = answer.json["next"]
        assert [int(one["started_at"][18]) for one in found] == ordered
        assert len({one["id"] for one in found}) == 5


@pytest.mark.parametrize("value", ['"x"', "1", '"2026-13-01T00:00:00+00:00"', '"0001-01-01"'])
def test_a_made_up_cursor_is_refused(client: Client, value: str) -> None:
    cursor = urlsafe_b64encode(f'["-started_at",{value},1]'.encode()).decode()
    assert client("GET", f"/call-records?cursor={cursor}").status_code == 422


def test_records_are_found(client: Client, kamailio: Kamailio) -> None:
    mine = account(client)
    client("POST", f"/sip-accounts/{mine}/enable")
    kamailio.called(mine, MOBILE, "2026-03-02 10:00Z", "2026-03-02 10:01Z")
    call = kamailio.place_from_carrier("+391", NUMBER)
    kamailio.began(call, "2026-03-03 10:00Z")
    kamailio.ended(call, "2026-03-03 10:01Z", 487)
    for query, directions in (
        ("direction=in", ["in"]),
        ("direction=out", ["out"]),
        ("since=2026-03-03T10:00:00Z", ["in"]),
        ("until=2026-03-03T10:00:00Z", ["out"]),
        ("called=%2B393331234567", ["out"]),
        ("caller=%2B391", ["in"]),
        (f"account={mine}", ["out", "in"]),
        ("account=999", []),
    ):
        assert [record["direction"] for record in records(client, query)] == directions, query


def test_the_next_owner_of_a_number_does_not_see_its_former_ones_calls(
    client: Client, admin: db.Connection, kamailio: Kamailio
) -> None:
    """Even within one project: records are an account's, not a number's."""
    first = account(client)
    kamailio.called(first, MOBILE, "2026-03-02 10:00Z", "2026-03-02 10:01Z")
    assert client("DELETE", f"/sip-accounts/{first}").status_code == 204
    body = {"name": "Next", "main_number": NUMBER, "voice_channels": 1}
    second = client.create("/sip-accounts", **body)["id"]
    kamailio.called(second, "+4930123456", "2026-04-02 10:00Z", "2026-04-02 10:01Z")
    assert [one["called"] for one in records(client, f"account={second}")] == ["+4930123456"]
    assert [one["called"] for one in records(client, f"account={first}")] == [MOBILE]
    summary = client("GET", f"/call-records/summary?month=2026-03&account={second}").json
    assert summary["accounts"] == []


def moved(admin: db.Connection, tenant: Tenant, number: str) -> None:
    """Give a number to another customer, which the API does not do yet."""
    admin.execute(
        "UPDATE provisioner.numbers SET customer_id = %s, project_id = %s WHERE number = %s",
        (tenant.customer, tenant.project, number),
    )


def test_another_customer_who_gets_a_number_sees_his_own_calls_only(
    client: Client, admin: db.Connection, kamailio: Kamailio
) -> None:
    ours, theirs = new_tenant(client, "Alpha", "06111111"), new_tenant(client, "Zeta", "06222222")
    body = {"name": "Line", "main_number": ours.parameters["number"], "voice_channels": 1}
    first = client.create("/sip-accounts", **body, project_id=ours.project)["id"]
    kamailio.called(first, MOBILE, "2026-03-02 10:00Z", "2026-03-02 10:01Z")
    client("DELETE", f"/sip-accounts/{first}")
    moved(admin, theirs, ours.parameters["number"])
    second = client.create("/sip-accounts", **body, project_id=theirs.project)["id"]
    kamailio.called(second, "+4930123456", "2026-03-02 11:00Z", "2026-03-02 11:01Z")
    for role in Role:
        for tokens in (theirs.tokens, theirs.tokens_of_project):
            member = client.bearing(tokens[role])
            assert [one["called"] for one in records(member)] == ["+4930123456"]
            assert MOBILE not in member("GET", "/call-records?format=csv").text
            assert records(member, f"account={first}") == []
            summary = member("GET", "/call-records/summary?month=2026-03").json
            assert [one["account_id"] for one in summary["accounts"]] == [second]
    # The account is gone, and what it called is still its customer's to read.
    assert [one["called"] for one in records(client.bearing(ours.tokens[Role.SALES]))] == [MOBILE]


# CSV.


def csv_of(client: Client, query: str = "") -> list[str]:
    answer = client("GET", f"/call-records?format=csv&sort=started_at&{query}")
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "text/csv"
    assert "call-records.csv" in answer.headers["Content-Disposition"]
    assert answer.text.endswith("\r\n")
    return answer.text.removesuffix("\r\n").split("\r\n")


def test_a_file_has_the_manuals_columns(
    client: Client, settings: Settings, kamailio: Kamailio
) -> None:
    new_rates(client, *RATES)
    mine = account(client)
    call = kamailio.place(mine, MOBILE)
    kamailio.answer(call)
    kamailio.began(call, "2026-03-02 10:00:00Z", "2026-03-02 10:00:04.9Z")
    kamailio.ended(call, "2026-03-02 10:01:05.1Z")
    cost_calls(settings)
    client("PATCH", "/customers/1", {"name": "Renamed"})
    row = records(client)[0]
    names = f"{row['customer_name']};1;{row['project_name']};1"
    # Answered at 11:00:04 in Rome; 61 s.
    rest = f"{NUMBER};2026-03-02 11:00:04;2026-03-02 11:01:05;61;{NUMBER};{MOBILE};out"
    assert csv_of(client) == [HEADER, f"{names};{rest};0,0061;0,0610"]
    assert csv_of(client, "convention=international") == [
        HEADER.replace(";", ","),
        f"{names};{rest};0.0061;0.0610".replace(";", ","),
    ]


def test_a_cost_that_is_not_known_is_empty(client: Client, kamailio: Kamailio) -> None:
    kamailio.called(account(client), MOBILE, "2026-03-02 10:00Z", "2026-03-02 10:01Z")
    assert csv_of(client)[1].endswith(";out;;")


def test_a_spreadsheet_runs_nothing_of_a_file(
    client: Client, admin: db.Connection, kamailio: Kamailio
) -> None:
    mine = account(client)
    client("POST", f"/sip-accounts/{mine}/enable")
    client("PATCH", "/customers/1", {"name": '=HYPERLINK("x");1'})
    call = kamailio.place_from_carrier("=1+1", NUMBER)
    kamailio.end(call, 487)
    (_, line) = csv_of(client)
    assert line.startswith('"\'=HYPERLINK(""x"");1";1;')
    assert ";'=1+1;" in line


def test_times_are_those_of_the_operators_clocks(client: Client, kamailio: Kamailio) -> None:
    """In summer and in winter; on the night in October one hour is there twice, and lasts."""
    mine = account(client)
    for began, ended in (
        ("2026-03-29 00:59:50Z", "2026-03-29 01:00:10Z"),
        ("2026-10-25 00:59:50Z", "2026-10-25 01:00:10Z"),
    ):
        kamailio.called(mine, MOBILE, began, ended)
    _, spring, autumn = csv_of(client)
    assert "2026-03-29 01:59:50;2026-03-29 03:00:10;20;" in spring
    assert "2026-10-25 02:59:50;2026-10-25 02:00:10;20;" in autumn


# By the month.


def test_a_month_is_summed_up(
    client: Client, settings: Settings, admin: db.Connection, kamailio: Kamailio
) -> None:
    """October in Rome begins in summer time and ends in winter time."""
    new_rates(client, RATES[0], "customer;;0,0025;0;1;1;;2020-01-01;")
    mine, other = account(client), account(client, OTHER_NUMBER)
    for moment in ("2026-09-30 21:59:59Z", "2026-09-30 22:00Z", "2026-10-31 22:59:59Z",
                   "2026-10-31 23:00Z"):  # fmt: skip
        kamailio.called(
            mine, MOBILE, moment, "2026-10-31 23:00:00Z" if "10-31" in moment else moment
        )
    kamailio.called(other, MOBILE, "2026-10-15 10:00Z", "2026-10-15 10:00Z")
    cost_calls(settings)
    summary = client("GET", "/call-records/summary?month=2026-10").json
    assert (summary["since"], summary["until"]) == (
        "2026-09-30T22:00:00.000Z",
        "2026-10-31T23:00:00.000Z",
    )
    found = [(one["account_id"], one["calls"], one["cost_customer"]) for one in summary["accounts"]]
    # 2 * 0.0025 = 0.005, half up; 0.0025; together 0.0075.
    assert found == [(mine, 2, "0.01"), (other, 1, "0.00")]
    (project,) = summary["projects"]
    assert (project["calls"], project["cost_customer"], project["account_id"]) == (3, "0.01", None)
    assert project["unrated"] == 0
    assert list(spent(admin)) == [
        "2026-09-30",
        "2026-10-01",
        "2026-10-15",
        "2026-10-31",
        "2026-11-01",
    ]


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "2026-01-01", "", "1999-01", "٢٠٢٦-01"])
def test_a_month_must_be_one(client: Client, month: str) -> None:
    assert client("GET", f"/call-records/summary?month={month}").status_code == 422


def test_rates_can_be_told_after_the_calls(
    client: Client, settings: Settings, kamailio: Kamailio
) -> None:
    kamailio.called(account(client), MOBILE, "2026-03-02 10:00Z", "2026-03-02 10:00:10Z")
    cost_calls(settings)
    (total,) = client("GET", "/call-records/summary?month=2026-03").json["accounts"]
    assert (total["unrated"], total["cost_customer"]) == (1, "0.00")
    assert import_rates(client, *RATES).status_code == 200
    cost_calls(settings)
    (total,) = client("GET", "/call-records/summary?month=2026-03").json["accounts"]
    assert (total["unrated"], total["cost_customer"]) == (0, "0.01")
