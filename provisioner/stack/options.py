"""What the user may set for `make run`."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.stack.errors import StackError
from provisioner.stack.media import MediaPorts, read_mode, read_ports
from provisioner.stack.nodes import MOST

MEDIA_PORTS = MediaPorts(30_000, 30_999)


@dataclass(frozen=True)
class Options:
    """Where the stack keeps its state and where it listens."""

    directory: Path
    http_port: int
    sip_port: int
    tls_port: int
    ws_port: int
    sip_address: str
    media_ports: MediaPorts
    replica: bool
    nodes: int = 1


def read_options(environ: Mapping[str, str]) -> Options:
    """Read the options; one that is empty counts as not set.

    Raises:
        StackError: a value cannot be used; names the variable and the rule.
    """
    _check_digest_algorithm(environ)
    read_mode(environ)
    return Options(
        directory=Path(environ.get("VAR_DIR") or "var"),
        http_port=_port(environ, "HTTP_PORT", 8080),
        sip_port=_port(environ, "SIP_PORT", 5060),
        tls_port=_port(environ, "SIP_TLS_PORT", 5061),
        ws_port=_port(environ, "SIP_WS_PORT", 8443),
        sip_address=_address(environ, "SIP_ADDRESS", "127.0.0.1"),
        media_ports=read_ports(environ) or MEDIA_PORTS,
        replica=_yes_or_no(environ, "REPLICA", "no"),
        nodes=_nodes(environ),
    )


def _nodes(environ: Mapping[str, str]) -> int:
    text = environ.get("NODES") or "1"
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST):
        raise StackError(f'NODES must be a number from 1 to {MOST}, not "{text}".')
    return int(text)


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65_535):
        raise StackError(f'{name} must be a port number from 1 to 65535, not "{text}".')
    return int(text)


def _yes_or_no(environ: Mapping[str, str], name: str, default: str) -> bool:
    text = environ.get(name) or default
    if text not in ("yes", "no"):
        raise StackError(f'{name} must be yes or no, not "{text}".')
    return text == "yes"


def _check_digest_algorithm(environ: Mapping[str, str]) -> None:
    """Refuse what Kamailio would refuse; it reads the variable itself."""
    text = environ.get("KAMAILIO_DIGEST_ALGORITHM") or "MD5"
    if text not in ("MD5", "SHA-256"):
        raise StackError(f'KAMAILIO_DIGEST_ALGORITHM must be MD5 or SHA-256, not "{text}".')


def _address(environ: Mapping[str, str], name: str, default: str) -> str:
    text = environ.get(name) or default
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = ipaddress.ip_address("0.0.0.0")  # noqa: S104 - refused below
    if address.is_unspecified or address.is_multicast:
        raise StackError(f'{name} must be one IP address of this machine, not "{text}".')
    return str(address)
