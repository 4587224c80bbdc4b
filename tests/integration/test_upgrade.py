"""An upgrade without an interruption: a former version and this one serve one database at the same
time, which is migrated meanwhile, while accounts change and a phone registers all the time.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from provisioner.stack.identity import tied_to_us
from provisioner.stack.ports import tcp, udp_and_tcp
from provisioner.stack.probes import answers_ok
from tests.api import Api
from tests.ports import new_port
from tests.sip.clients import Registrar, Sipp
from tests.system import (
    CARRIERS_CLIENT,
    CLOUDFIRE_CIDR,
    INTERNET_CLIENT,
    Line,
    Place,
    System,
    eventually,
)

pytestmark = [pytest.mark.native, pytest.mark.timeout(240)]

# "Calls, a web console, and a guard against a hostile internet": the schema before 0016.
FORMER = "0cc9aa0217d137aa5c2a34303d4c1c38398cb765"
ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("provisioner")


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The former version's files."""
    folder = tmp_path_factory.mktemp("former")
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "archive", FORMER]
    command += ["provisioner", "sql", "kamailio"]
    archived = subprocess.run(command, capture_output=True, check=False)
    if archived.returncode:
        pytest.fail(
            f"The commit {FORMER} is needed, and not in this clone. A shallow one is completed by"
            f" `git fetch --unshallow`. git said: {archived.stderr.decode()}"
        )
    with tarfile.open(fileobj=BytesIO(archived.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@dataclass
class Version:
    """What one version's processes need: where its code is, if not in this repository."""

    environ: Mapping[str, str]
    folder: Path
    code: Path | None = None

    @contextmanager
    def running(self, *command: str, log: str, **own: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command of it for a while."""
        path = {"PYTHONPATH": str(self.code)} if self.code else {}
        with (self.folder / f"{log}.log").open("wb") as output:
            process = subprocess.Popen(
                tied_to_us(command, signal.SIGTERM),
                env={**self.environ, **path, **own},
                cwd=self.code or self.folder,
                stdout=output,
                stderr=output,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)

    def logged(self, log: str) -> str:
        """What a process has written."""
        return (self.folder / f"{log}.log").read_text()


def is_up(version: Version, stack: subprocess.Popen[bytes]) -> bool:
    return "The line is up" in version.logged("former") or stack.poll() is not None


@pytest.fixture
def running(former: Path, tmp_path: Path) -> Iterator[Version]:
    """The whole system as the former version starts it."""
    version = Version(
        {
            "PATH": os.environ["PATH"],
            "VAR_DIR": str(tmp_path / "var"),
            "HTTP_PORT": str(new_port(tcp("127.0.0.1"))),
            "SIP_PORT": str(new_port(udp_and_tcp(["127.0.0.1"]))),
            "MEDIA_PROXY": "off",
            "RATE_LIMIT": "0",
        },
        tmp_path,
        former,
    )
    with version.running(sys.executable, "-m", "provisioner.stack", log="former") as stack:
        eventually(lambda: is_up(version, stack), within=90)
        assert stack.poll() is None, version.logged("former")
        yield version


def present(running: Version) -> Version:
    """This version, on the same database and node."""
    environ = {**running.environ, "HTTP_PORT": str(new_port(tcp("127.0.0.1")))}
    exports = (running.folder / "var" / "environment").read_text()
    pairs = [word.split("=", 1) for word in shlex.split(exports) if "=" in word]
    return Version({**dict(pairs), **environ}, running.folder)


def admin_url(present: Version) -> str:
    """The database's address for its owner."""
    passwords = json.loads((present.folder / "var" / "passwords.json").read_text())
    at = urlsplit(present.environ["DATABASE_URL"])
    return f"postgresql://postgres:{passwords['postgres']}@127.0.0.1:{at.port}{at.path}"


def system_at(version: Version) -> System:
    """The system, behind one version's API."""
    token = (version.folder / "var" / "admin-token").read_text().strip()
    registrar = Registrar("127.0.0.1", int(version.environ["SIP_PORT"]))
    return System(
        Api(f"http://127.0.0.1:{version.environ['HTTP_PORT']}", token),
        Place("cloudfire", "127.0.10.1", registrar),
        Place("internet", INTERNET_CLIENT, registrar),
        CLOUDFIRE_CIDR,
        Place("carriers", CARRIERS_CLIENT, registrar),
    )


@dataclass
class Load:
    """What is done over and over until the end, each time rightly."""

    done: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def of(self, name: str, once: Callable[[], None]) -> Iterator[None]:
        """Do something in a thread of its own."""
        self.done[name] = 0

        def repeat() -> None:
            while not self._ended.is_set():
                try:
                    once()
                except Exception as error:
                    self.failed.append(f"{name}: {error!r}")
                self.done[name] += 1
                self._ended.wait(0.02)

        thread = threading.Thread(target=repeat)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(timeout=60)

    def more(self, *names: str) -> None:
        """Wait until each of them has been done a few times more."""
        aim = {name: self.done[name] + 3 for name in names or self.done}
        eventually(lambda: all(self.done[name] >= n for name, n in aim.items()), within=60)


def life(system: System) -> Callable[[], None]:
    """One account's life: every kind of change, those that nodes have to confirm among them."""

    def once() -> None:
        line = system.new_line()
        system.api.patch(line.path, {"voice_channels": 3}).expect(200)
        system.api.post(f"{line.path}/credentials").expect(200)
        line.disable()
        system.api.delete(line.path, wait=10).expect(204)

    return once


def register(system: System, line: Line) -> Callable[[], None]:
    phone = Sipp(system.internet.registrar, line.credentials, system.internet.client)

    def once() -> None:
        assert phone.register().outcome[0] == 200

    return once


def former_worker(former: Path) -> int:
    """The process id of the former version's worker."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            mine = (process / "cwd").readlink() == former
        except OSError:
            continue
        if mine and b"worker" in words:
            return int(process.name)
    return 0


def test_both_versions_serve_while_the_database_is_migrated(former: Path, running: Version) -> None:
    system = system_at(running)
    load = Load()
    with ExitStack() as held:
        held.enter_context(load.of("former API", life(system)))
        held.enter_context(load.of("phone", register(system, system.new_line())))
        load.more()
        new = present(running)
        owner = {"DATABASE_ADMIN_URL": admin_url(new)}
        with new.running(str(PROGRAM), "migrate", log="migrate", **owner) as migration:
            assert migration.wait(timeout=60) == 0, new.logged("migrate")
        assert "applying 0021_requests.sql" in new.logged("migrate")
        load.more()  # the former version on what the present one wants

        held.enter_context(new.running(str(PROGRAM), "serve", log="serve"))
        eventually(lambda: answers_ok(int(new.environ["HTTP_PORT"]), "/livez"), within=30)
        held.enter_context(load.of("present API", life(system_at(new))))
        load.more()  # the former worker with work that either has left

        held.enter_context(new.running(str(PROGRAM), "worker", log="worker"))
        while "kick confirmed" not in new.logged("worker"):
            if pid := former_worker(former):  # its supervisor starts it again, to stand by
                with suppress(ProcessLookupError):  # it has ended by itself
                    os.kill(pid, signal.SIGKILL)
            load.more("present API")
        load.more()  # the present worker with work that either has left
    assert load.failed == []
    for log in ("serve", "worker"):
        assert "Traceback" not in new.logged(log)
    for name in ("provisioner", "worker"):
        written = (running.folder / "var" / "log" / f"{name}.log").read_text()
        assert "Traceback" not in written
