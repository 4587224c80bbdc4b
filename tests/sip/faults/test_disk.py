"""The disk is full: changes are refused, none that was acknowledged is lost, and it recovers."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import psycopg
import pytest

from provisioner.stack.directory import StackDirectory
from provisioner.stack.passwords import load_passwords
from tests.api import Api
from tests.figures import Figures
from tests.integration.test_stack import Terminal
from tests.system import eventually

pytestmark = [pytest.mark.native, pytest.mark.chaos]

SIZE = "320m"  # of the file system that holds all of the state, logs included
CHUNK = 64 * 1024  # bytes
CHANGES = 100  # that are tried while there is no room
RECOVERY = 60.0  # seconds; who starts PostgreSQL again waits up to 30 s between two attempts


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", tmp_path], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("log", [False, True], ids=["tables", "write-ahead log"])
def test_a_full_disk_is_told_and_recovered_from(disk: Path, figures: Figures, log: bool) -> None:
    """Without room for a table PostgreSQL refuses; without room for its log it ends itself."""
    with Terminal(disk / "var") as terminal:
        terminal.wait_until_up()
        token = (terminal.directory / "admin-token").read_text().strip()
        api = Api(f"http://127.0.0.1:{terminal.http_port}", token)
        acknowledged = {number for number in numbers(100) if create(api, number) == 201}
        assert len(acknowledged) == 100
        ballast = disk / "ballast"
        fill(ballast)
        if log:
            exhaust_log(terminal)
        answers = {number: create(api, number) for number in numbers(CHANGES, first=100)}
        ballast.unlink()
        free = monotonic()
        eventually(lambda: create(api, "+390299999999") in (201, 409), within=RECOVERY)
        eventually(terminal.is_up, within=RECOVERY)
        recovery = monotonic() - free
        acknowledged |= {number for number, status in answers.items() if status == 201}
        lost = {number for number in acknowledged if not exists(api, number)}
        died = "postgres died" in terminal.told()
    refused = sum(status == 503 for status in answers.values())
    figures("disk full: PostgreSQL died, changes refused", (died, refused))
    figures("disk full: recovery (s)", round(recovery, 1))
    figures("disk full: acknowledged changes lost", len(lost))
    assert refused > 0
    assert set(answers.values()) <= {201, 503}
    assert lost == set()
    assert died or not log


def exhaust_log(terminal: Terminal) -> None:
    """Let PostgreSQL begin another file of its write-ahead log, until it finds no room."""
    directory = StackDirectory(terminal.directory)
    shell = ["sh", "-c", '. "$0" && printf %s "$DATABASE_URL"', str(directory.environment)]
    url = urlsplit(subprocess.run(shell, check=True, capture_output=True, text=True).stdout)
    password = load_passwords(directory.passwords).postgres
    place = f"postgresql://postgres:{password}@{url.hostname}:{url.port}{url.path}"
    with suppress(psycopg.OperationalError), psycopg.connect(place, autocommit=True) as boss:
        for _ in range(100):
            boss.execute("SELECT pg_switch_wal(), txid_current()")
        raise AssertionError("there is no end of room")


def numbers(count: int, *, first: int = 0) -> list[str]:
    return [f"+39020{n:07d}" for n in range(first, first + count)]


def create(api: Api, number: str) -> int:
    """Create a number with a name that fills pages; the status (0: the connection broke)."""
    with suppress(OSError):
        return api.post("/numbers", {"number": number, "external_id": number * 8}).status
    return 0


def exists(api: Api, number: str) -> bool:
    return api.get(f"/numbers/{number}").status == 200


def fill(path: Path) -> None:
    """Write a file until there is no room."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(CHUNK)):
            pass
