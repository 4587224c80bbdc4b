"""The command line as people and scripts use it: a process, its output, its exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest

from provisioner import db
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.integration.calls import call_node
from tests.integration.cli_server import CliServer
from tests.integration.conftest import NUMBER, OTHER_NUMBER
from tests.integration.console import visitor
from tests.integration.importing import accounts_file, decrypted, file_of, numbers

DONE, FAILED, USAGE, NOT_FOUND, CONFLICT, UNAVAILABLE, IN_PART = range(7)

Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(stack: Stack, settings: Settings) -> dict[str, str]:
    return {**stack.environ, "DATABASE_URL": settings.database_url, "PATH": os.environ["PATH"]}


@pytest.fixture(scope="session")
def cli_server(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliServer]:
    """Where commands are run."""
    environ = {**stack.environ, "PATH": os.environ["PATH"]}
    server = CliServer(tmp_path_factory.mktemp("cli"), environ)
    yield server
    server.stop()


@pytest.fixture
def cli(cli_server: CliServer, stack: Stack, settings: Settings) -> Run:
    """Run `provisioner` with arguments on the test's database; it must end as expected."""

    def run(*arguments: str, code: int = DONE, url: str | None = None) -> Any:
        environ = environment(stack, settings) | ({"DATABASE_URL": url} if url else {})
        done = cli_server.run(arguments, environ)
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done

    return run


def told(done: subprocess.CompletedProcess[str]) -> Any:
    """What a command with --json printed."""
    return json.loads(done.stdout)


@pytest.fixture
def account(cli: Run) -> Any:
    cli("number", "create", NUMBER)
    return told(cli("account", "create", "Front desk", NUMBER, "--voice-channels", "2", "--json"))


# Accounts.


def test_a_new_account_shows_its_password(cli: Run, account: Any) -> None:
    assert account["state"] == "disabled"
    assert len(account["credentials"]["password"]) > 20
    shown = told(cli("account", "show", NUMBER, "--json"))
    assert shown["id"] == account["id"]
    assert "credentials" not in shown


def test_an_account_is_named_by_id_or_main_number(cli: Run, account: Any) -> None:
    for name in (str(account["id"]), NUMBER):
        assert told(cli("account", "show", name, "--json"))["name"] == "Front desk"


@pytest.mark.parametrize("name", ["99999", OTHER_NUMBER, "nothing", "9" * 30])
def test_an_account_that_is_not_there_is_not_found(cli: Run, account: Any, name: str) -> None:
    assert "There is no such account." in cli("account", "show", name, code=NOT_FOUND).stderr


def test_an_additional_number_does_not_name_an_account(cli: Run, account: Any) -> None:
    cli("number", "create", OTHER_NUMBER)
    cli("number", "link", OTHER_NUMBER, NUMBER)
    cli("account", "show", OTHER_NUMBER, code=NOT_FOUND)


def test_people_read_tables(cli: Run, account: Any) -> None:
    lines = cli("account", "list").stdout.splitlines()
    assert lines[0].split() == [
        "id", "name", "main_number", "state", "voice_channels", "tariff", "external_id"
    ]  # fmt: skip
    assert lines[1].split() == [
        str(account["id"]), "Front", "desk", NUMBER, "disabled", "2", "pay_per_use"
    ]  # fmt: skip


def test_names_are_no_markup(cli: Run, account: Any) -> None:
    cli("account", "set", NUMBER, "--name", "[bold]x :smile:")
    assert "[bold]x :smile:" in cli("account", "list").stdout


def test_an_account_is_changed(cli: Run, account: Any) -> None:
    options = ("--name", "Reception", "--tariff", "flat", "--voice-channels", "5")
    changed = told(cli("account", "set", NUMBER, *options, "--cloudfire-only", "--json"))
    assert (changed["name"], changed["tariff"]) == ("Reception", "flat")
    assert (changed["voice_channels"], changed["cloudfire_only"]) == (5, True)


@pytest.mark.parametrize(
    ("command", "state"),
    [("enable", "enabled"), ("disable", "disabled"), ("link-to-teams", "linked_to_teams")],
)
def test_a_state_is_set_and_set_again(cli: Run, account: Any, command: str, state: str) -> None:
    for _ in range(2):
        assert told(cli("account", command, NUMBER, "--json"))["state"] == state


def test_a_change_that_no_node_confirms_in_time_is_done_in_part(
    cli: Run, account: Any, node: int
) -> None:
    cli("account", "enable", NUMBER)
    done = cli("account", "disable", NUMBER, "--wait", "1", "--json", code=IN_PART)
    assert told(done)["convergence"]["pending_nodes"] == ["away"]


