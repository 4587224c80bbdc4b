"""Kamailio's command line."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from provisioner.stack.errors import StackError
from provisioner.stack.processes import Command

CONFIG = Path(__file__).parents[2] / "kamailio" / "kamailio.cfg"
USER = "kamailio"  # the system's user, made by Debian's package
ALLOCATOR = "tlsf"  # the default, made for debugging, costs a fifth more time a REGISTER
PRIVATE_MEMORY = 32  # MiB a process; the default 8 is too small for a list of 10,000 bindings


def listeners(addresses: Sequence[str], sip_port: int, rpc_port: int) -> list[str]:
    """Return the options that name every address and port to listen on."""
    hosts = [f"[{address}]" if ":" in address else address for address in addresses]
    options = [f"-l{kind}:{host}:{sip_port}" for host in hosts for kind in ("udp", "tcp")]
    return [*options, f"-ltcp:127.0.0.1:{rpc_port}"]


def kamailio(
    directory: Path, listen: Sequence[str], environ: Mapping[str, str], keep: Sequence[int]
) -> Command:
    """Return Kamailio's command; `directory` is where it may leave files of its own.

    `keep` are the descriptors that it shall inherit.

    Raises:
        StackError: Kamailio is not installed.
    """
    program = shutil.which(USER, path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")
    if program is None:
        raise StackError("Kamailio is not installed; `make run` installs it.")
    directory.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        shutil.chown(directory, USER, USER)
    argv = [program, "-DD", "-E", "-f", str(CONFIG), "-Y", str(directory), "-w", str(directory)]
    argv += ["-x", ALLOCATOR, "-M", str(PRIVATE_MEMORY), *listen]
    return Command(argv, environ, keep, user=USER, reads=[directory, CONFIG])
