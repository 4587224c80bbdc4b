"""Numbers and accounts by the file: checked whole, applied whole or in good part, once."""

import hashlib
import re
import threading
from typing import Any, LiteralString

import pyrage
import pytest
from psycopg import sql

from provisioner import db
from provisioner.bulk.runner import ImportRunner
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.integration.importing import (
    ACCOUNT_HEADER,
    Imports,
    accounts_file,
    file_of,
    numbers,
)
from tests.integration.world import new_tenant
from tests.system import eventually

UNTOUCHED = (
    "provisioner.sip_accounts",
    "provisioner.credentials",
    "provisioner.numbers",
    "kamailio.subscriber",
    "provisioner.account_tariffs",
    "provisioner.import_rows",
    "provisioner.import_chunks",
    "provisioner.import_credentials",
)


@pytest.fixture
def imports(client: Client, settings: Settings) -> Imports:
    return Imports(client, settings, pyrage.x25519.Identity.generate())


def rows_of(admin: db.Connection, table: str, columns: LiteralString = "{}::text") -> list[Any]:
    """All rows of a table, as text or in other columns."""
    schema, _, name = table.partition(".")
    row = sql.Identifier(name)
    query = sql.SQL("SELECT {} AS row FROM {} AS {} ORDER BY 1").format(
        sql.SQL(columns).format(row), sql.Identifier(schema, name), row
    )
    return [one["row"] for one in admin.execute(query)]


def contents(admin: db.Connection, tables: tuple[str, ...] = UNTOUCHED) -> dict[str, list[Any]]:
    """All rows of tables, as text."""
    return {table: rows_of(admin, table) for table in tables}


def new_numbers(imports: Imports, count: int) -> list[str]:
    wanted = numbers(count)
    job = imports.run("numbers", file_of("number", wanted))
    assert job["status"] == "done"
    return wanted


# Numbers.


def test_numbers_come_in_by_the_file(imports: Imports) -> None:
    rows = [f"{NUMBER},ordered,crm-1", f"{OTHER_NUMBER},,"]
    job = imports.run("numbers", file_of("number,state,external_id", rows))
    assert (job["status"], job["percent"], job["detail"]) == ("done", 100, None)
    assert (job["rows_total"], job["rows_done"], job["rows_bad"]) == (2, 2, 0)
    first, second = imports.client("GET", "/numbers").json["items"]
    assert (first["state"], first["external_id"]) == ("ordered", "crm-1")
    assert (second["state"], second["external_id"]) == ("active", None)


def test_what_comes_in_is_told_to_endpoints(imports: Imports, admin: db.Connection) -> None:
    admin.execute(
        "INSERT INTO provisioner.webhook_endpoints (url, types, description)"
        " VALUES ('https://portal.example/', '{account.created}', '')"
    )
    wanted = new_numbers(imports, 3)
    job = imports.run("accounts", accounts_file(wanted))
    assert job["status"] == "done"
    told = admin.execute(
        "SELECT event.type, event.data FROM provisioner.outgoing_events AS event"
        "  JOIN provisioner.webhook_deliveries AS delivery ON delivery.event_id = event.id"
    ).fetchall()
    assert {event["type"] for event in told} == {"account.created"}
    accounts = imports.client("GET", "/sip-accounts").json["items"]
    assert sorted((event["data"]["id"], event["data"]["version"]) for event in told) == [
        (account["id"], account["generation"]) for account in accounts
    ]


def test_a_key_belongs_to_one_file(imports: Imports) -> None:
    def send(number: str) -> Any:
        headers = {
            "Authorization": f"Bearer {imports.client.token}",
            "Content-Type": "text/csv",
            "Idempotency-Key": "k1",
        }
        content = file_of("number", [number])
        return imports.client.send("POST", "/imports?kind=numbers", headers, data=content)

    first, again, other = send(NUMBER), send(NUMBER), send(OTHER_NUMBER)
    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422)
    assert again.json["id"] == first.json["id"]
    assert again.headers["Idempotency-Replayed"] == "true"


