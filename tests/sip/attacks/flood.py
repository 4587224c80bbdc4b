"""A flood of REGISTERs at a steady rate, each for another name; a process of its own sends it.

python -m tests.sip.attacks.flood HOST PORT REALM RATE SECONDS SOURCE…
"""

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from tests.sip.clients import Credentials, Registrar, Wire

TICK = 0.004  # seconds from one handful to the next
FIRST_NAME = 390_500_000_000

# It answers a challenge: without that a server is done with it at once.
_TEXT = """\
REGISTER sip:{realm} SIP/2.0
Via: SIP/2.0/UDP {source};branch=z9hG4bKflood{name};rport
From: <sip:{name}@{realm}>;tag=flood
To: <sip:{name}@{realm}>
Call-ID: flood-{name}
CSeq: 1 REGISTER
Contact: <sip:{name}@{source}>
Authorization: Digest username="{name}", realm="{realm}", nonce="{nonce}", uri="sip:{realm}", \
response="0123456789abcdef0123456789abcdef", algorithm=MD5, qop=auth, nc=00000001, cnonce="flood"
Max-Forwards: 70
Content-Length: 0

""".replace("\n", "\r\n")


class Flood:
    """Sends `rate` messages a second in a context, from one source or in turn from several."""

    def __init__(
        self, registrar: Registrar, realm: str, sources: Sequence[str], rate: int, seconds: float
    ) -> None:
        command = [sys.executable, "-m", __name__, registrar.host, str(registrar.port), realm]
        command += [str(rate), str(seconds), *sources]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    @property
    def is_over(self) -> bool:
        """Whether everything has been sent."""
        return self._process.poll() is not None

    def rate(self) -> float:
        """How many messages a second it was in the end; raises `ValueError` if it failed."""
        assert self._process.stdout is not None
        sent, seconds = self._process.stdout.read().split()
        return int(sent) / float(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def send(
    registrar: Registrar, realm: str, sources: Sequence[str], rate: int, seconds: float
) -> int:
    """Send it, and return how many messages it was."""
    senders = [_sender(registrar, realm, source) for source in sources]
    sent, began = 0, time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        for _ in range(int(now * rate) - sent):
            made, text = senders[sent % len(senders)]
            with suppress(ConnectionRefusedError):  # the server is not there any more
                made.send(text.replace("{name}", str(FIRST_NAME + sent)).encode())
            sent += 1
        time.sleep(TICK)
    return sent


def _sender(registrar: Registrar, realm: str, source: str) -> tuple[socket.socket, str]:
    """A socket, and what it sends but for the name."""
    nobody = Credentials(str(FIRST_NAME), "", realm)
    with Wire(registrar, source) as wire:
        nonce = wire.exchange(wire.register_request(nobody)).challenge["nonce"]
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((source, 0))
    made.connect((registrar.host, registrar.port))
    text = _TEXT.replace("{realm}", realm).replace("{source}", source)
    return made, text.replace("{nonce}", nonce)


if __name__ == "__main__":
    host, port, realm, rate, seconds, *sources = sys.argv[1:]
    started = time.monotonic()
    number = send(Registrar(host, int(port)), realm, sources, int(rate), float(seconds))
    sys.stdout.write(f"{number} {time.monotonic() - started}\n")
