"""Every secret that the tests are shown, and whether it is anywhere else.

A secret is known by the longest run of letters and digits in it, so that a text of any size can be
looked through at once, and whatever stands around a secret does not hide it.
"""

import logging
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator
from hashlib import md5, sha256
from typing import Any
from zlib import decompress

RUN_MIN = 10  # characters of a run by which a secret is known
SECRET_FIELDS = ("password", "token", "secret")

_RUN = re.compile(rf"[A-Za-z0-9]{{{RUN_MIN},}}")


class Secrets:
    """What has been shown, and the places where it was found again."""

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {}  # and tokens: what each is known by, and of what kind
        self.hashes: dict[str, str] = {}
        self.leaks: list[str] = []

    def answered(self, what: str, text: str, body: Any) -> None:
        """Look through an answer for secrets shown before, then remember those that it shows."""
        self.leaks += [f"{kind} in the answer to {what}" for kind in self.found(text)]
        for kind, secret in _shown(body):
            self.saw(secret, kind)
        for user, password, realm in _credentials(body):
            pair = f"{user}:{realm}:{password}".encode()
            self.hashes[md5(pair, usedforsecurity=False).hexdigest()] = "an MD5 HA1"
            self.hashes[sha256(pair).hexdigest()] = "a SHA-256 HA1"

    def saw(self, secret: str, kind: str) -> None:
        """Remember a secret, as it is and as PostgreSQL writes its bytes."""
        if run := max(_RUN.findall(secret), key=len, default=""):
            self.passwords[run] = kind
            self.passwords[f"x{secret.encode().hex()}"] = f"{kind} in hexadecimal"

    def found(self, text: str, *, hashes: bool = True) -> set[str]:
        """Name the kinds of secrets that a text holds."""
        known = (self.passwords, self.hashes) if hashes else (self.passwords,)
        return {kinds[run] for run in _RUN.findall(text) for kinds in known if run in kinds}


class Watch(logging.Handler):
    """Looks through what is logged in this process."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def emit(self, record: logging.LogRecord) -> None:
        """Look through one event."""
        kinds = self._secrets.found(self.format(record))
        self._secrets.leaks += [f"{kind} in the log of {record.name}" for kind in kinds]


def readable(cookie: str) -> str:
    """Return what a session cookie of Flask holds, which is signed and not sealed."""
    packed, payload = cookie.startswith("."), cookie.lstrip(".").partition(".")[0]
    content = urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    return (decompress(content) if packed else content).decode()


def _shown(body: Any) -> Iterator[tuple[str, str]]:
    """Find fields that hold secrets: their names and values."""
    for fields in _objects(body):
        for name in SECRET_FIELDS:
            if isinstance(fields.get(name), str):
                yield f"a {name}", fields[name]


def _credentials(body: Any) -> Iterable[tuple[str, str, str]]:
    for fields in _objects(body):
        if {"username", "password", "realm"} <= fields.keys():
            yield fields["username"], fields["password"], fields["realm"]


def _objects(body: Any) -> Iterator[dict[str, Any]]:
    if isinstance(body, dict):
        yield body
    inner = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    for one in inner:
        yield from _objects(one)


SECRETS = Secrets()