def test_ndjson_does_as_well(imports: Imports) -> None:
    lines = f'{{"number": "{NUMBER}"}}\n{{"number": "{OTHER_NUMBER}", "state": "porting"}}\n'
    job = imports.run("numbers", lines, media="application/x-ndjson")
    assert (job["status"], job["rows_done"]) == ("done", 2)


def test_an_imported_number_is_in_the_audit_trail_as_any_other(imports: Imports) -> None:
    imports.client.new_number(NUMBER)
    imports.run("numbers", file_of("number", [OTHER_NUMBER]))
    query = "/audit-events?type=number.created"
    theirs, ours = imports.client("GET", query).json["items"]
    same = ("via", "actor_id", "actor_name", "type", "subject", "customer_id", "project_id")
    assert [theirs[name] for name in same] == [ours[name] for name in same]
    assert theirs["subject_id"] == OTHER_NUMBER
    assert theirs["after"] == ours["after"] | {"number": OTHER_NUMBER}


def test_an_import_is_in_the_audit_trail(imports: Imports) -> None:
    job = imports.run("numbers", file_of("number", [NUMBER]))
    (event,) = imports.client("GET", "/audit-events?type=import.finished").json["items"]
    assert event["subject_id"] == str(job["id"])
    assert event["after"]["rows_done"] == 1


# Accounts.


def test_accounts_come_in_by_the_file(imports: Imports) -> None:
    main, other = new_numbers(imports, 2)
    header = f"{ACCOUNT_HEADER},tariff,cloudfire_only,allowed_networks,state,external_id"
    rows = [f"Front desk,{main},3,flat,true,192.0.2.0/24 2001:db8::/32,enabled,crm-1"]
    job = imports.run("accounts", file_of(header, [*rows, f"Second,{other},1,,,,,"]))
    assert (job["status"], job["rows_done"]) == ("done", 2)
    first, second = imports.client("GET", "/sip-accounts").json["items"]
    assert first["name"] == "Front desk"
    assert (first["tariff"], first["cloudfire_only"], first["state"]) == ("flat", True, "enabled")
    assert first["external_id"] == "crm-1"
    assert second["state"] == "disabled"
    linked = imports.client("GET", f"/numbers/{main}").json
    assert linked["account_id"] == first["id"]


def test_an_imported_account_is_as_one_created_by_itself(
    imports: Imports, admin: db.Connection
) -> None:
    """Every row in every table, but for names, numbers, hashes and times."""
    main = new_numbers(imports, 1)[0]
    imports.client.new_account(NUMBER)
    imports.run("accounts", accounts_file([main]))
    for table in (
        "provisioner.sip_accounts",
        "provisioner.credentials",
        "provisioner.account_tariffs",
        "kamailio.subscriber",
    ):
        one, other = rows_of(admin, table, "to_jsonb({})")
        assert one.keys() == other.keys()
        same = {name for name in one if one[name] == other[name]}
        varying = {"id", "account_id", "name", "main_number", "username", "ha1", "ha1_sha256"}
        times = {"generation", "created_at", "changed_at", "converged_at", "rotated_at", "since"}
        assert set(one) - same <= varying | times, table
    events = imports.client("GET", "/audit-events?type=account.created").json["items"]
    assert events[0]["after"].keys() == events[1]["after"].keys()


def test_the_projection_is_what_a_comparison_wants(imports: Imports, admin: db.Connection) -> None:
    imports.run("accounts", accounts_file(new_numbers(imports, 5)))
    columns = (
        "jsonb_build_array({0}.account_id, {0}.username, {0}.domain, {0}.ha1, {0}.ha1_sha256,"
        " {0}.channels, {0}.source_group, {0}.allowed_networks)"
    )
    desired = rows_of(admin, "provisioner.desired_subscriber", columns)
    assert len(desired) == 5
    assert rows_of(admin, "kamailio.subscriber", columns) == desired


