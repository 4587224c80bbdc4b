"""The API against schemathesis, which invents requests from its own description: for every role, no
answer is a 5xx, and none is other than described.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner import db
from provisioner.access import Role
from provisioner.credentials import new_token, token_digest
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from provisioner.tenancy_store import insert_token
from tests.integration.conftest import Client
from tests.integration.serving import Server, served
from tests.integration.world import new_tenant

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "use_after_free",
]
SECONDS = dict.fromkeys(Role, 10) | {Role.ADMIN: 45}  # of inventing requests
SEED = 20260131
# How a request that is wrong may be refused: also where it is too long to be read.
REFUSALS = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 414, 415, 422, 428, 429, 431, "5xx"]
"""


@pytest.fixture
def server(settings: Settings, stack: Stack, tmp_path: Path) -> Iterator[Server]:
    """The API in processes of its own on the test's database."""
    with served(settings, stack, tmp_path / "serve.log") as server:
        yield server


@pytest.fixture
def population(client: Client, admin: db.Connection) -> None:
    """Two customers with one of everything, for requests that find what they ask for."""
    new_tenant(client, "Alpha", "06111111")
    new_tenant(client, "Zeta", "06222222")
    # No invented id is that of the token that the requests bear.
    admin.execute("ALTER TABLE provisioner.api_tokens ALTER COLUMN id RESTART WITH 900000000001")
    # An invented node does not answer, which other operations rightly tell as 503.
    admin.execute(
        "CREATE FUNCTION provisioner.none() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NULL; END'"
    )
    admin.execute(
        "CREATE TRIGGER none BEFORE INSERT ON provisioner.nodes"
        " FOR EACH ROW EXECUTE FUNCTION provisioner.none()"
    )


@pytest.mark.native
@pytest.mark.timeout(240)
@pytest.mark.parametrize("role", Role)
def test_invented_requests_are_answered_as_described(
    server: Server, population: None, admin: db.Connection, tmp_path: Path, role: Role
) -> None:
    token = new_token()
    customer = None if role is Role.ADMIN else 2
    insert_token(admin, "fuzz", token_digest(token), role=role, customer_id=customer)
    command = [
        str(Path(sys.executable).with_name("st")),
        "run",
        f"{server.url}/api/openapi.json",
        f"--header=Authorization:Bearer {token}",
        f"--checks={','.join(CHECKS)}",
        f"--max-time={SECONDS[role]}",
        f"--seed={SEED}",
        "--continue-on-failure",
        "--suppress-health-check=all",
        "--no-color",
    ]
    (tmp_path / "schemathesis.toml").write_text(REFUSALS, encoding="ascii")
    run = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=220, check=False
    )
    report = run.stdout + run.stderr
    assert run.returncode == 0, report[-20_000:]
    assert "Traceback" not in server.logged(), server.logged()[-5_000:]
