"""What each database role may do: everything is tried, and nothing works but what is listed here.

The controls are the same attempts as a role that may: what is refused is refused for its role.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from provisioner import db
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.integration.databases import as_role

ROLES = ["kamailio", "provisioner"]
SCHEMAS = ["kamailio", "provisioner"]
REFUSED = psycopg.errors.InsufficientPrivilege
# What nobody can do, whatever his rights.
IMPOSSIBLE = (psycopg.errors.GeneratedAlways, psycopg.errors.WrongObjectType)
# What may be done with the rows of a table or view: (S)elect, (I)nsert, (U)pdate, (D)elete; and of
# which columns alone.
Rights = dict[str, str]


def granted(schema: str, names_by_rights: dict[str, str]) -> Rights:
    return {
        f"{schema}.{name}": rights
        for rights, names in names_by_rights.items()
        for name in names.split()
    }


MAY: dict[str, Rights] = {
    "kamailio": granted(
        "kamailio",
        {
            "S": "address call_transfer caller_id did dispatcher domain domain_attrs draining_nodes"
            " homes subscriber version",
            "SIUD": "location location_attrs",
        },
    ),
    "provisioner": granted(
        "kamailio",
        {
            "S": "call_transfer caller_id calls did dispatcher node_leases",
            "SD": "location location_attrs",
            "SIUD": "address subscriber",
        },
    )
    | granted(
        "provisioner",
        {
            "S": "account_converged account_status call_policies call_record_status"
            " choosable_numbers desired_address desired_subscriber hook_source_status"
            " incoming_event_status installation live_calls migrations network_status"
            " token_status webhook_delivery_status webhook_endpoint_status",
            "SI": "account_tariffs audit_events",
            "SI U(code,detail,status,subject_id,waits_for)": "incoming_events",
            "SID": "account_days api_tokens call_days caller_id_rules changed_days hook_source_keys"
            " import_chunks import_credentials import_errors outgoing_events repairs summed_days"
            " webhook_attempts",
            "SID U(valid_until)": "rates",
            "SID U(expires_at)": "webhook_endpoint_keys",
            "SIU": "hook_subjects imports webhook_deliveries",
            "SU": "call_records networks rating",
            "SUD": "guessing",
            "SIUD": "call_refusals call_transfers credential_changes credentials customers"
            " handovers hook_sources idempotency_keys import_rows invitations network_cidrs nodes"
            " numbers pending_kicks pending_reloads project_spend projects sessions sip_accounts"
            " submissions trunks users webhook_endpoints",
        },
    ),
}
MAY_CALL = {
    "kamailio": "kamailio.answer_call kamailio.answer_calls kamailio.cred kamailio.end_call"
    " kamailio.is_trunk_name kamailio.note_guessing kamailio.place_call kamailio.renew_lease"
    " kamailio.source_of kamailio.teams_account kamailio.transfer_call",
    "provisioner": "kamailio.channels_used kamailio.destination_allowed kamailio.end_call"
    " kamailio.forget_call kamailio.forget_node kamailio.record_lost_calls kamailio.spend_left"
    " provisioner.analyze_import provisioner.create_account provisioner.prefixes"
    " provisioner.rate_in_force provisioner.wake_worker",
}

# Forbidden to both roles; each would work for a superuser.
FORBIDDEN = [
    # to make something of one's own
    "CREATE SCHEMA mine",
    "CREATE TABLE provisioner.mine ()",
    "CREATE TABLE kamailio.mine ()",
    "CREATE TABLE public.mine ()",
    "CREATE TEMPORARY TABLE mine ()",
    "CREATE VIEW kamailio.mine AS SELECT 1",
    "CREATE FUNCTION kamailio.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE PUBLICATION mine FOR ALL TABLES",
    "CREATE FOREIGN DATA WRAPPER mine",
    "SELECT pg_create_physical_replication_slot('mine')",
    # to change what decides
    "ALTER FUNCTION kamailio.cred(text, text) RESET ALL",
    "DROP FUNCTION kamailio.cred(text, text)",
    "ALTER TABLE provisioner.sip_accounts DISABLE TRIGGER ALL",
    "SET session_replication_role = replica",
    "SELECT setval('provisioner.generation', 1)",
    "DROP SCHEMA provisioner CASCADE",
    "ALTER SCHEMA kamailio RENAME TO other",
    # to become somebody else
    "CREATE ROLE mine",
    "ALTER ROLE kamailio SUPERUSER",
    "ALTER ROLE provisioner CREATEDB",
    "ALTER ROLE postgres PASSWORD 'mine'",
    "GRANT postgres TO kamailio, provisioner",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM pg_hba_file_rules",
    # to leave the database
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/hostname')",
    "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null'",
    "CREATE LANGUAGE c_again HANDLER plpgsql_call_handler",
    "SELECT pg_reload_conf()",
    "SET log_min_messages = panic",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'",
]

# Views that are not simple can be written by nobody: they have no columns here.
RELATIONS = """
SELECT c.oid::regclass::text AS name, relkind::text AS kind,
       array_remove(array_agg(
           CASE WHEN pg_column_is_updatable(c.oid, attnum, true) THEN attname::text END
           ORDER BY attname), NULL) AS columns
  FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
   AND attidentity = '' AND attgenerated = ''
 WHERE relnamespace::regnamespace::text = ANY(%s) AND relkind IN ('r', 'v', 'm', 'p')
 GROUP BY c.oid, relkind