# Credentials.


def test_the_passwords_come_in_a_file_that_its_recipient_can_read(
    imports: Imports, admin: db.Connection
) -> None:
    wanted = new_numbers(imports, 3)
    job = imports.run("accounts", accounts_file(wanted))
    found = imports.credentials(job)
    assert [row["main_number"] for row in found] == wanted
    assert [*found[0]] == ["main_number", "username", "password", "realm", "server", "port"]
    for row in found:
        line = f"{row['username']}:{row['realm']}:{row['password']}"
        digest = hashlib.md5(line.encode(), usedforsecurity=False).hexdigest()
        stored = admin.execute(
            "SELECT ha1 FROM provisioner.credentials WHERE username = %s", [row["username"]]
        ).fetchone()
        assert stored == {"ha1": digest}


def test_nobody_else_can_read_it(imports: Imports) -> None:
    job = imports.run("accounts", accounts_file(new_numbers(imports, 1)))
    imports.identity = pyrage.x25519.Identity.generate()
    with pytest.raises(pyrage.DecryptError):
        imports.credentials(job)


def test_no_password_is_in_the_database(imports: Imports, admin: db.Connection) -> None:
    job = imports.run("accounts", accounts_file(new_numbers(imports, 3)))
    tables = tuple(
        f"{row['schemaname']}.{row['tablename']}"
        for row in admin.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname IN ('provisioner', 'kamailio')"
        )
    )
    everything = repr(contents(admin, tables))
    for row in imports.credentials(job):
        assert row["password"] not in everything
        assert row["password"].encode().hex() not in everything


def test_a_failure_leaves_no_hash_in_the_log_of_postgresql(
    imports: Imports, admin: db.Connection, stack: Stack
) -> None:
    """Where it is not told to be terse, it repeats the line of a COPY that it cannot store."""
    log = stack.directory.logs / "postgres.log"
    told = len(log.read_bytes())
    wanted = new_numbers(imports, 1)
    talks = sql.SQL("ALTER ROLE provisioner IN DATABASE {} {} log_error_verbosity{}")
    database = sql.Identifier(admin.info.dbname)
    admin.execute(talks.format(database, sql.SQL("SET"), sql.SQL(" = 'default'")))
    admin.execute(
        "CREATE FUNCTION provisioner.refuse() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RAISE ''this line is refused''; END'"
    )
    admin.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON provisioner.credentials"
        " FOR EACH ROW EXECUTE FUNCTION provisioner.refuse()"
    )
    try:
        job = imports.run("accounts", accounts_file(wanted))
    finally:
        admin.execute("DROP FUNCTION provisioner.refuse() CASCADE")
        admin.execute(talks.format(database, sql.SQL("RESET"), sql.SQL("")))
    assert imports.state(job) != "succeeded"
    lines = log.read_bytes()[told:].decode()
    assert "COPY credentials, line 1" in lines
    assert not re.search("[0-9a-f]{32}", lines)


def test_the_credentials_are_fetched_once(imports: Imports, admin: db.Connection) -> None:
    job = imports.run("accounts", accounts_file(new_numbers(imports, 1)))
    imports.credentials(job)
    answer = imports.client("GET", f"/imports/{job['id']}/credentials")
    assert answer.status_code == 404
    assert answer.json["type"].endswith(":credentials-gone")
    assert contents(admin)["provisioner.import_credentials"] == []


def test_the_credentials_are_kept_for_a_day(imports: Imports, admin: db.Connection) -> None:
    job = imports.run("accounts", accounts_file(new_numbers(imports, 1)))
    age = "UPDATE provisioner.imports SET finished_at = now() - interval %s WHERE recipient <> ''"
    admin.execute(age.replace("%s", "'23 hours'").encode())
    imports.work()
    assert contents(admin)["provisioner.import_credentials"] != []
    admin.execute(age.replace("%s", "'25 hours'").encode())
    imports.work()
    assert contents(admin)["provisioner.import_credentials"] == []
    assert imports.client("GET", f"/imports/{job['id']}/credentials").status_code == 404


