"""Kamailio's configuration: the parser takes it, it starts, and it keeps to the house's rules."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from secrets import token_hex

import psycopg
import pytest
from psycopg import sql

from provisioner.stack.ports import tcp, udp_and_tcp
from provisioner.stack.probes import answers_ok
from provisioner.stack.stack import Stack
from provisioner.stack.waiting import wait_until
from tests.ports import new_port

CONFIG = Path(__file__).parents[2] / "kamailio"
FILES = sorted(CONFIG.glob("*.cfg"))
COMMAND = '{"jsonrpc": "2.0", "id": 1, "method": "core.uptime"}'
START_TIMEOUT = 15.0  # seconds until a start has worked or failed
ROUTE_LINES = 50

pytestmark = pytest.mark.native  # the harness runs its tests where there is no Kamailio


def code(path: Path) -> str:
    """Read a file without its comments; preprocessor lines stay."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not re.match(r"\s*#(?!!)", line))


ALL_CODE = "\n".join(code(path) for path in FILES)


def environment(database_url: str, rpc_port: int = 8090) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"] + ":/usr/sbin",
        "KAMAILIO_DB_URL": database_url,
        "KAMAILIO_NODE": "config-test",
        "KAMAILIO_SERVER_ID": "99",
        "KAMAILIO_CHILDREN": "1",
        "KAMAILIO_RPC_PORT": str(rpc_port),
        "KAMAILIO_RPC_TOKEN": token_hex(16),
        "KAMAILIO_NONCE_SECRET": token_hex(32),
        "SIP_REALM": "config.test",
    }


def check(environ: dict[str, str], config: Path = CONFIG) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["kamailio", "-c", "-f", str(config / "kamailio.cfg")],
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


# What Kamailio says


def test_parser_accepts_it() -> None:
    result = check(environment("postgres://kamailio:secret@127.0.0.1:5432/provisioner"))
    assert result.returncode == 0, result.stderr
    assert not re.search(r"\b(WARNING|ERROR|CRITICAL)\b", result.stderr), result.stderr


def test_database_url_is_all_that_must_be_set() -> None:
    environ = environment("postgres://kamailio:secret@127.0.0.1:5432/provisioner")
    assert check({name: environ[name] for name in ("PATH", "KAMAILIO_DB_URL")}).returncode == 0
    del environ["KAMAILIO_DB_URL"]
    result = check(environ)
    assert result.returncode != 0
    assert "KAMAILIO_DB_URL" in result.stderr


@pytest.fixture
def database_url(stack: Stack) -> Iterator[str]:
    """The stack's database, as Kamailio's role sees it."""
    role, password = f"config_{token_hex(4)}", token_hex(16)
    name = sql.Identifier(role)
    with psycopg.connect(stack.database_admin_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE kamailio").format(name, password)
        )
        connection.execute(sql.SQL("ALTER ROLE {} SET search_path = kamailio").format(name))
        info = connection.info
        yield f"postgres://{role}:{password}@{info.host}:{info.port}/{info.dbname}"
        connection.execute(sql.SQL("DROP ROLE {}").format(name))


class Start:
    """A real start of the configuration, from a directory of its own."""

    def __init__(self, directory: Path, environ: dict[str, str], rpc_port: int) -> None:
        self.rpc_port = rpc_port
        self.log = directory / "log"
        config = shutil.copytree(CONFIG, directory / "elsewhere")
        sip_port = new_port(udp_and_tcp(["127.0.0.1"]))
        argv = ["kamailio", "-DD", "-E", "-Y", str(directory), "-f", str(config / "kamailio.cfg")]
        argv += [f"-ludp:127.0.0.1:{sip_port}", f"-ltcp:127.0.0.1:{sip_port}"]
        argv += [f"-ltcp:127.0.0.1:{rpc_port}"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(argv, env=environ, stderr=log, cwd="/")

    def is_ready(self) -> bool:
        return answers_ok(self.rpc_port, "/healthz")

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=START_TIMEOUT)


