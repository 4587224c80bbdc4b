"""rtpengine: the relay of voice between phones that cannot reach each other."""

import random
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provisioner.stack.errors import StackError
from provisioner.stack.ports import ATTEMPTS, FIRST_CHOICE, first_ephemeral, is_free, udp
from provisioner.stack.processes import Command

USER = "rtpengine"  # the system's user, made by Debian's package
MODES = ("auto", "always", "off")
BLOCK = 200  # ports where none are given, for 50 calls: RTP and RTCP of two sides each
PING = b"1_ d7:command4:pinge"  # a cookie of our choice, and a dictionary in bencoding
PONG = b"1_ d6:result4:ponge"
PING_TIMEOUT = 1.0  # seconds for one answer


@dataclass(frozen=True)
class MediaPorts:
    """The UDP ports of voice, both ends included."""

    first: int
    last: int


def read_mode(environ: Mapping[str, str]) -> str:
    """Read MEDIA_PROXY: which calls go through rtpengine; `auto` where it is empty.

    Raises:
        StackError: it is none of the modes.
    """
    mode = environ.get("MEDIA_PROXY") or "auto"
    if mode not in MODES:
        raise StackError(f'MEDIA_PROXY must be auto, always or off, not "{mode}".')
    return mode


def read_ports(environ: Mapping[str, str]) -> MediaPorts | None:
    """Read MEDIA_PORTS, like `30000-30999`; None where it is empty.

    Raises:
        StackError: it is no range of ports, or has no room for one call.
    """
    text = environ.get("MEDIA_PORTS")
    if not text:
        return None
    ends = text.split("-")
    if len(ends) == 2 and all(end.isascii() and end.isdigit() for end in ends):
        first, last = map(int, ends)
        if first >= 1024 and first + 3 <= last <= 65_535:
            return MediaPorts(first, last)
    raise StackError(
        f'MEDIA_PORTS must be a range of at least 4 ports from 1024 to 65535, not "{text}".'
    )


def free_ports(address: str) -> MediaPorts:
    """Choose a block of ports at random that are all free.

    Raises:
        StackError: no such block was found.
    """
    for _ in range(ATTEMPTS):
        first = random.randrange(FIRST_CHOICE, first_ephemeral() - BLOCK, 2)  # noqa: S311 - no secret
        ports = range(first, first + BLOCK)
        if all(is_free(port, udp(address)) for port in ports):
            return MediaPorts(ports[0], ports[-1])
    raise StackError(f"No {BLOCK} free ports for voice were found; set MEDIA_PORTS.")


def find_program() -> str | None:
    """Return the path of rtpengine; None if it is not installed."""
    return shutil.which("rtpengine", path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")


def rtpengine(
    program: str,
    address: str,
    port: int,
    ports: MediaPorts,
    environ: Mapping[str, str],
    keep: Sequence[int] = (),
) -> Command:
    """Return the command; `port` on 127.0.0.1 is where Kamailio tells it what to do.

    Voice is relayed in the program itself: the kernel's module needs root's rights. `keep` are the
    descriptors that it shall inherit.
    """
    argv = [program, "--foreground", "--config-file=none", "--table=-1", "--num-threads=2"]
    argv += [f"--interface={address}", f"--port-min={ports.first}", f"--port-max={ports.last}"]
    # The first packet says where a side is: otherwise whoever guesses the port of a call that has
    # just begun gets its voice.
    argv += ["--endpoint-learning=immediate"]
    # A call that has ended gives its ports back at once.
    argv += [f"--listen-ng=127.0.0.1:{port}", "--delete-delay=0", "--log-stderr", "--log-level=5"]
    return Command(argv, environ, keep, user=USER)


def answers_ping(port: int) -> bool:
    """Tell whether rtpengine answers on this port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(PING_TIMEOUT)
        try:
            asking.connect(("127.0.0.1", port))
            asking.send(PING)
            return asking.recv(100) == PONG
        except OSError:
            return False
