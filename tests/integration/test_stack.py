"""The stack as a newcomer meets it: it starts, survives, stops, and leaves nothing behind."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from provisioner.stack import Process, Stack
from provisioner.stack.ports import is_free, tcp, udp_and_tcp
from provisioner.stack.probes import answers_ok
from tests.ports import new_port
from tests.system import eventually

pytestmark = pytest.mark.native

SYSTEM_PATH = {"PATH": os.defpath}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose processes these tests stop and kill."""
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


class Terminal:
    """`python -m provisioner.stack` as `make run` starts it."""

    def __init__(self, directory: Path, **variables: object) -> None:
        self.directory = directory
        self.http_port = new_port(tcp("127.0.0.1"))
        self.sip_port = new_port(udp_and_tcp(["127.0.0.1"]))
        self.variables = {
            "VAR_DIR": directory,
            "HTTP_PORT": self.http_port,
            "SIP_PORT": self.sip_port,
            **variables,
        }
        self.output = directory.with_suffix(".output")

    def __enter__(self) -> "Terminal":
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                # Whoever runs the tests may ignore hang-ups, which a program inherits.
                ["env", "--default-signal=HUP", sys.executable, "-m", "provisioner.stack"],
                env=SYSTEM_PATH | {name: str(value) for name, value in self.variables.items()},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)

    def wait_until_up(self) -> None:
        """Wait until it invites its user."""
        self.wait_until_told("The line is up")

    def wait_until_told(self, text: str) -> None:
        """Wait until it has written this since it was started."""
        eventually(lambda: text in self.told() or self.process.poll() is not None, within=60)
        assert text in self.told(), self.told()

    def told(self) -> str:
        """Return what it has written since it was started."""
        return self.output.read_text()

    def is_up(self) -> bool:
        """Tell whether all of it works."""
        return answers_ok(self.http_port, "/readyz")

    def refusal(self) -> str:
        """Wait until it has given up, and return its last line."""
        assert self.process.wait(timeout=60) == 1
        return self.told().splitlines()[-1]