def test_it_starts_wherever_it_stands(tmp_path: Path, database_url: str) -> None:
    rpc_port = new_port(tcp("127.0.0.1"))
    start = Start(tmp_path, environment(database_url, rpc_port), rpc_port)
    try:
        wait_until(lambda: start.is_ready() or start.has_ended(), START_TIMEOUT)
        log = start.log.read_text()
        assert start.is_ready(), log
        complaints = re.findall(r".*\b(?:WARNING|ERROR|CRITICAL)\b.*", log)
        # A new system has no carriers.
        assert [line for line in complaints if "empty destination set" not in line] == []
    finally:
        start.stop()


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_nobody_is_let_in(
    tmp_path: Path, database_url: str, token: str | None
) -> None:
    """Whatever a variable holds that was never set: that is no token."""
    rpc_port = new_port(tcp("127.0.0.1"))
    environ = environment(database_url, rpc_port)
    del environ["KAMAILIO_RPC_TOKEN"]
    environ |= {} if token is None else {"KAMAILIO_RPC_TOKEN": token}
    start = Start(tmp_path, environ, rpc_port)
    try:
        assert wait_until(start.is_ready, START_TIMEOUT), start.log.read_text()
        for shown in ("Bearer 0", "Bearer ", "Bearer", "Bearer <null>"):
            with closing(HTTPConnection("127.0.0.1", rpc_port, timeout=5)) as connection:
                connection.request("POST", "/rpc", COMMAND, {"Authorization": shown})
                assert connection.getresponse().status == 401, shown
    finally:
        start.stop()


@pytest.mark.parametrize("secret", ["", "short"])
def test_it_does_not_start_with_a_weak_nonce_secret(
    tmp_path: Path, database_url: str, secret: str
) -> None:
    """An empty one is what an unset variable of a compose file becomes."""
    rpc_port = new_port(tcp("127.0.0.1"))
    environ = environment(database_url, rpc_port) | {"KAMAILIO_NONCE_SECRET": secret}
    start = Start(tmp_path, environ, rpc_port)
    try:
        assert wait_until(start.has_ended, START_TIMEOUT)
        assert start.process.returncode != 0
        assert "KAMAILIO_NONCE_SECRET" in start.log.read_text()
    finally:
        start.stop()


# The house's rules


def test_every_file_is_included_by_relative_path() -> None:
    included = re.findall(r'^include_file "(.*)"', code(CONFIG / "kamailio.cfg"), re.MULTILINE)
    assert sorted([*included, "kamailio.cfg"]) == [path.name for path in FILES]


def test_listeners_come_by_command_line_only() -> None:
    assert not re.search(r"^\s*(listen|port)\s*=", ALL_CODE, re.MULTILINE)


def test_each_module_is_loaded_once_and_before_its_parameters() -> None:
    loaded: list[str] = []
    order = re.findall(r'^include_file "(.*)"', code(CONFIG / "kamailio.cfg"), re.MULTILINE)
    for name in order:
        for kind, module in re.findall(
            r'^(loadmodule|modparam)\b\W+"?(\w+)', code(CONFIG / name), re.MULTILINE
        ):
            if kind == "loadmodule":
                assert module not in loaded, f"{name} loads {module} again"
                loaded.append(module)
            else:
                assert module in loaded, f"{name} sets a parameter of {module} before it is loaded"


def test_every_route_that_is_called_exists_and_the_other_way_round() -> None:
    defined = re.findall(r"^route\[(\w+)\]", ALL_CODE, re.MULTILINE)
    called = re.findall(r"\broute(?:\(|=)(\w+)", ALL_CODE)  # the latter by a timer
    called += re.findall(r'\btimeout_route\) = "(\w+)"', ALL_CODE)
    assert len(defined) == len(set(defined))
    assert set(defined) == set(called)


def test_routes_stay_short() -> None:
    routes = re.findall(r"^(\w*route\S*) \{\n(.*?)^\}", ALL_CODE, re.MULTILINE | re.DOTALL)
    assert routes
    assert [name for name, body in routes if body.count("\n") > ROUTE_LINES] == []


def test_sql_is_where_it_runs() -> None:
    definitions = re.findall(r"^#!.*", ALL_CODE, re.MULTILINE)
    assert not [line for line in definitions if re.search(r"\b(select|insert|cred)\b", line, re.I)]
    functions = re.findall(r"\bSELECT (?:\* FROM )?(\w+)\(", ALL_CODE)
    assert len(functions) == len(re.findall(r"\bSELECT\b", ALL_CODE))
    assert sorted(functions) == [
        *("answer_calls", "cred", "cred", "end_call", "is_trunk_name", "note_guessing"),
        *("place_call", "renew_lease", "teams_account", "transfer_call"),
    ]


def test_no_secret_is_written_down() -> None:
    for path in FILES:
        assert "postgres://" not in code(path), path.name
    secrets = re.findall(r'modparam\("auth", "secret", (.*)\)', ALL_CODE)
    assert secrets == ["KAMAILIO_NONCE_SECRET"]