"""
FUNCTIONS = """
SELECT pronamespace::regnamespace || '.' || proname AS name,
       ARRAY(SELECT format('NULL::%%s', kind::regtype)
               FROM unnest(proargtypes) AS kind) AS arguments
  FROM pg_proc p
 WHERE pronamespace::regnamespace::text = ANY(%s)
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND deptype = 'e')
"""


@dataclass(frozen=True)
class Relation:
    """A table or view; `columns` are those that can be written."""

    name: str
    kind: str
    columns: list[str]


def attempt(connection: psycopg.Connection, statement: str) -> psycopg.Error | None:
    """Try a statement and take it back; return what PostgreSQL has against it."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
    except psycopg.Error as error:
        return error
    return None


def works(connection: psycopg.Connection, statement: str) -> bool:
    """Whether one has the right to a statement; whether it makes sense is another matter."""
    error = attempt(connection, statement)
    return error is None or not isinstance(error, (REFUSED, *IMPOSSIBLE))


def rights(connection: psycopg.Connection, relation: Relation) -> str:
    """Try everything with a relation's rows: what works, as the lists above write it."""
    name = relation.name
    found = "S" if works(connection, f"SELECT * FROM {name} LIMIT 0") else ""  # noqa: S608 - ours
    if not relation.columns:
        return found
    first = relation.columns[0]
    if works(connection, f'INSERT INTO {name} ("{first}") SELECT NULL WHERE false'):
        found += "I"
    updated = [
        column
        for column in relation.columns
        if works(connection, f'UPDATE {name} SET "{column}" = NULL WHERE false')  # noqa: S608 - ours
    ]
    if updated == relation.columns:
        found += "U"
    if works(connection, f"DELETE FROM {name} WHERE false"):  # noqa: S608 - ours
        found += "D"
    if updated and "U" not in found:
        found += f" U({','.join(updated)})"
    return found


def more(connection: psycopg.Connection, relation: Relation) -> list[str]:
    """Try what only an owner may do, and TRUNCATE; return what works."""
    kind = "VIEW" if relation.kind == "v" else "TABLE"
    return [
        statement
        for statement in (
            f"TRUNCATE {relation.name} CASCADE",
            f"ALTER {kind} {relation.name} RENAME TO renamed",
            f"DROP {kind} {relation.name} CASCADE",
            f"CREATE TRIGGER mine BEFORE UPDATE ON {relation.name} FOR EACH STATEMENT"
            " EXECUTE FUNCTION provisioner.wake_worker()",
        )
        if works(connection, statement)
    ]


@pytest.fixture
def relations(admin: db.Connection) -> list[Relation]:
    """All tables and views."""
    return [Relation(**row) for row in admin.execute(RELATIONS, [SCHEMAS]).fetchall()]


