"""Passwords of people who log in: argon2id, and nothing told by how long it takes."""

from threading import BoundedSemaphore

from passlib.hash import argon2
from passlib.pwd import genword

LENGTH_MIN, LENGTH_MAX = 12, 200  # characters
HASHES_AT_ONCE = 2  # of a process: each one takes 19 MiB
# What OWASP's Password Storage Cheat Sheet asks for: 19 MiB, two rounds, one lane.
_argon2id = argon2.using(type="ID", memory_cost=19 * 1024, time_cost=2, parallelism=1)
_slots = BoundedSemaphore(HASHES_AT_ONCE)
_NOBODYS = _argon2id.hash("nobody's password")


def hashed(password: str) -> str:
    """Return what is stored of a password."""
    with _slots:
        return str(_argon2id.hash(password))


def fits(password: str, stored: str | None) -> bool:
    """Say whether it is the password; where there is none the answer takes as long."""
    with _slots:
        return bool(_argon2id.verify(password[:LENGTH_MAX], stored or _NOBODYS)) and bool(stored)


def generated() -> str:
    """Make a password of 128 bits."""
    return str(genword(entropy=128))