def test_accounts_without_a_recipient_are_refused(imports: Imports) -> None:
    answer = imports.upload("accounts", accounts_file([NUMBER]))
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "#/recipient"


@pytest.mark.parametrize("recipient", ["age1", "age1qqq", "AGE-SECRET-KEY-1", "ssh-ed25519", "%00"])
def test_a_recipient_that_is_no_key_is_refused(imports: Imports, recipient: str) -> None:
    answer = imports.upload("accounts", accounts_file([NUMBER]), f"&recipient={recipient}")
    assert answer.status_code == 422


def test_accounts_may_be_created_without_credentials(
    imports: Imports, admin: db.Connection
) -> None:
    wanted = new_numbers(imports, 2)
    job = imports.run("accounts", accounts_file(wanted), "&credentials=none")
    assert job["status"] == "done"
    found = contents(admin)
    assert found["provisioner.credentials"] == found["kamailio.subscriber"] == []
    assert imports.client("GET", f"/imports/{job['id']}/credentials").status_code == 404
    account = imports.client("GET", "/sip-accounts").json["items"][0]
    assert account["has_credentials"] is False
    rotated = imports.client("POST", f"/sip-accounts/{account['id']}/credentials")
    assert rotated.json["credentials"]["password"]


# Bad lines.

GOOD = f"Good,{OTHER_NUMBER},2"
UNKNOWN = "must be a number of this project; create it first"
TAKEN = "The number is in use by another account."
INACTIVE = "The number is not active, so no account can use it yet."
NOT_E164 = "must be in E.164 format: + and 7 to 15 digits, like +390612345678"
NAME_TAKEN = "Another account of the project has this name."


@pytest.fixture
def busy(imports: Imports, admin: db.Connection) -> Imports:
    """An account on NUMBER, OTHER_NUMBER free, one ordered, one that an operator's user has."""
    imports.client.create("/numbers", number=NUMBER)
    body = {"name": "Taken", "main_number": NUMBER, "voice_channels": 1, "external_id": "crm-1"}
    imports.client.create("/sip-accounts", **body)
    imports.client.new_number(OTHER_NUMBER)
    imports.client.new_number("+390600000001", "ordered")
    imports.client.new_number("+390600000002")
    admin.execute(
        "INSERT INTO kamailio.subscriber (username, domain, ha1)"
        " SELECT '390600000002', realm, 'x' FROM provisioner.installation"
    )
    return imports


@pytest.mark.parametrize(
    ("line", "field", "detail"),
    [
        ("A,+390600000009,1", "main_number", UNKNOWN),
        (f"A,{NUMBER},1", "main_number", TAKEN),
        ("A,+390600000001,1", "main_number", INACTIVE),
        (
            "A,+390600000002,1",
            "main_number",
            "Kamailio's subscriber table has a row of the operator's own with this username.",
        ),
        ("A,12,1", "main_number", NOT_E164),
        ("Taken,+390600000003,1", "name", NAME_TAKEN),
        (f"Good,{OTHER_NUMBER},1", "main_number", "is in line 2 already"),
        ("Good,+390600000003,1", "name", "is in line 2 already"),
        ("A,+390600000003,0", "voice_channels", "Input should be greater than or equal to 1"),
        ("A,+390600000003,two", "voice_channels", "Input should be a valid integer"),
        (",+390600000003,1", "name", "Field required"),
        ("A,+390600000003", None, "must have 3 cells as the header has, not 2"),
        ('"A,+390600000003,1', None, "must have its quotes doubled, and closed on the same line"),
    ],
)
def test_a_bad_line_is_reported_with_its_field(
    busy: Imports, admin: db.Connection, line: str, field: str | None, detail: str
) -> None:
    """Beside a good line; nothing of either is applied."""
    before = contents(admin)
    busy.client.new_number("+390600000003")
    before["provisioner.numbers"] = contents(admin)["provisioner.numbers"]
    job = busy.run("accounts", file_of(ACCOUNT_HEADER, [GOOD, line]))
    assert job["status"] == "failed"
    assert job["detail"] == "1 of 2 lines are bad; nothing was applied."
    assert (3, field, detail) in busy.errors(job)
    assert contents(admin) == before


