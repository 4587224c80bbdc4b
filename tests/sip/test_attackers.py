"""Common scanners find nothing here, and would find it: each has a server that leaks on purpose."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.stack.processes import Command, Process
from tests.sip.clients import Credentials, Registrar, Wire, free_port, svcrack, svwar
from tests.system import System, eventually

LEAKY_CONFIG = Path(__file__).parent / "leaky" / "kamailio.cfg"
WEAK = Credentials("390600000001", "letmein", "leaky.test")
UNKNOWN = "390600000002"
COMMON_PASSWORDS = ["123456", "password", "390600000001", "letmein", "admin", "secret"]

pytestmark = pytest.mark.native  # the control is a Kamailio of its own


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registrar]:
    """The registrar that leaks, on a free port."""
    folder = tmp_path_factory.mktemp("leaky")
    registrar = Registrar("127.0.0.1", free_port("127.0.0.1"))
    # fmt: off
    command = [
        "kamailio", "-DD", "-E", "-f", str(LEAKY_CONFIG), "-Y", str(folder),
        "-l", f"udp:{registrar.address}", "-m", "16", "-M", "4",
    ]
    # fmt: on
    environ = {
        **os.environ,
        "LEAKY_USER": WEAK.username,
        "LEAKY_PASSWORD": WEAK.password,
        "LEAKY_REALM": WEAK.realm,
    }

    def answers() -> bool:
        with Wire(registrar, "127.0.20.1", timeout=0.2) as wire:
            return wire.register(WEAK).status == 200

    process = Process(
        "leaky", folder / "log", lambda: Command(command, environ), lambda: eventually(answers)
    )
    process.start()
    process.wait_ready()
    yield registrar
    process.stop()


def test_svwar_finds_a_user_where_the_answers_differ(leaky: Registrar) -> None:
    scan = svwar(leaky, "127.0.20.1", [UNKNOWN, WEAK.username], realm=WEAK.realm)
    assert scan.found == {WEAK.username: "reqauth"}


def test_svwar_finds_no_user_here(system: System) -> None:
    enabled, disabled = system.new_line(), system.new_line(enabled=False)
    names = [UNKNOWN, enabled.credentials.username, disabled.credentials.username]
    place = system.internet
    scan = svwar(place.registrar, place.client, names, realm=system.realm)
    assert scan.compared == tuple(names)
    assert scan.found == {}


def test_svcrack_finds_a_weak_password_where_it_may_guess(leaky: Registrar) -> None:
    result = svcrack(leaky, "127.0.20.1", WEAK.username, COMMON_PASSWORDS, realm=WEAK.realm)
    assert result.password == WEAK.password


def test_svcrack_finds_no_password_here(system: System) -> None:
    line = system.new_line()
    place = system.internet
    guesses = [*COMMON_PASSWORDS, line.credentials.username, line.number]
    result = svcrack(
        place.registrar, place.client, line.credentials.username, guesses, realm=system.realm
    )
    assert result.finished
    assert result.guesses >= len(guesses)
    assert result.password is None
