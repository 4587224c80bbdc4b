"""Guessing passwords, as fast as the server answers, from as many addresses as it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from secrets import token_hex

from tests.sip.clients import Credentials, Exchange, Registrar, Wire, digest_authorization

PATIENCE = 8.0  # seconds for an answer
HASTE = 0.25  # the same for who is banned, and gets none
MINUTE = 60.0
CHALLENGES = {401: "Authorization", 407: "Proxy-Authorization"}

_addresses = count(1)


def new_address() -> str:
    """An address of the loopback that nobody has used."""
    number = next(_addresses)
    return f"127.{40 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"


def new_addresses(number: int) -> list[str]:
    """Several of them."""
    return [new_address() for _ in range(number)]


@dataclass
class Guesses:
    """When passwords were looked at, by the server's 401; and how many others were not."""

    looked_at: list[float] = field(default_factory=list)
    refused: int = 0  # 503
    dropped: int = 0  # no answer

    @property
    def number(self) -> int:
        """How many passwords were looked at."""
        return len(self.looked_at)

    @property
    def most_in_a_minute(self) -> int:
        """How many were within the worst minute."""
        times = sorted(self.looked_at)
        return max(
            (sum(start <= at < start + MINUTE for at in times) for start in times), default=0
        )


def guess(
    registrar: Registrar,
    source: str,
    realm: str,
    usernames: Sequence[str] | Iterator[str],
    *,
    method: str = "REGISTER",
    patience: float = PATIENCE,
) -> Guesses:
    """Guess a password for each name, in this order, from one address."""
    guesses = Guesses()
    with Wire(registrar, source, timeout=patience) as wire:
        for username in usernames:
            wrong = Credentials(username, token_hex(8), realm)
            answer = _answered(wire, wrong, method)
            if answer.status in CHALLENGES:
                guesses.looked_at.append(time.monotonic())
            elif answer.status == 503:
                guesses.refused += 1
            else:
                assert answer.status == 0, answer.response
                guesses.dropped += 1
    return guesses


def _answered(wire: Wire, credentials: Credentials, method: str) -> Exchange:
    """Ask for a challenge and answer it; return what comes of that, or of asking."""
    username, realm = credentials.username, credentials.realm
    uri = f"sip:{realm}" if method == "REGISTER" else f"sip:{username}@{realm}"
    first = wire.exchange(wire.request(method, username, realm, uri=uri))
    if first.status not in CHALLENGES:
        return first
    value = digest_authorization(credentials, first.challenge, method=method, uri=uri)
    headers = {CHALLENGES[first.status]: value}
    return wire.exchange(wire.request(method, username, realm, headers, uri=uri))


def for_seconds(seconds: float, username: str, pause: float = 0.05) -> Iterator[str]:
    """The same name again and again, for so long; `pause` (s) bounds the load."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield username
        time.sleep(pause)