def test_all_that_is_wrong_with_a_line_is_reported_at_once(busy: Imports) -> None:
    header = f"{ACCOUNT_HEADER},external_id,project_id"
    rows = [f"Taken,{NUMBER},0,crm-1,", "A,+390600000003,1,,999"]
    job = busy.run("accounts", file_of(header, rows))
    assert busy.errors(job) == [
        (2, "external_id", "Another object of this kind has this external_id."),
        (2, "main_number", TAKEN),
        (2, "name", NAME_TAKEN),
        (2, "voice_channels", "Input should be greater than or equal to 1"),
        (3, "project_id", "must be one of your projects"),
    ]
    assert job["rows_bad"] == 2


def test_good_rows_are_applied_without_the_bad_ones(busy: Imports) -> None:
    rows = [GOOD, f"A,{NUMBER},1", "B,+390600000009,1"]
    job = busy.run("accounts", file_of(ACCOUNT_HEADER, rows), "&mode=good_rows")
    assert (job["status"], job["rows_total"]) == ("done", 3)
    assert (job["rows_done"], job["rows_bad"]) == (1, 2)
    assert [error[0] for error in busy.errors(job)] == [3, 4]
    assert [row["main_number"] for row in busy.credentials(job)] == [OTHER_NUMBER]


@pytest.mark.parametrize("query", ["", "&mode=good_rows"])
def test_a_file_with_a_wrong_header_is_not_applied(busy: Imports, query: str) -> None:
    job = busy.run("accounts", file_of(f"{ACCOUNT_HEADER},colour", [f"{GOOD},red"]), query)
    assert job["status"] == "failed"
    assert busy.errors(job) == [(1, "colour", "is not a column of this kind of file")]


def test_a_file_without_lines_is_not_applied(imports: Imports) -> None:
    job = imports.run("numbers", "number\n")
    assert (job["status"], job["detail"]) == ("failed", "The file has no lines beside its header.")


def test_the_report_is_bounded_and_the_count_is_not(imports: Imports) -> None:
    lines = ["+3906", *["+390612345678"] * 1200, "+3906"]
    job = imports.run("numbers", file_of("number", lines))
    errors = imports.errors(job)
    assert len(errors) == 1000
    assert [error[0] for error in errors] == [2, *range(4, 1003)]
    assert job["rows_bad"] == 1201


# Who, where, how much.


def test_a_customers_admin_cannot_import_numbers(imports: Imports) -> None:
    tenant = new_tenant(imports.client, "Alpha", "06111111")
    member = imports.bearing(tenant.tokens["admin"])  # type: ignore[index] # a role is its name
    assert member.upload("numbers", file_of("number", [NUMBER])).status_code == 403


def test_another_customers_project_is_as_one_that_does_not_exist(
    imports: Imports, admin: db.Connection
) -> None:
    ours = new_tenant(imports.client, "Alpha", "06111111")
    theirs = new_tenant(imports.client, "Zeta", "06222222")
    member = imports.bearing(ours.tokens["admin"])  # type: ignore[index] # a role is its name
    admin.execute("UPDATE provisioner.imports SET status = 'cancelled'")
    found: list[Any] = []
    for project in (theirs.project, 999_999):
        header = f"{ACCOUNT_HEADER},external_id,project_id"
        row = f"Zeta account,{theirs.parameters['number']},1,Zeta-a,{project}"
        job = member.run("accounts", file_of(header, [row]))
        found.append(member.errors(job))
        answer = member.upload("accounts", "", f"&credentials=none&project={project}")
        found.append((answer.status_code, answer.json["detail"]))
    assert found[:2] == found[2:]
    assert found[0] == [(2, "project_id", "must be one of your projects")]


