"""A backup is worth what was restored from it: into an empty cluster, by the manual's commands."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from provisioner.recovery import STEP
from provisioner.stack import Stack
from provisioner.stack.passwords import load_passwords
from provisioner.stack.postgres import USER, give_away
from provisioner.stack.probes import answers_ok
from tests.docs.pages import Page
from tests.integration.receiver import ALLOWED, Receiver, receiver
from tests.sip.clients import Sipp
from tests.sip.faults.outages import stopped
from tests.system import Line, System, eventually, native_system

pytestmark = [pytest.mark.native, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
ENVIRON = {"WEBHOOK_ALLOWED_NETWORKS": ALLOWED, "SYNC_INTERVAL": "2", "MEDIA_PROXY": "off"}


def command(containing: str) -> str:
    """The block of the manual that has a command."""
    page = Page.read(ROOT / "docs" / "backup.md", "docs/backup.md")
    (found,) = [block.text for block in page.blocks if containing in block.text]
    return found


def shell(script: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Run what the manual says; it must succeed."""
    path = {"PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={**environ, **path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def query(stack: Stack, text: str) -> list[Any]:
    """Ask a stack's database, as its owner."""
    with psycopg.connect(stack.database_admin_url, row_factory=dict_row) as connection:
        return connection.execute(text.encode()).fetchall()


@dataclass
class Before:
    """The cluster that is backed up, and goes on; what it had then."""

    stack: Stack
    system: System
    enabled: Line
    disabled: Line
    phone: Sipp
    portal: Receiver
    secret: str
    folder: Path


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Before]:
    """A cluster with all that a backup must bring back, and much that it must not."""
    folder = tmp_path_factory.mktemp("old")
    with Stack(folder / "var", environ=ENVIRON, durable=False) as stack, receiver() as portal:
        system = native_system(stack)
        enabled, disabled = system.new_line(), system.new_line()
        disabled.disable()
        phone = Sipp(system.internet.registrar, enabled.credentials, system.internet.client)
        assert phone.register().outcome[0] == 200
        eventually(lambda: query(stack, "SELECT FROM kamailio.location"))
        endpoint = system.api.post("/webhook-endpoints", {"url": portal.url}).expect(201)
        leave_traces(stack, enabled)
        script = command("pg_dump --format=custom --file")
        shell(script, folder, stack.environ)
        yield Before(stack, system, enabled, disabled, phone, portal, endpoint["secret"], folder)


def leave_traces(stack: Stack, line: Line) -> None:
    """Leave what a cluster in use has: a node that is away, work for it, calls in progress."""
    account = line.read()
    with psycopg.connect(stack.database_admin_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO provisioner.nodes (name, rpc_url, state, last_compared_at)"
            " VALUES ('node9', 'http://127.0.0.1:9/rpc', 'away', now())"
        )
        connection.execute(
            "INSERT INTO provisioner.pending_kicks (node_id, username, generation, drop_all)"
            " SELECT id, %s, 1, true FROM provisioner.nodes WHERE name = 'node9'",
            [line.credentials.username],
        )
        for _ in range(account["voice_channels"]):
            connection.execute(
                "INSERT INTO kamailio.calls (call, account_id, account_number, customer_id,"
                " project_id, tariff, direction, counted, emergency, caller, called, node,"
                " dialog_entry, dialog_id, sip_call_id, sip_cseq, answered_at)"
                " VALUES (nextval('kamailio.call_ids'), %s, %s, %s, %s, 'pay_per_use', 'out', true,"
                " false, %s, '+390600000000', 'node9/1', 1, 1, 'ab', 1, now())",
                [line.id, line.number, account["customer_id"], account["project_id"], line.number],
            )