def test_the_password_is_rotated(cli: Run, account: Any) -> None:
    rotated = told(cli("account", "rotate", NUMBER, "--json"))
    assert rotated["credentials"]["password"] != account["credentials"]["password"]


def test_an_account_is_deleted_when_nothing_is_in_the_way(cli: Run, account: Any) -> None:
    cli("account", "enable", NUMBER)
    refused = cli("account", "delete", NUMBER, "--yes", code=CONFLICT)
    assert "Disable the account first. (enabled)" in refused.stderr
    cli("account", "disable", NUMBER)
    cli("account", "delete", NUMBER, "--yes")
    cli("account", "show", NUMBER, code=NOT_FOUND)
    assert told(cli("number", "list", "--choosable", "--json"))["items"][0]["number"] == NUMBER


def test_nothing_is_deleted_unasked(cli: Run, account: Any) -> None:
    assert "--yes" in cli("account", "delete", NUMBER, code=USAGE).stderr
    cli("account", "show", NUMBER)


def test_an_accounts_history_names_who_typed(cli: Run, account: Any, admin: db.Connection) -> None:
    event = admin.execute(
        "SELECT via, actor_name FROM provisioner.audit_events WHERE type = 'account.created'"
    ).fetchone()
    assert event
    assert event["via"] == "cli"
    assert event["actor_name"]


# Numbers.


def test_a_number_is_created_and_changed(cli: Run) -> None:
    made = told(cli("number", "create", NUMBER, "--state", "ordered", "--json"))
    assert made["state"] == "ordered"
    assert told(cli("number", "set", NUMBER, "--state", "active", "--json"))["state"] == "active"


def test_a_number_is_linked_and_unlinked(cli: Run, account: Any) -> None:
    cli("number", "create", OTHER_NUMBER)
    linked = told(cli("number", "link", OTHER_NUMBER, NUMBER, "--json"))
    assert linked["account_id"] == account["id"]
    assert told(cli("number", "unlink", OTHER_NUMBER, "--json"))["account_id"] is None
    cli("number", "unlink", OTHER_NUMBER, code=NOT_FOUND)
    cli("number", "unlink", NUMBER, code=CONFLICT)


def test_a_long_list_says_that_it_goes_on(cli: Run) -> None:
    for number in (NUMBER, OTHER_NUMBER):
        cli("number", "create", number)
    first = told(cli("number", "list", "--limit", "1", "--json"))
    assert ([item["number"] for item in first["items"]], first["more"]) == ([NUMBER], True)
    assert told(cli("number", "list", "--json"))["more"] is False


# Users, tokens, nodes.


def test_a_user_is_created_changed_and_deleted(cli: Run) -> None:
    made = told(cli("user", "create", "anna@example.org", "Anna", "--role", "sales", "--json"))
    identity = str(made["id"])
    changed = told(cli("user", "set", identity, "--no-active", "--json"))
    assert (changed["role"], changed["active"]) == ("sales", False)
    assert "anna@example.org" in cli("user", "list").stdout
    cli("user", "delete", identity)
    cli("user", "delete", identity, code=NOT_FOUND)


def test_the_first_admins_login_is_written_once(cli: Run, client: Any, tmp_path: Path) -> None:
    file = tmp_path / "admin-login"
    cli("init-login", "--file", str(file))
    written = file.read_text()
    cli("init-login", "--file", str(file))
    assert file.read_text() == written
    assert file.stat().st_mode & 0o777 == 0o600
    email, password = written.splitlines()
    assert email == "admin@talkytime.test"
    answer = visitor(client).post("/login", email=email, password=password)
    assert answer.location == "/console/accounts"


def test_the_first_admin_may_be_there_without_a_password(
    cli: Run, client: Any, tmp_path: Path
) -> None:
    client.create("/users", email="admin@talkytime.test", name="Admin", role="admin")
    cli("init-login", "--file", str(tmp_path / "admin-login"))
    assert (tmp_path / "admin-login").exists()


def test_a_user_is_invited(cli: Run, client: Any) -> None:
    user = client.create("/users", email="carla@example.org", name="Carla", role="sales")
    shown = told(cli("user", "invite", str(user["id"]), "--json"))
    page = visitor(client).get(shown["url"].removeprefix("/console")).text
    assert "carla@example.org" in page


