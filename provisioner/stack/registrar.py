"""Kamailio's command line."""

import os
import shutil
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from provisioner.stack.errors import StackError
from provisioner.stack.processes import Command, run_once

CONFIG = Path(__file__).parents[2] / "kamailio" / "kamailio.cfg"
USER = "kamailio"  # the system's user, made by Debian's package
ALLOCATOR = "tlsf"  # the default, made for debugging, costs a fifth more time a REGISTER
# One event a line, whatever a stranger's message had in it.
LOG_ENGINE = "json:M"
PRIVATE_MEMORY = 32  # MiB a process; the default 8 is too small for a list of 10,000 bindings


TLS_FILES = ("KAMAILIO_TLS_CERTIFICATE", "KAMAILIO_TLS_PRIVATE_KEY", "KAMAILIO_TLS_CA")


def listeners(
    addresses: Sequence[str],
    sip_port: int,
    rpc_port: int,
    tls_port: int | None = None,
    ws_port: int | None = None,
    dmq_port: int | None = None,
) -> list[str]:
    """Return the options that name every address and port to listen on; None: no TLS, or no
    WebSocket, which has TLS where there is any, or no other nodes.

    To others Kamailio speaks from its first listener of a transport, on the loopback from its last:
    that must be none for WebSocket, nor the one for other nodes.
    """
    options = [f"-l{kind}:{_host(one)}:{sip_port}" for one in addresses for kind in ("udp", "tcp")]
    if tls_port is not None:
        options += [f"-ltls:{_host(one)}:{tls_port}" for one in addresses]
    if ws_port is not None:
        kind = "tcp" if tls_port is None else "tls"
        for one in addresses:
            place = 0 if ip_address(one).is_loopback else len(options)
            options.insert(place, f"-l{kind}:{_host(one)}:{ws_port}")
    if dmq_port is not None:
        place = 0 if all(ip_address(one).is_loopback for one in addresses) else len(options)
        options.insert(place, f"-ludp:127.0.0.1:{dmq_port}")
    return [*options, f"-ltcp:127.0.0.1:{rpc_port}"]


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def kamailio(
    directory: Path,
    listen: Sequence[str],
    environ: Mapping[str, str],
    keep: Sequence[int] = (),
    config: Path = CONFIG,
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
    argv = [program, "-DD", "-E", "-f", str(config), "-Y", str(directory), "-w", str(directory)]
    argv += ["-x", ALLOCATOR, "-M", str(PRIVATE_MEMORY), f"--log-engine={LOG_ENGINE}", *listen]
    tls = _write_tls_config(directory / "tls-domains.cfg", environ)
    files = [Path(environ[name]) for name in TLS_FILES if name in environ and tls]
    return Command(argv, {**environ, **tls}, keep, user=USER, reads=[directory, config, *files])


def _write_tls_config(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Write which certificates are used, and return the variable that names the file.

    Raises:
        StackError: there is a certificate without its private key.
    """
    if not environ.get(TLS_FILES[0]):
        return {}
    if not environ.get(TLS_FILES[1]):
        raise StackError(f"{TLS_FILES[1]} is missing: {TLS_FILES[0]} needs its private key.")
    path.unlink(missing_ok=True)
    run_once("tls-domains.sh", Command([str(CONFIG.with_name("tls-domains.sh"))], environ), path)
    return {"KAMAILIO_TLS_CONFIG": str(path)}