def test_lines_go_to_the_imports_project_or_to_their_own(imports: Imports) -> None:
    customer = imports.client.create("/customers", name="Bianchi")
    one = imports.client.create("/projects", name="One", customer_id=customer["id"])
    two = imports.client.create("/projects", name="Two", customer_id=customer["id"])
    rows = [f"{NUMBER},", f"{OTHER_NUMBER},{two['id']}"]
    query = f"&project={one['id']}"
    job = imports.run("numbers", file_of("number,project_id", rows), query)
    assert job["project_id"] == one["id"]
    found = imports.client("GET", "/numbers").json["items"]
    assert [number["project_id"] for number in found] == [one["id"], two["id"]]
    assert {number["customer_id"] for number in found} == {customer["id"]}


def test_another_media_type_is_refused(imports: Imports) -> None:
    answer = imports.upload("numbers", "{}", media="application/json")
    assert answer.status_code == 415
    assert "text/csv" in answer.json["detail"]


def test_a_file_may_be_larger_than_a_body_of_json(imports: Imports) -> None:
    content = file_of("number", numbers(100_000))
    assert len(content) > 1024 * 1024
    assert imports.upload("numbers", content).status_code == 202


def test_a_file_above_512_mib_is_refused_unread(imports: Imports) -> None:
    headers = {"Authorization": f"Bearer {imports.client.token}", "Content-Type": "text/csv"}
    size = {"CONTENT_LENGTH": str(512 * 1024 * 1024 + 1)}
    path = "/imports?kind=numbers"
    answer = imports.client.send("POST", path, headers, data="number", environ_overrides=size)
    assert answer.status_code == 413


def test_the_same_key_does_not_import_twice(imports: Imports) -> None:
    headers = {
        "Authorization": f"Bearer {imports.client.token}",
        "Content-Type": "text/csv",
        "Idempotency-Key": "once",
    }
    sent = {"headers": headers, "data": file_of("number", [NUMBER])}
    answers = [imports.client.send("POST", "/imports?kind=numbers", **sent) for _ in range(2)]  # type: ignore[arg-type] # keywords of mixed types
    assert answers[0].json["id"] == answers[1].json["id"]
    assert len(imports.client("GET", "/imports").json["items"]) == 1


# The job.


def test_an_import_waits_for_a_worker(imports: Imports) -> None:
    answer = imports.upload("numbers", file_of("number", [NUMBER]))
    assert (answer.json["status"], answer.json["percent"]) == ("validating", 0)
    assert answer.headers["Location"] == f"/api/v1/imports/{answer.json['id']}"
    assert imports.client("GET", f"/numbers/{NUMBER}").status_code == 404


def test_credentials_are_not_there_before_it_is_done(imports: Imports) -> None:
    query = f"&recipient={imports.recipient}"
    job = imports.upload("accounts", accounts_file([NUMBER]), query).json
    answer = imports.client("GET", f"/imports/{job['id']}/credentials")
    assert answer.status_code == 409


def test_a_cancelled_import_is_never_applied(imports: Imports, admin: db.Connection) -> None:
    job = imports.upload("numbers", file_of("number", [NUMBER])).json
    path = f"/imports/{job['id']}"
    for _ in range(2):
        assert imports.client("POST", f"{path}/cancel").json["status"] == "cancelled"
    imports.work()
    assert imports.client("GET", path).json["status"] == "cancelled"
    assert not any(contents(admin).values())


def test_a_finished_import_cannot_be_cancelled(imports: Imports) -> None:
    job = imports.run("numbers", file_of("number", [NUMBER]))
    assert imports.client("POST", f"/imports/{job['id']}/cancel").status_code == 409