def survivors(directory: Path) -> list[str]:
    """List the processes that hold the stack's lock or work in its directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = [link.readlink() for link in [process / "cwd", *(process / "fd").iterdir()]]
            command = (process / "cmdline").read_text()
        except OSError:
            continue
        if any(link.is_relative_to(directory) for link in links):
            found.append(command)
    return found


def kill_hard(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_all_of_it_answers_where_it_says(stack: Stack) -> None:
    assert answers_ok(stack.http_port, "/readyz")
    assert stack.admin_token_file.stat().st_mode & 0o777 == 0o600
    with psycopg.connect(stack.database_url) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("provisioner",)
    with psycopg.connect(stack.database_admin_url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
    with socket.create_connection((stack.sip_address, stack.sip_port), timeout=5):
        pass


def test_no_process_is_roots_but_our_own_service(stack: Stack) -> None:
    for process in (stack.postgres, stack.media, stack.kamailio):
        assert process is not None
        owner = Path(f"/proc/{process.pid}").owner()
        assert owner != "root" or os.geteuid() != 0


@pytest.mark.parametrize("name", ["postgres", "media", "kamailio", "provisioner", "worker"])
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_process_that_was_ended_can_be_started_again(stack: Stack, name: str, end: str) -> None:
    process: Process = getattr(stack, name)
    getattr(process, end)()
    assert not process.running
    assert process.wanted == (end == "kill")
    process.start()
    process.wait_ready()
    eventually(lambda: answers_ok(stack.http_port, "/readyz"))


def test_a_worker_that_was_suspended_goes_on(stack: Stack) -> None:
    """For longer than it waits for anything."""
    silent = "SELECT max(last_seen_at) < now() - interval '3 s' FROM provisioner.nodes"
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        os.kill(stack.worker.pid, signal.SIGSTOP)
        eventually(lambda: connection.execute(silent).fetchone() == (True,))
        os.kill(stack.worker.pid, signal.SIGCONT)
        eventually(lambda: connection.execute(silent).fetchone() == (False,))
    assert stack.worker.running


@pytest.mark.parametrize("name", ["postgres", "kamailio"])
def test_what_a_dead_leader_left_behind_does_not_keep_it_from_starting(
    stack: Stack, name: str
) -> None:
    process: Process = getattr(stack, name)
    kill_hard(process.pid)
    eventually(lambda: not process.running)
    process.start()
    process.wait_ready()
    eventually(lambda: answers_ok(stack.http_port, "/readyz"))


def test_a_deep_directory_will_do(tmp_path: Path) -> None:
    directory = tmp_path / ("a name with a space " * 5) / ("deep" * 20) / "var"
    with Stack(directory) as stack:
        assert answers_ok(stack.http_port, "/readyz")


def test_a_signal_stops_everything_and_the_data_stay(tmp_path: Path) -> None:
    token = set()
    for end in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Terminal(tmp_path / "var") as run:
            run.wait_until_up()
            token.add((run.directory / "admin-token").read_text())
            run.process.send_signal(end)
            run.process.send_signal(end)  # impatience; make passes the terminal's signal on, too
            assert run.process.wait(timeout=60) == 0
        assert survivors(run.directory) == []
        assert is_free(run.sip_port, udp_and_tcp(["127.0.0.1"]))
    assert len(token) == 1


def test_a_signal_during_the_start_stops_everything(tmp_path: Path) -> None:
    with Terminal(tmp_path / "var") as run:
        eventually(lambda: (tmp_path / "var" / "postgres.new").exists())
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(timeout=60) == 0
    assert survivors(run.directory) == []


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_just_works(tmp_path: Path) -> None:
    with Terminal(tmp_path / "var") as run:
        run.wait_until_up()
        kill_hard(run.process.pid)
        run.process.wait()
    ports = {"HTTP_PORT": run.http_port, "SIP_PORT": run.sip_port}
    with Terminal(tmp_path / "var", **ports) as successor:
        successor.wait_until_up()
        kill_hard(successor.process.pid)
        successor.process.wait()
        eventually(lambda: not survivors(run.directory))


def test_what_dies_is_started_again(tmp_path: Path) -> None:
    commands = {
        "postgres": r"postgres -D \S+/postgres",
        "replica": r"postgres -D \S+/replica",
        "kamailio": "kamailio",
        "kamailio2": "kamailio2",
        "provisioner": "provisioner serve",
        "worker": "provisioner worker",
    }
    with Terminal(tmp_path / "var", NODES=2, REPLICA="yes") as run:
        run.wait_until_up()
        assert f"Kamailio node2 ready on 127.0.0.1:{run.sip_port + 10}" in run.told()
        for name, command in commands.items():
            kill_hard(pid_of(run, command))
            run.wait_until_told(f"{name} died (signal SIGKILL)")
            run.wait_until_told(f"{name} started again")
            eventually(run.is_up)


def pid_of(run: Terminal, name: str) -> int:
    """Wait for the supervisor's child whose command line holds the name."""

    def look() -> int | None:
        children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text()
        for pid in children.split():
            with suppress(OSError):  # it has ended meanwhile
                command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
                if re.search(rf"/{name}\b", command):
                    return int(pid)
        return None

    return eventually(look) or 0


def test_a_second_stack_in_the_same_directory_is_refused(stack: Stack) -> None:
    with Terminal(stack.directory.path) as run:
        assert "set VAR_DIR" in run.refusal()
    assert answers_ok(stack.http_port, "/readyz")


@pytest.mark.parametrize("name", ["HTTP_PORT", "SIP_PORT"])
def test_a_taken_port_is_refused_with_its_variable(stack: Stack, tmp_path: Path, name: str) -> None:
    port = {"HTTP_PORT": stack.http_port, "SIP_PORT": stack.sip_port}[name]
    with Terminal(tmp_path / "var", **{name: port}) as run:
        assert re.search(f"port {port} .* is taken .* set {name}", run.refusal())


def test_a_step_that_fails_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Stack(tmp_path / "var", environ={"SIP_REALM": "first.test"}):
        pass
    with Terminal(tmp_path / "var") as run:
        assert "first.test" in run.refusal()
    assert "Traceback" not in run.told()
    assert survivors(run.directory) == []


def test_passwords_are_on_no_command_line_and_in_no_log(stack: Stack) -> None:
    secrets = json.loads(stack.directory.passwords.read_text()).values()
    seen = [path.read_text(errors="replace") for path in stack.directory.logs.iterdir()]
    for process in stack.processes:
        seen.append(Path(f"/proc/{process.pid}/cmdline").read_text())
    assert not any(secret in text for secret in secrets for text in seen)


def test_commands_run_in_the_environment_that_the_stack_leaves(stack: Stack) -> None:
    path = stack.directory.environment
    assert path.stat().st_mode & 0o777 == 0o600
    script = f". {shlex.quote(str(path))}; exec .venv/bin/provisioner sync"
    answer = subprocess.run(
        ["sh", "-c", script], env={}, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "nothing to repair\n"