@pytest.mark.parametrize(("password", "code"), [("a good long password", DONE), ("short", FAILED)])
def test_a_users_password_comes_from_standard_input(
    client: Any, stack: Stack, settings: Settings, password: str, code: int
) -> None:
    user = client.create("/users", email="carla@example.org", name="Carla", role="sales")
    done = subprocess.run(
        [sys.executable, "-m", "provisioner", "user", "password", str(user["id"])],
        env=environment(stack, settings),
        input=f"{password}\n",
        text=True,
        capture_output=True,
    )
    assert (done.returncode == DONE) is (code == DONE), done.stderr
    answer = visitor(client).post("/login", email="carla@example.org", password=password)
    assert (answer.status_code == 302) is (code == DONE)


def test_a_token_is_created_and_revoked(cli: Run, client: Any) -> None:
    made = told(cli("token", "create", "Portal", "--role", "read_only", "--json"))
    portal = client.bearing(made["token"])
    assert portal("GET", "/numbers").status_code == 200
    assert made["token"] not in cli("token", "list", "--json").stdout
    cli("token", "revoke", str(made["id"]))
    assert portal("GET", "/numbers").status_code == 401


def test_nodes_are_listed(cli: Run, node: int) -> None:
    assert told(cli("nodes", "--json"))["items"][0]["name"] == "away"


def test_an_account_is_diagnosed(cli: Run, account: Any, node: int) -> None:
    found = told(cli("diagnose", NUMBER, "--json"))
    assert (found["verdict"], found["can_register"]) == ("account_disabled", False)
    lines = cli("diagnose", NUMBER).stdout.splitlines()
    assert lines[0] == f"Front desk ({NUMBER}): {found['detail']}"
    assert lines[1] == f"Calls: {found['call_detail']}"
    assert lines[2].split() == ["ok", "code", "detail"]


def test_calls_in_progress_are_listed(
    cli: Run, account: Any, stack: Stack, settings: Settings
) -> None:
    with call_node(stack, settings.database_url) as calls:
        calls.place(account["id"], "+390687654321")
        calls.place(account["id"], "+39\x1b[2J")  # which would clear the screen
    header, line, odd = cli("calls", NUMBER).stdout.splitlines()
    assert header.split()[:3] == ["id", "direction", "caller"]
    assert line.split()[1:5] == ["out", NUMBER, "+390687654321", "ringing"]
    assert odd.split()[3] == "+39?[2J"
    assert ["channels", "2", "of", "2", "in", "use"] in [
        shown.split() for shown in cli("account", "show", NUMBER).stdout.splitlines()
    ]


def test_a_call_policy_is_set_and_shown(cli: Run, account: Any) -> None:
    lists = ("--allowed-prefixes", "+39", "+44", "--blocked-prefixes")
    changed = told(cli("call-policy", "set", "1", "--daily-spend-cap", "50", *lists, "--json"))
    assert changed["daily_spend_cap"] == "50.00"
    assert (changed["allowed_prefixes"], changed["blocked_prefixes"]) == (["+39", "+44"], [])
    cli("call-policy", "set", "1", "--daily-spend-cap", "")
    assert told(cli("call-policy", "show", "1", "--json"))["daily_spend_cap"] is None
    cli("call-policy", "set", "1", "--daily-spend-cap", "x", code=USAGE)
    cli("call-policy", "show", "99", code=NOT_FOUND)


def test_an_accounts_own_networks_are_set_and_removed(cli: Run, account: Any) -> None:
    networks = ["192.0.2.0/24", "2001:db8::/32"]
    changed = told(cli("account", "set", NUMBER, "--json", "--allowed-networks", *networks))
    assert changed["allowed_networks"] == networks
    changed = told(cli("account", "set", NUMBER, "--json", "--allowed-networks"))
    assert changed["allowed_networks"] is None


# Files.


@pytest.fixture
def identity() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


def import_accounts(
    cli: Run, folder: Path, content: str, identity: pyrage.x25519.Identity, *options: str, code: int
) -> Any:
    file, output = folder / "accounts.csv", folder / "creds.age"
    file.write_text(content)
    recipient = str(identity.to_public())
    arguments = ("--recipient", recipient, "--output", str(output), "--json", *options)
    return told(cli("import", "accounts", str(file), *arguments, code=code))


