"""A registrar that tells strangers whom it knows, so that tests can show that they would notice."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.stack.processes import Command, Process
from tests.sip.clients import Credentials, Registrar, Wire, free_port
from tests.system import eventually

CONFIG = Path(__file__).parents[1] / "leaky" / "kamailio.cfg"
WEAK = Credentials("390600000001", "letmein", "leaky.test")
UNKNOWN = "390600000002"


@contextmanager
def leaky_registrar(folder: Path, way: str = "answer") -> Iterator[Registrar]:
    """Run it on a free port; `way` is how it leaks, as its configuration names it."""
    registrar = Registrar("127.0.0.1", free_port("127.0.0.1"))
    # fmt: off
    command = [
        "kamailio", "-DD", "-E", "-f", str(CONFIG), "-Y", str(folder),
        "-l", f"udp:{registrar.address}", "-m", "16", "-M", "4",
    ]
    # fmt: on
    environ = {
        **os.environ,
        "LEAKY_USER": WEAK.username,
        "LEAKY_PASSWORD": WEAK.password,
        "LEAKY_REALM": WEAK.realm,
        "LEAKY_WAY": way,
    }

    def answers() -> bool:
        with Wire(registrar, "127.0.20.1", timeout=0.2) as wire:
            return wire.register(WEAK).status == 200

    process = Process(
        "leaky", folder / "log", lambda: Command(command, environ), lambda: eventually(answers)
    )
    process.start()
    try:
        process.wait_ready()
        yield registrar
    finally:
        process.stop()