def test_an_import_is_run_once(imports: Imports, admin: db.Connection) -> None:
    imports.run("numbers", file_of("number", [NUMBER]))
    before = contents(admin)
    imports.work()
    assert contents(admin) == before


def test_an_import_that_another_worker_has_is_left_to_it(
    imports: Imports, admin: db.Connection
) -> None:
    job = imports.upload("numbers", file_of("number", [NUMBER])).json
    admin.execute(
        "SELECT pg_advisory_lock(hashtextextended('provisioner import', %s))", [job["id"]]
    )
    imports.work()
    assert imports.client("GET", f"/imports/{job['id']}").json["status"] == "validating"


def test_nothing_is_left_of_a_finished_import(imports: Imports, admin: db.Connection) -> None:
    imports.run("accounts", accounts_file(new_numbers(imports, 3)))
    found = contents(admin)
    assert found["provisioner.import_rows"] == found["provisioner.import_chunks"] == []


# Others at the same time.


def test_a_number_that_is_lost_between_check_and_application_is_reported(
    imports: Imports, settings: Settings, admin: db.Connection
) -> None:
    """Somebody has changed it but not yet committed when the import checks it."""
    lost, kept = new_numbers(imports, 2)
    query = f"&recipient={imports.recipient}"
    job = imports.upload("accounts", accounts_file([lost, kept]), query).json
    worker = threading.Thread(target=imports.work)
    with db.connect(settings.database_url) as other:
        other.execute("UPDATE provisioner.numbers SET state = 'ceased' WHERE number = %s", [lost])
        worker.start()
        waiting = (
            "SELECT FROM pg_stat_activity WHERE application_name = 'provisioner import'"
            " AND datname = current_database() AND wait_event_type = 'Lock'"
        )
        eventually(lambda: admin.execute(waiting).fetchall())
    worker.join()
    job = imports.client("GET", f"/imports/{job['id']}").json
    assert job["status"] == "failed"
    assert imports.errors(job) == [(2, "main_number", INACTIVE)]
    assert contents(admin)["provisioner.sip_accounts"] == []


def test_an_import_is_cancelled_while_it_runs(
    imports: Imports, settings: Settings, admin: db.Connection
) -> None:
    wanted = new_numbers(imports, 2)
    job = imports.upload("accounts", accounts_file(wanted), "&credentials=none").json
    worker = threading.Thread(target=imports.work)
    with db.connect(settings.database_url) as other:
        other.execute("SELECT FROM provisioner.numbers WHERE number = %s FOR UPDATE", [wanted[0]])
        worker.start()
        path = f"/imports/{job['id']}"
        eventually(lambda: imports.client("GET", path).json["status"] == "applying")
        assert imports.client("POST", f"{path}/cancel").json["status"] == "cancelled"
    worker.join()
    assert imports.client("GET", path).json["status"] == "cancelled"
    assert contents(admin)["provisioner.sip_accounts"] == []


def test_a_worker_that_stops_leaves_its_import_to_the_next(
    imports: Imports, settings: Settings, admin: db.Connection
) -> None:
    wanted = new_numbers(imports, 2)
    job = imports.upload("accounts", accounts_file(wanted), "&credentials=none").json
    path = f"/imports/{job['id']}"
    runner = ImportRunner(settings)

    def work() -> None:
        with db.connect(settings.database_url, autocommit=True) as connection:
            runner.step(connection)

    worker = threading.Thread(target=work)
    with db.connect(settings.database_url) as other:
        other.execute("SELECT FROM provisioner.numbers WHERE number = %s FOR UPDATE", [wanted[0]])
        worker.start()
        eventually(lambda: imports.client("GET", path).json["status"] == "applying")
        runner.stop()
        worker.join(5)
        assert not worker.is_alive()
    imports.work()
    assert imports.client("GET", path).json["rows_done"] == 2
