"""What strangers write in a message stays text: in queries, in other messages and in the log."""

import base64
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from provisioner.stack import registrar as command_line
from provisioner.stack.stack import Stack
from tests.sip.attacks.hostile import anonymous, proven, send_all, with_credentials
from tests.sip.attacks.nodes import another_node
from tests.sip.calls.conftest import Device, talk
from tests.sip.clients import ClientError, Credentials, IncomingCall, Wire
from tests.sip.conftest import Database
from tests.system import CARRIERS_CLIENT, System

MARK = "injected"
_EXECUTED = f"set_config('application_name','{MARK}',false)"
_IN_DOLLARS = _EXECUTED.replace("'", "$$")
SQL = [
    f"'||{_EXECUTED}||'",
    f"\\'||{_EXECUTED}||\\'",
    f"');SELECT/**/{_EXECUTED};--",
    f"1);SELECT/**/{_IN_DOLLARS};--",
    f"1,(SELECT/**/{_IN_DOLLARS}))--",
    f"390600000001\0'||{_EXECUTED}||'",
]
FORGED = "FORGED"
LINES = [
    f"x\r\n {FORGED}",
    f"x\n{FORGED}: 1",
    f"x\0\n{FORGED}: 1",
    f"x\r{FORGED}",
    f"\x1b[1A{FORGED}",
]
HEADER = "X-Injected"
ANY_USERNAME = {r"^\tif \(\$\(var\(user\)\{s\.numeric\}\) != [^\n]* \{\n[^\n]*\n\t\}\n": ""}
ANY_TARGET = {r"if \(\$\(var\(target\)\{s\.encode\.hexa\}\) =~ [^\n]* \{": "if (1) {"}

pytestmark = pytest.mark.native  # reads the stack's own files


# Queries.


def executed(database: Database) -> bool:
    """Whether a session of Kamailio's has done what somebody wrote."""
    row = database.execute(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = %s", [MARK]
    ).fetchone()
    return bool(row and row["n"])


def everybody(system: System, texts: list[str]) -> int:
    """Send these texts as everybody who may send something; how many messages it was."""
    trunk = system.new_trunk()  # so that there is a carrier's network
    line, callee, sent = system.new_line(), system.new_line(), 0
    for number, text in enumerate(texts):
        # A source of its own for each text: who guesses too often is not asked any more.
        for source in (f"127.0.20.{100 + number}", CARRIERS_CLIENT):
            with Wire(system.internet.registrar, source, timeout=2) as wire:
                sent += send_all(wire, anonymous(wire, text, system.realm))
        with Wire(system.internet.registrar, f"127.0.20.{100 + number}", timeout=2) as wire:
            requests = with_credentials(wire, text, line.credentials, callee.credentials.username)
            sent += send_all(wire, requests)
    trunk.delete()
    return sent


@contextmanager
def written(path: Path) -> Iterator[list[bytes]]:
    """The lines that are written to a file in this block, once it is left."""
    lines: list[bytes] = []
    start = path.stat().st_size
    yield lines
    with path.open("rb") as file:
        file.seek(start)
        lines += file.read().split(b"\n")


def test_no_field_reaches_the_database_as_sql(
    system: System, stack: Stack, database: Database
) -> None:
    with written(stack.postgres.log) as lines:
        assert everybody(system, SQL) > 1000
    assert not executed(database)
    assert [line for line in lines if b"syntax error" in line or b"unterminated" in line] == []


def test_sql_is_executed_where_a_username_is_not_looked_at(
    stack: Stack, system: System, tmp_path: Path, database: Database
) -> None:
    with another_node(stack, system, tmp_path, changes=ANY_USERNAME) as weak:
        place = weak.system.internet
        for text in SQL:
            with Wire(place.registrar, place.client, timeout=2) as wire:
                wrong = Credentials(text, "x", system.realm)
                wire.exchange(proven(wire, wrong, "REGISTER", f"sip:{system.realm}", {}))
        assert executed(database)


# The log.


def forged(lines: list[bytes]) -> list[bytes]:
    """The lines that are somebody else's words, or look like it on a terminal."""
    return [
        line
        for line in lines
        if line.lstrip().startswith(FORGED.encode()) or b"\x1b" in line or b"\r" in line
    ]


def test_nobody_writes_lines_into_a_log(system: System, stack: Stack) -> None:
    with ExitStack() as logs:
        written_to = {
            path.name: logs.enter_context(written(path)) for path in stack.directory.logs.iterdir()
        }
        everybody(system, LINES)
    assert {name: forged(lines) for name, lines in written_to.items() if forged(lines)} == {}
    events = [line for line in written_to[stack.kamailio.log.name] if line]
    assert [line for line in events if not line.startswith(b'{ "idx": ')] == []


def test_a_log_without_an_engine_takes_anybodys_lines(
    stack: Stack, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "LOG_ENGINE", "plain")
    with another_node(stack, system, tmp_path) as weak:
        with written(tmp_path / "log") as lines:
            everybody(weak.system, LINES)
        assert forged(lines)


# Other messages.


@contextmanager
def call(system: System) -> Iterator[tuple[Device, Device, IncomingCall]]:
    """A call of one account's device to another's: both, and the call as the callee has it."""
    caller, callee = system.new_line(), system.new_line()
    with (
        Device(system, caller, system.internet, "udp") as phone,
        Device(system, callee, system.internet, "udp") as other,
    ):
        assert other.register(callee.credentials).status == 200
        outgoing = phone.call(callee.number)
        incoming = other.incoming()
        talk(outgoing, incoming)
        yield phone, other, incoming
        incoming.request("BYE")
        outgoing.wait_bye()


def injects(system: System, target: str) -> bool:
    """Whether a callee writes header fields into what the caller gets, by an encoded target."""
    with call(system) as (phone, _, incoming):
        registrar = system.internet.registrar
        text = target.replace("CALLER", phone.contact).encode()
        line = base64.urlsafe_b64encode(text).decode().rstrip("=")
        incoming.request("INFO", uri=f"sip:{registrar.address};line={line}")
        try:
            seen = phone.wait_request("INFO", timeout=1.0)
        except ClientError:
            assert incoming.final("INFO").status == 400
            return False
        phone.answer(seen, 200, "OK")
        incoming.final("INFO")
        return seen.header(HEADER) is not None


TARGETS = [
    f"CALLER SIP/2.0\r\n{HEADER}: 1\r\nX: ",
    f"CALLER\0 SIP/2.0\r\n{HEADER}: 1\r\nX: ",
    f"CALLER SIP/2.0\n{HEADER}: 1\nX: ",
    f"tel:1 SIP/2.0\r\n{HEADER}: 1\r\nX: ",
]


@pytest.mark.parametrize("target", TARGETS)
def test_nobody_writes_header_fields_by_an_encoded_target(system: System, target: str) -> None:
    assert not injects(system, target)


def test_header_fields_are_written_where_a_target_is_not_looked_at(
    stack: Stack, system: System, tmp_path: Path
) -> None:
    with another_node(stack, system, tmp_path, changes=ANY_TARGET) as weak:
        assert injects(weak.system, TARGETS[0])