def test_files_are_imported(
    cli: Run, tmp_path: Path, identity: pyrage.x25519.Identity, client: Any
) -> None:
    wanted = numbers(3)
    file = tmp_path / "numbers.csv"
    file.write_text(file_of("number", wanted))
    assert "3 numbers imported" in cli("import", "numbers", str(file)).stdout
    job = import_accounts(cli, tmp_path, accounts_file(wanted), identity, code=DONE)
    assert (job["status"], job["rows_done"], job["errors"]) == ("done", 3, [])
    output = tmp_path / "creds.age"
    assert output.stat().st_mode & 0o777 == 0o600
    found = decrypted(output.read_bytes(), identity)
    assert [row["main_number"] for row in found] == wanted


def test_a_bad_file_is_reported_and_leaves_nothing(
    cli: Run, tmp_path: Path, identity: pyrage.x25519.Identity
) -> None:
    job = import_accounts(cli, tmp_path, accounts_file([NUMBER]), identity, code=FAILED)
    assert [(one["line"], one["field"]) for one in job["errors"]] == [(2, "main_number")]
    assert not (tmp_path / "creds.age").exists()


def test_good_rows_are_done_in_part(
    cli: Run, tmp_path: Path, identity: pyrage.x25519.Identity
) -> None:
    cli("number", "create", NUMBER)
    content = accounts_file([NUMBER, OTHER_NUMBER])
    job = import_accounts(cli, tmp_path, content, identity, "--good-rows", code=IN_PART)
    assert (job["rows_done"], job["rows_bad"]) == (1, 1)


def test_an_output_that_exists_is_not_overwritten(
    cli: Run, tmp_path: Path, identity: pyrage.x25519.Identity
) -> None:
    file, output = tmp_path / "accounts.csv", tmp_path / "creds.age"
    file.write_text(accounts_file([NUMBER]))
    output.write_text("mine")
    arguments = ("--recipient", str(identity.to_public()), "--output", str(output))
    cli("import", "accounts", str(file), *arguments, code=FAILED)
    assert output.read_text() == "mine"


@pytest.mark.parametrize(
    "options",
    [(), ("--recipient", "age1x"), ("--output", "x"), ("--recipient", "x", "--output", "y")],
)
def test_accounts_need_a_recipient_and_an_output(
    cli: Run, tmp_path: Path, options: tuple[str, ...]
) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text(accounts_file([NUMBER]))
    files = [str(tmp_path / one) if one in ("x", "y") else one for one in options]
    cli("import", "accounts", str(file), *files, code=USAGE)


def test_an_export_is_imported_again(cli: Run, tmp_path: Path, admin: db.Connection) -> None:
    cli("number", "create", NUMBER, "--external-id", "crm-1")
    for file_format in ("csv", "ndjson"):
        file = tmp_path / f"numbers.{file_format}"
        file.write_text(cli("export", "numbers", "--format", file_format).stdout)
        admin.execute("DELETE FROM provisioner.numbers")
        cli("import", "numbers", str(file))
        (found,) = told(cli("number", "list", "--json"))["items"]
        assert (found["number"], found["external_id"]) == (NUMBER, "crm-1")