@pytest.fixture(scope="module")
def after(before: Before, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An empty cluster on which the backup has been restored; it knows only the old SECRETS_KEY."""
    folder = tmp_path_factory.mktemp("new")
    key = load_passwords(before.stack.directory.passwords).secrets_key
    (folder / "passwords.json").write_text(json.dumps({"secrets_key": key}))
    with Stack(folder, environ=ENVIRON, durable=False) as stack:
        services = [stack.kamailio, stack.worker, stack.provisioner]
        for process in reversed(services):
            process.stop()
        empty(stack)
        told = shell(command("pg_restore --exit-on-error"), before.folder, owners(stack))
        assert "2 nodes with their pending work, 1 bindings, calls of 1 nodes" in told
        assert "SECRETS_KEY does not open 0" in told
        for process in services:
            process.start()
        eventually(lambda: answers_ok(stack.http_port, "/readyz"), within=60)
        yield stack


def empty(stack: Stack) -> None:
    """Make the cluster as it was before anything was in it: no database, no roles."""
    maintenance = stack.database_admin_url.rpartition("/")[0] + "/postgres"
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute("DROP DATABASE provisioner WITH (FORCE)")
        connection.execute("DROP ROLE provisioner")
        connection.execute("DROP ROLE kamailio")
        connection.execute("CREATE DATABASE provisioner")


def owners(stack: Stack) -> dict[str, str]:
    """What the commands need that restore a stack's database."""
    own = load_passwords(stack.directory.passwords)
    return stack.environ | {
        "DATABASE_ADMIN_URL": stack.database_admin_url,
        "PROVISIONER_DB_PASSWORD": own.provisioner_db,
        "KAMAILIO_DB_PASSWORD": own.kamailio_db,
    }


def system_of(after: Stack, before: Before) -> System:
    """The new cluster, with the Admin's token of the old one."""
    system = native_system(after)
    system.api.headers |= before.system.api.headers
    return system


def test_phones_register_with_their_old_passwords(before: Before, after: Stack) -> None:
    place = system_of(after, before).internet
    phone = Sipp(place.registrar, before.enabled.credentials, place.client)
    assert phone.register().outcome[0] == 200


def test_a_disabled_phone_stays_refused(before: Before, after: Stack) -> None:
    place = system_of(after, before).internet
    phone = Sipp(place.registrar, before.disabled.credentials, place.client)
    assert phone.register().outcome == (403, "Account Disabled")


def test_a_change_obeys_on_the_new_nodes_and_is_signed_with_the_old_secret(
    before: Before, after: Stack
) -> None:
    api = system_of(after, before).api
    account = api.post(f"{before.disabled.path}/enable", wait=10).expect(200)
    assert account["convergence"]["converged"]
    told = eventually(
        lambda: [
            one
            for one in before.portal.of_type("account.enabled")
            if one.json["data"]["version"] == account["generation"]
        ]
    )
    assert told[0].is_signed_with(before.secret)
    # Nobody has seen a generation before that is given out now.
    assert account["generation"] > STEP > before.enabled.read()["generation"]


def test_the_old_clusters_nodes_work_and_calls_are_gone(before: Before, after: Stack) -> None:
    nodes = query(after, "SELECT name, rpc_url FROM provisioner.nodes")
    assert nodes == [{"name": "node1", "rpc_url": after.rpc_url}]
    assert query(after, "SELECT FROM provisioner.pending_kicks WHERE generation < 1000") == []
    assert query(after, "SELECT FROM kamailio.calls") == []
    lost = query(after, "SELECT node_lost FROM provisioner.call_records")
    assert lost == [{"node_lost": True}] * before.enabled.read()["voice_channels"]
    calls = system_of(after, before).api.get(f"{before.enabled.path}/calls").expect(200)
    assert calls["items"] == []


def test_the_old_cluster_goes_on_untouched(before: Before, after: Stack) -> None:
    assert before.enabled.bindings()
    assert before.phone.register().outcome[0] == 200
    events = query(before.stack, "SELECT FROM provisioner.audit_events WHERE type LIKE 'database%'")
    assert events == []


def test_the_database_of_a_service_that_runs_forgets_nothing(after: Stack) -> None:
    done = subprocess.run(
        [ROOT / ".venv/bin/provisioner", "after-restore"],
        env=owners(after),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "stop it first" in done.stderr) == (4, True)
    assert query(after, "SELECT FROM provisioner.nodes")


# To a moment before an accident.


def archive(before: Before) -> Path:
    """Have the old cluster copy each finished WAL file away; return where to."""
    files = before.folder / "wal"
    files.mkdir(mode=0o700)
    give_away(files)
    url = before.stack.database_admin_url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET archive_mode = 'on'")
        connection.execute(f"ALTER SYSTEM SET archive_command = 'cp %p {files}/%f'".encode())
    with stopped(before.stack.postgres):
        pass
    # It is not ready while a node is away.
    eventually(lambda: before.system.api.get(before.enabled.path).status == 200)
    return files


def finish_file(stack: Stack) -> None:
    """Wait until all that was written so far is in the archive."""
    (written,) = query(stack, "SELECT pg_walfile_name(pg_switch_wal()) AS name")
    done = f"SELECT FROM pg_stat_archiver WHERE last_archived_wal >= '{written['name']}'"
    eventually(lambda: query(stack, done))


@contextmanager
def recovered(before: Before, folder: Path, moment: str, files: Path) -> Iterator[Stack]:
    """A cluster that was recovered to a moment; its passwords are the old one's."""
    shutil.copy(before.stack.directory.passwords, folder)
    with Stack(folder, environ=ENVIRON, durable=False) as stack:
        services = [stack.postgres, stack.kamailio, stack.worker, stack.provisioner]
        for process in reversed(services):
            process.stop()
        shutil.rmtree(stack.directory.postgres)
        variables = {"ARCHIVE": str(files), "MOMENT": moment}
        shell(command("recovery.signal"), before.folder, variables)
        (before.folder / "recovered").rename(stack.directory.postgres)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{USER}:{USER}", stack.directory.postgres], check=True)
        stack.postgres.start()
        stack.postgres.wait_ready()
        told = shell("provisioner migrate; provisioner after-restore", folder, owners(stack))
        assert "SECRETS_KEY does not open 0" in told
        for process in services:
            process.start()
        eventually(lambda: answers_ok(stack.http_port, "/readyz"), within=60)
        yield stack


def test_what_was_deleted_is_there_again_as_of_the_moment_before(
    before: Before, tmp_path: Path
) -> None:
    files = archive(before)
    shell(command("pg_basebackup"), before.folder, owners(before.stack))
    line = before.system.new_line()
    (now,) = query(before.stack, "SELECT clock_timestamp()::text AS moment")
    line.api.post(f"{line.path}/disable").expect(200)
    line.api.delete(line.path).expect(204)
    finish_file(before.stack)
    with recovered(before, tmp_path, now["moment"], files) as stack:
        system = system_of(stack, before)
        assert system.api.get(line.path).expect(200)["state"] == "enabled"
        place = system.internet
        assert Sipp(place.registrar, line.credentials, place.client).register().outcome[0] == 200
        # Nothing of what came later is known, nor is the old cluster touched.
        assert (
            query(stack, "SELECT FROM provisioner.audit_events WHERE type = 'account.deleted'")
            == []
        )
    assert before.system.api.get(line.path).status == 404
    assert before.enabled.bindings()
