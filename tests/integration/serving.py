"""The API in processes of its own, on a test's database."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioner.settings import Settings
from provisioner.stack.ports import tcp
from provisioner.stack.stack import Stack
from tests.ports import new_port
from tests.system import eventually

HOST = "127.0.0.1"
COMMAND = "from provisioner.cli import main; raise SystemExit(main(['serve']))"


@dataclass
class Server:
    """Where it listens, what it has written, and who it is."""

    port: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://{HOST}:{self.port}"

    def logged(self) -> str:
        """Return what it has written."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def memory(self) -> int:
        """Return how much memory its processes have taken at most, in bytes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return sum(_peak(pid) for pid in children.split())


@contextmanager
def served(
    settings: Settings, stack: Stack, log: Path, *, weakened: str = "", **own: str
) -> Iterator[Server]:
    """Serve the API; with variables of its own, and perhaps a statement that weakens it first."""
    port = new_port(tcp(HOST))
    environ = {"DATABASE_URL": settings.database_url, "HTTP_PORT": str(port), "RATE_LIMIT": "0"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{weakened}\n{COMMAND}"],
            env=stack.environ | environ | own,
            stdout=output,
            stderr=output,
        )
    server = Server(port, log, process)
    try:
        eventually(lambda: answers(server.url), within=20)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=60)  # some have threads that slow clients hold


def answers(url: str) -> bool:
    """Say whether a server is there."""
    try:
        with urllib.request.urlopen(f"{url}/livez", timeout=2) as answer:  # noqa: S310 - our own
            return bool(answer.status == 200)
    except OSError:
        return False


def _peak(pid: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