# How a command ends.


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nothing",),
        ("account", "create", "x", "12", "--voice-channels", "1"),
        ("account", "create", "x", NUMBER, "--voice-channels", "1", "--tariff", "free"),
        ("account", "create", "x", NUMBER, "--voice-channels", "0"),
        ("account", "set", NUMBER),
        ("user", "create", "no address", "x", "--role", "sales"),
        ("token", "create", "x"),
        ("number", "create", "12"),
        ("number", "list", "--limit", "0"),
        ("export", "passwords"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(cli: Run, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments, code=USAGE).stderr


def test_a_conflict_has_its_code_and_its_words(cli: Run) -> None:
    cli("number", "create", NUMBER)
    done = cli("number", "create", NUMBER, "--json", code=CONFLICT)
    error = json.loads(done.stderr)["error"]
    assert (error["code"], error["field"]) == ("number-exists", "number")


def test_a_database_that_is_away_has_a_code_of_its_own(cli: Run) -> None:
    url = "postgresql://provisioner@127.0.0.1:9/provisioner"
    done = cli("number", "list", code=UNAVAILABLE, url=url)
    assert "cannot be reached" in done.stderr


def test_the_program_that_is_installed_does_the_same(
    cli: Run, stack: Stack, settings: Settings, account: Any
) -> None:
    program = str(Path(sys.executable).with_name("provisioner"))
    for command in (["account", "list"], ["account", "show", OTHER_NUMBER], ["account", "nothing"]):
        environ = environment(stack, settings)
        done = subprocess.run([program, *command], env=environ, text=True, capture_output=True)
        forked = cli(*command, code=done.returncode)
        assert (done.stdout, done.stderr) == (forked.stdout, forked.stderr)


def test_a_setting_that_is_wrong_is_named(stack: Stack) -> None:
    command = [str(Path(sys.executable).with_name("provisioner")), "nodes"]
    environ = {**stack.environ, "SIP_PORT": "none"}
    done = subprocess.run(command, env=environ, text=True, capture_output=True)
    assert (done.returncode, "SIP_PORT" in done.stderr) == (USAGE, True)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_completion_script_is_one(cli: Run, tmp_path: Path, shell: str) -> None:
    script = tmp_path / "completion"
    script.write_text(cli("completion", shell).stdout)
    assert "link-to-teams" in script.read_text()
    if shell == "bash":
        words = (
            'COMP_WORDS=(provisioner acc) COMP_CWORD=1; _shtab_provisioner; echo "${COMPREPLY[@]}"'
        )
        line = f"set -e; . {script}; {words}"
        done = subprocess.run(["bash", "-c", line], text=True, capture_output=True, check=True)
        assert done.stdout.split() == ["account"]


def test_scripts_read_what_sync_would_repair(cli: Run, account: Any, admin: db.Connection) -> None:
    admin.execute("UPDATE kamailio.subscriber SET channels = 99")
    plan = told(cli("sync", "--json"))
    assert plan["plan"] == [
        {"action": "update", "target": "subscriber", "key": NUMBER[1:], "detail": "channels"}
    ]
    assert plan["repaired"] is None
    assert told(cli("sync", "--apply", "--json"))["repaired"] == 1
    event = admin.execute("SELECT via FROM provisioner.audit_events ORDER BY id DESC").fetchone()
    assert event == {"via": "cli"}


# Rates and call records.


def test_rates_are_imported_listed_and_removed(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    header = "side;prefix;price_per_minute;valid_from\n"
    file.write_text(header + "customer;+39;0,01;2026-01-01\ncustomer;+39;0,02;2999-01-01\n")
    done = told(cli("rates", "import", str(file), "--json"))
    assert done == {"added": 2, "ended": 0, "unchanged": 0}
    first, second = told(cli("rates", "list", "--prefix", "+39", "--json"))["items"]
    assert first["valid_until"] == second["valid_from"]
    assert "in force" in cli("rates", "delete", str(first["id"]), code=CONFLICT).stderr
    cli("rates", "delete", str(second["id"]))
    (left,) = told(cli("rates", "list", "--json"))["items"]
    assert left["valid_until"] is None
    cli("rates", "list", "--number", "+39", code=USAGE)


def test_bad_rates_are_told_line_by_line(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("side;prefix;price_per_minute;valid_from\ncustomer;39;0,01;2026-01-01\n")
    (fault,) = told(cli("rates", "import", str(file), "--json", code=USAGE))["errors"]
    assert (fault["line"], fault["field"]) == (2, "prefix")
    assert told(cli("rates", "list", "--json"))["items"] == []
    cli("rates", "import", str(tmp_path / "nothing.csv"), code=FAILED)


def test_call_records_are_exported_and_summed_up(
    cli: Run, account: Any, admin: db.Connection
) -> None:
    admin.execute(
        "INSERT INTO provisioner.call_records SELECT 1, 1, %s, main_number, customer_id, 'Alpha',"
        " project_id, 'First', 'flat', 'out', false, false, main_number, '+393331234567', 'node1',"
        " '2026-03-02 10:00Z', '2026-03-02 10:00Z', '2026-03-02 10:01Z', 60, 200, false, 0.005,"
        " 0.5, now() FROM provisioner.sip_accounts",
        (account["id"],),
    )
    _, line = cli("call-records", "export", "--account", str(account["id"])).stdout.splitlines()
    assert line.endswith("2026-03-02 11:00:00;2026-03-02 11:01:00;60;"
                         f"{NUMBER};+393331234567;out;0,0050;0,5000")  # fmt: skip
    until = ["--until", "2026-03-02T10:00:00Z", "--convention", "international"]
    assert len(cli("call-records", "export", *until).stdout.splitlines()) == 1
    (total,) = told(cli("call-records", "summary", "2026-03", "--json"))["accounts"]
    assert (total["cost_operator"], total["cost_customer"]) == ("0.01", "0.50")
    assert "Alpha" in cli("call-records", "summary", "2026-03").stdout
    cli("call-records", "summary", "March", code=USAGE)