@pytest.fixture
def functions(admin: db.Connection) -> list[tuple[str, str]]:
    """All functions of ours, with a call of each that asks for nothing."""
    rows = admin.execute(FUNCTIONS, [SCHEMAS]).fetchall()
    return [(row["name"], f"SELECT {row['name']}({', '.join(row['arguments'])})") for row in rows]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_with_rows_what_is_listed(
    settings: Settings, stack: Stack, relations: list[Relation], role: str
) -> None:
    assert len(relations) > 60
    with as_role(settings, stack, role) as connection:
        found = {each.name: rights(connection, each) for each in relations}
    assert {name: may for name, may in found.items() if may} == MAY[role]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_no_more_with_a_table(
    settings: Settings, stack: Stack, relations: list[Relation], role: str
) -> None:
    with as_role(settings, stack, role) as connection:
        assert [each for relation in relations for each in more(connection, relation)] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_call_what_is_listed(
    settings: Settings, stack: Stack, functions: list[tuple[str, str]], role: str
) -> None:
    with as_role(settings, stack, role) as connection:
        found = {name for name, call in functions if works(connection, call)}
    assert found == set(MAY_CALL[role].split())


@pytest.mark.parametrize("role", ROLES)
def test_what_is_forbidden_is_refused(settings: Settings, stack: Stack, role: str) -> None:
    other = next(each for each in ROLES if each != role)
    forbidden = [
        *FORBIDDEN,
        f"SET ROLE {other}",
        f"ALTER ROLE {other} PASSWORD 'mine'",
        f"ALTER ROLE {other} SET search_path = pg_catalog",
    ]
    with as_role(settings, stack, role) as connection, victim(settings):
        answers = {each: attempt(connection, each) for each in forbidden}
    assert {
        each: answer for each, answer in answers.items() if not isinstance(answer, REFUSED)
    } == {}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "statement", ["ALTER SYSTEM SET fsync = off", "CREATE DATABASE mine", "DROP DATABASE postgres"]
)
def test_what_cannot_be_taken_back_is_refused(
    settings: Settings, stack: Stack, role: str, statement: str
) -> None:
    """No transaction would be of use; a superuser cannot be the control of these."""
    with as_role(settings, stack, role) as connection, pytest.raises(REFUSED):
        connection.execute(statement.encode())


@pytest.mark.parametrize("role", ROLES)
def test_a_role_does_not_see_what_others_ask(settings: Settings, stack: Stack, role: str) -> None:
    look = "SELECT query FROM pg_stat_activity WHERE application_name = 'victim'"
    with as_role(settings, stack, role) as connection, victim(settings):
        assert connection.execute(look.encode()).fetchall() == [("<insufficient privilege>",)]
        with psycopg.connect(settings.database_admin_url) as superuser:
            assert superuser.execute(look.encode()).fetchall() == [("SELECT 'a secret'",)]


# Controls: the same attempts by those who may.


@contextmanager
def victim(settings: Settings) -> Iterator[psycopg.Connection]:
    """Somebody else's connection, which has asked something."""
    url = settings.database_admin_url
    with psycopg.connect(url, application_name="victim", autocommit=True) as connection:
        connection.execute("SELECT 'a secret'")
        yield connection


def test_a_superuser_is_refused_nothing(settings: Settings) -> None:
    url = settings.database_admin_url
    with psycopg.connect(url, autocommit=True) as connection, victim(settings):
        answers = {each: attempt(connection, each) for each in FORBIDDEN}
    assert {each: answer for each, answer in answers.items() if answer} == {}


@pytest.mark.parametrize("role", ROLES)
def test_rights_that_are_too_many_are_found(
    settings: Settings,
    stack: Stack,
    admin: db.Connection,
    relations: list[Relation],
    functions: list[tuple[str, str]],
    role: str,
) -> None:
    for statement in (
        "GRANT USAGE ON SCHEMA {} TO {}",
        "GRANT ALL ON ALL TABLES IN SCHEMA {} TO {}",
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA {} TO {}",
        "GRANT ALL ON ALL FUNCTIONS IN SCHEMA {} TO {}",
    ):
        for schema in SCHEMAS:
            admin.execute(sql.SQL(statement).format(sql.Identifier(schema), sql.Identifier(role)))
    tables = [each for each in relations if each.kind == "r"]
    with as_role(settings, stack, role) as connection:
        assert {rights(connection, each) for each in tables} == {"SIUD"}
        assert [each for each in tables if "TRUNCATE" not in str(more(connection, each))] == []
        assert [call for _, call in functions if not works(connection, call)] == []
